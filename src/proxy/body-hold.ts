/** A request's body kept until a step has seen it whole (P10), as it came, so that it is forwarded as if nobody had looked. */
import { createBodyDecoder, type BodyDecoder } from '../http/body.ts';
import type { RequestHead, ResponseHead } from '../http/message.ts';

const FIRST_BYTES = 4096;
/** Framing that may stand beside as many bytes of content: chunks of one byte would cost us six times what they carry. */
const FRAMING_BYTES = 64 * 1024;

const NOTHING = Buffer.alloc(0);
/** HTTP/2: what comes is content, and `end` says that it is all. */
const UNTIL_END = { kind: 'until-close' } as const;

export class BodyHold {
  /** All of it is here. */
  whole = false;
  /** The framing is broken. */
  broken = false;
  /** Bytes of content so far. */
  size = 0;
  readonly #framing: ResponseHead['framing'];
  readonly #decoder: BodyDecoder;
  /** What came, with its framing, and whatever came behind it. */
  #raw: Buffer = NOTHING;
  #length = 0;

  constructor({ framing, version }: Pick<RequestHead, 'framing' | 'version'>) {
    this.#framing = version === '2' && framing.kind === 'chunked' ? UNTIL_END : framing;
    this.#decoder = createBodyDecoder(this.#framing);
  }

  take(chunk: Uint8Array): void {
    this.#append(chunk);
    if (this.whole || this.broken) return;
    const sink = { data: (slice: Uint8Array): void => void (this.size += slice.length) };
    const progress = this.#decoder.read(chunk, sink);
    if (progress.kind === 'error') this.broken = true;
    else if (progress.kind === 'end') this.whole = true;
  }

  /** Of a body that has no framing of its own. */
  end(): void {
    if (this.#framing === UNTIL_END) this.whole = true;
  }

  /** Whether it is longer than a step may hold. */
  exceeds(most: number): boolean {
    const told = this.#framing.kind === 'length' ? this.#framing.length : 0;
    return Math.max(told, this.size) > most || (!this.whole && this.#length > 2 * most + FRAMING_BYTES);
  }

  /** Of a whole body: its bytes, without framing. */
  content(): Uint8Array {
    if (this.#framing.kind === 'length') return this.#raw.subarray(0, this.#framing.length);
    const content = Buffer.allocUnsafe(this.size);
    let at = 0;
    const sink = {
      data: (slice: Uint8Array): void => {
        content.set(slice, at);
        at += slice.length;
      },
    };
    createBodyDecoder(this.#framing).read(this.#raw.subarray(0, this.#length), sink);
    return content;
  }

  /** Everything, as it came; it is kept here no longer. */
  release(): Buffer {
    const raw = this.#raw.subarray(0, this.#length);
    this.#raw = NOTHING;
    this.#length = 0;
    return raw;
  }

  /** In one buffer that doubles: a client that sends single bytes must not cost a buffer for each. */
  #append(chunk: Uint8Array): void {
    const needed = this.#length + chunk.length;
    if (needed > this.#raw.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, this.#raw.length * 2, FIRST_BYTES));
      this.#raw.copy(grown, 0, 0, this.#length);
      this.#raw = grown;
    }
    this.#raw.set(chunk, this.#length);
    this.#length = needed;
  }
}
