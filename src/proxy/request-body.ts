/** The body of one request on its way from the client to the app: counted, bounded, framed afresh, never held. */
import { createChunkedDecoder, type BodyDecoder, type BodySink } from '../http/body.ts';
import type { Framing, ParsedFields, RequestHead } from '../http/message.ts';

/** Where content goes. Slices are not written over afterwards. */
export interface BodyOut {
  /** It wants no more for now. */
  readonly blocked: boolean;
  /** What is written until `uncork` may leave together. */
  cork(): void;
  uncork(): void;
  content(slice: Uint8Array): void;
  /** That was all. Trailers go as far as they may, but for `reserved` folded names. */
  endContent(trailers: ParsedFields | undefined, reserved: ReadonlySet<string>): void;
}

const NONE: ReadonlySet<string> = new Set();

export type BodyFault = 'MalformedRequest' | 'BodyTooLarge';

export class RequestBody implements BodySink {
  /** Every byte of it has been read from the client. */
  complete: boolean;
  /** Bytes of content so far. */
  bytes = 0;
  readonly framing: Framing;
  /** HTTP/2: the client's stream has ended, with these trailers. What is here of the body may not be taken yet. */
  ending: ParsedFields | undefined;
  /** HTTP/2: what is taken is content. */
  readonly #bare: boolean;
  #remaining: number;
  #most = Infinity;
  #decoder: BodyDecoder | undefined;
  #to: BodyOut | undefined;
  #reserved: ReadonlySet<string> = NONE;

  constructor({ framing, version }: Pick<RequestHead, 'framing' | 'version'>) {
    this.framing = framing;
    this.#bare = version === '2';
    this.#remaining = framing.kind === 'length' ? framing.length : 0;
    this.complete = framing.kind !== 'chunked' && this.#remaining === 0;
  }

  /**
   * Where it goes from now on; before, it is read and dropped. `most` is Api.limits.bodyBytes (0: unlimited), `reserved`
   * the folded names that no trailer may carry.
   */
  sendTo(out: BodyOut, most: number, reserved: ReadonlySet<string>): void {
    this.#to = out;
    this.#reserved = reserved;
    if (most > 0) this.#most = most;
  }

  /** What comes from now on is read and dropped. */
  drop(): void {
    this.#to = undefined;
    this.#most = Infinity;
  }

  /** The whole of a counted body was sent in another way. */
  skip(length: number): void {
    this.#remaining = 0;
    this.bytes = length;
    this.complete = true;
  }

  /** Whether the app wants no more for now. */
  get blocked(): boolean {
    return this.#to?.blocked === true;
  }

  /** Takes what belongs to the body; answers how many bytes that was, or what is wrong with it. */
  take(chunk: Buffer): number | BodyFault {
    if (this.framing.kind === 'length') return this.#takeCounted(chunk);
    if (this.#bare) return this.#takeBare(chunk);
    this.#decoder ??= createChunkedDecoder();
    // Whatever one read holds leaves in one write, however small its chunks.
    const to = this.#to;
    to?.cork();
    const progress = this.#decoder.read(chunk, this);
    to?.uncork();
    if (progress.kind === 'error') return 'MalformedRequest';
    if (this.bytes > this.#most) return 'BodyTooLarge';
    if (progress.kind === 'more') return chunk.length;
    this.complete = true;
    this.#to?.endContent(progress.trailers, this.#reserved);
    return progress.consumed;
  }

  #takeCounted(chunk: Buffer): number {
    const size = Math.min(chunk.length, this.#remaining);
    this.#remaining -= size;
    this.bytes += size;
    this.complete = this.#remaining === 0;
    this.#to?.content(size === chunk.length ? chunk : chunk.subarray(0, size));
    if (this.complete) this.#to?.endContent(undefined, this.#reserved);
    return size;
  }

  #takeBare(chunk: Buffer): number | BodyFault {
    if (chunk.length > 0) this.data(chunk);
    return this.bytes > this.#most ? 'BodyTooLarge' : chunk.length;
  }

  /** HTTP/2: everything was taken that came before `ending`. True: the body is complete by that. */
  finish(): boolean {
    if (this.ending === undefined || this.complete || this.framing.kind !== 'chunked') return false;
    this.complete = true;
    this.#to?.endContent(this.ending, this.#reserved);
    return true;
  }

  /** A piece of chunked content. */
  data(slice: Uint8Array): void {
    this.bytes += slice.length;
    // Beyond the bound nothing more reaches the app; take() says so when the chunk is through.
    if (this.bytes <= this.#most) this.#to?.content(slice);
  }
}
