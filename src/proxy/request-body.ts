/** The body of one request on its way from the client to the app: counted, bounded, framed afresh, never held. */
import type { Socket } from 'node:net';
import { createChunkedDecoder, type BodyDecoder, type BodySink } from '../http/body.ts';
import type { Framing } from '../http/message.ts';
import { writeChunk, writeLastChunk } from './chunk-writer.ts';

export type BodyFault = 'MalformedRequest' | 'BodyTooLarge';

export class RequestBody implements BodySink {
  /** Every byte of it has been read from the client. */
  complete: boolean;
  /** Bytes of content so far. */
  bytes = 0;
  readonly framing: Framing;
  #remaining: number;
  #most = Infinity;
  #decoder: BodyDecoder | undefined;
  #to: Socket | undefined;
  #reserved: ReadonlySet<string> = new Set();

  constructor(framing: Framing) {
    this.framing = framing;
    this.#remaining = framing.kind === 'length' ? framing.length : 0;
    this.complete = framing.kind !== 'chunked' && this.#remaining === 0;
  }

  /**
   * Where it goes from now on; before, it is read and dropped. `most` is Api.limits.bodyBytes (0: unlimited), `reserved`
   * the folded names that no trailer may carry.
   */
  sendTo(socket: Socket, most: number, reserved: ReadonlySet<string>): void {
    this.#to = socket;
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

  /** Whether the app's socket wants no more for now. */
  get blocked(): boolean {
    return this.#to?.writableNeedDrain === true;
  }

  /** Takes what belongs to the body; answers how many bytes that was, or what is wrong with it. */
  take(chunk: Buffer): number | BodyFault {
    if (this.framing.kind === 'length') return this.#takeCounted(chunk);
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
    if (this.#to !== undefined) writeLastChunk(this.#to, progress.trailers, this.#reserved);
    return progress.consumed;
  }

  #takeCounted(chunk: Buffer): number {
    const size = Math.min(chunk.length, this.#remaining);
    this.#remaining -= size;
    this.bytes += size;
    this.complete = this.#remaining === 0;
    this.#to?.write(size === chunk.length ? chunk : chunk.subarray(0, size));
    return size;
  }

  /** A piece of chunked content. */
  data(slice: Uint8Array): void {
    this.bytes += slice.length;
    // Beyond the bound nothing more reaches the app; take() says so when the chunk is through.
    if (this.#to !== undefined && this.bytes <= this.#most) writeChunk(this.#to, slice);
  }
}
