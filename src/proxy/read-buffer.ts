/**
 * What one connection to the app reads into. All connections share one buffer, which spares an allocation for each read;
 * its bytes must be copied to last. A connection over which a large body streams gets one of its own: its bytes are
 * written on as they stand, and only when the client is slower than the app it gets another.
 */

/** Of plain connections: fewer and larger reads; memory that is never read into is never resident. */
const OWN_BYTES = 256 * 1024;
/** TLS gives its content record by record (RFC 8446 section 5.1). */
const RECORD_BYTES = 16 * 1024;

export class ReadBuffer {
  readonly #shared: Buffer;
  readonly #ownBytes: number;
  /** A read of this size says that more is under way. */
  readonly #largeRead: number;
  #own: Buffer | undefined;

  constructor(shared: Buffer, isTls: boolean) {
    this.#shared = shared;
    this.#ownBytes = isTls ? RECORD_BYTES : OWN_BYTES;
    this.#largeRead = isTls ? RECORD_BYTES : shared.length;
  }

  /** What the next read goes into. */
  get current(): Buffer {
    return this.#own ?? this.#shared;
  }

  /** A read of `size` bytes was passed on. */
  noteRead(size: number): void {
    if (this.#own === undefined && size >= this.#largeRead) this.#own = Buffer.allocUnsafeSlow(this.#ownBytes);
  }

  /** A slice of what was read last: itself if no other connection reads there, else a copy. */
  lend(slice: Uint8Array): Uint8Array {
    return this.#own?.buffer === slice.buffer ? slice : Buffer.from(slice);
  }

  /** Something that was lent is still in use: nothing is read over it. */
  keep(): void {
    if (this.#own !== undefined) this.#own = Buffer.allocUnsafeSlow(this.#ownBytes);
  }

  /** The large body is over. */
  rest(): void {
    this.#own = undefined;
  }
}
