/** Answers of an HTTP/1.1 app: heads and bodies read off the connection's bytes. */
import { createChunkedDecoder, type BodyDecoder, type BodySink } from '../http/body.ts';
import type { ParsedFields, ResponseHead, ResponseReader } from '../http/message.ts';
import { beginsHttp2 } from './misspoken.ts';

/** Who is told what the app answers. Nothing comes after `end`, `broken`, `misspoken`, or a `start` that was not wanted. */
export interface AnswerSink extends BodySink {
  /** A 1xx other than 101. */
  inform(head: ResponseHead): void;
  /** 101; `rest` came behind its head. */
  upgrade(head: ResponseHead, rest: Buffer | undefined): void;
  /** The final head, and how many bytes of body came with it. False: nothing more of the answer is wanted. */
  start(head: ResponseHead, behind: number): boolean;
  /** Everything that has come is passed on. */
  flush(): void;
  /** `clean`: the connection may carry another answer. */
  end(trailers: ParsedFields | undefined, clean: boolean): void;
  /** The app does not speak HTTP. */
  broken(): void;
  /** It speaks HTTP/2. */
  misspoken(): void;
}

export class AnswerReader {
  readonly #reader: ResponseReader;
  readonly #method: string;
  readonly #sink: AnswerSink;
  #kind: ResponseHead['framing']['kind'] | undefined;
  #left = 0;
  #decoder: BodyDecoder | undefined;

  constructor(reader: ResponseReader, method: string, sink: AnswerSink) {
    this.#reader = reader;
    this.#method = method;
    this.#sink = sink;
  }

  onData(chunk: Buffer): void {
    if (this.#kind === undefined) this.#readHead(chunk);
    else this.#readBody(chunk);
  }

  /** The app's FIN. */
  onEnd(): void {
    if (this.#kind === 'until-close') this.#sink.end(undefined, false);
    else this.#sink.broken();
  }

  #readHead(chunk: Buffer): void {
    let at = 0;
    for (;;) {
      const text = chunk.toString('latin1', at, chunk.length);
      const progress = this.#reader.read(text, this.#method);
      if (progress.kind === 'more') return;
      if (progress.kind === 'error') return beginsHttp2(text) ? this.#sink.misspoken() : this.#sink.broken();
      at += progress.consumed;
      const { head } = progress;
      if (head.status === 101) return this.#sink.upgrade(head, at < chunk.length ? chunk.subarray(at) : undefined);
      if (head.status >= 200) return this.#start(head, chunk, at);
      this.#sink.inform(head);
      if (at === chunk.length) return;
    }
  }

  #start(head: ResponseHead, chunk: Buffer, at: number): void {
    const { framing } = head;
    this.#kind = framing.kind;
    this.#left = framing.kind === 'length' ? framing.length : 0;
    if (framing.kind === 'chunked') this.#decoder = createChunkedDecoder();
    if (!this.#sink.start(head, chunk.length - at)) return;
    if (framing.kind === 'none' || (framing.kind === 'length' && this.#left === 0)) {
      return this.#sink.end(undefined, at === chunk.length);
    }
    if (at < chunk.length) this.#readBody(at === 0 ? chunk : chunk.subarray(at));
    else this.#sink.flush();
  }

  #readBody(chunk: Buffer): void {
    if (this.#kind === 'length') return this.#readCounted(chunk);
    if (this.#kind === 'until-close') {
      this.#sink.data(chunk);
      return this.#sink.flush();
    }
    const progress = this.#decoder?.read(chunk, this.#sink) ?? { kind: 'error' };
    if (progress.kind === 'error') this.#sink.broken();
    else if (progress.kind === 'more') this.#sink.flush();
    else this.#sink.end(progress.trailers, progress.consumed === chunk.length);
  }

  #readCounted(chunk: Buffer): void {
    const size = Math.min(this.#left, chunk.length);
    this.#left -= size;
    this.#sink.data(size === chunk.length ? chunk : chunk.subarray(0, size));
    if (this.#left === 0) this.#sink.end(undefined, size === chunk.length);
    else this.#sink.flush();
  }
}
