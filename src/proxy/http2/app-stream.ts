/** One exchange with an HTTP/2 app: its stream. */
import type { ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import { readHttp2Trailers } from '../../http/http2-request.ts';
import { readHttp2Response } from '../../http/http2-response.ts';
import { listRequest, listTrailers } from '../../http/http2-lists.ts';
import type { ParsedFields, RequestRendering } from '../../http/message.ts';
import type { RememberedAnswer } from '../answer-plan.ts';
import type { AppLink, UpstreamUser } from '../app-link.ts';
import { RESPONSE_LIMITS } from '../upstream.ts';
import type { AppSession } from './app-session.ts';
import { cancelStream, watchEnd } from './cut.ts';
import { CODE } from './load.ts';

/** Flag of a HEADERS frame. */
const END_STREAM = 1;
/** As for HTTP/1.1 (response-reader.ts). */
const MOST_INFORMATIONAL = 16;

export class AppStream implements AppLink {
  reused: boolean;
  readonly wire = undefined;
  refused = false;
  /** Fields of a stream are read anew each time. */
  remembered: RememberedAnswer | undefined;
  readonly #session: AppSession;
  #user: UpstreamUser | undefined;
  #stream: ClientHttp2Stream | undefined;
  /** The last piece of the body, held back so that the end of the stream leaves with it. */
  #piece: Uint8Array | undefined;
  #flushing: NodeJS.Immediate | undefined;
  /** Something of the answer has come since the last flush. */
  #heard = false;
  #awaitsTrailers = false;
  #informed = 0;
  #answered = false;
  #trailers: ParsedFields | undefined;
  #released = false;

  constructor(session: AppSession, user: UpstreamUser) {
    this.#session = session;
    this.#user = user;
    this.reused = session.reused;
  }

  send(request: RequestRendering, ends: boolean): void {
    this.#awaitsTrailers = !ends && request.framing.kind === 'chunked';
    const list = listRequest(request, this.#session.scheme);
    const stream = this.#session.request(list, { endStream: ends, waitForTrailers: this.#awaitsTrailers });
    this.#stream = stream;
    this.#listen(stream);
  }

  sendWhole(request: RequestRendering, body: Buffer): void {
    this.send(request, false);
    this.#stream?.end(body);
  }

  #listen(stream: ClientHttp2Stream): void {
    stream.on('response', (_: object, flags: number, pairs?: string[]) => this.#onHead(flags, pairs ?? []));
    stream.on('headers', (_: IncomingHttpHeaders, flags: number, pairs?: string[]) => this.#onHead(flags, pairs ?? []));
    stream.on('trailers', (_: IncomingHttpHeaders, __: number, pairs?: string[]) => this.#onTrailers(pairs ?? []));
    stream.on('data', (chunk: Buffer) => {
      if (this.#user === undefined) return;
      this.#user.onUpstreamContent(chunk);
      this.#heard = true;
      this.#flushSoon();
    });
    const isWhole = watchEnd(stream);
    stream.on('end', () => {
      if (isWhole() && this.#answered) this.#user?.onUpstreamComplete(this.#trailers);
    });
    stream.on('drain', () => this.#user?.onUpstreamDrain());
    stream.on('error', () => undefined);
    stream.on('close', () => this.#onClose(stream.rstCode));
  }

  #onHead(flags: number, pairs: string[]): void {
    const user = this.#user;
    if (user === undefined) return;
    const asked = { ends: (flags & END_STREAM) !== 0, method: user.method, most: RESPONSE_LIMITS.headers };
    const head = readHttp2Response(pairs, asked, this.#session.names);
    if (head === undefined || (head.status < 200 && ++this.#informed > MOST_INFORMATIONAL)) {
      return user.onUpstreamBroken();
    }
    if (head.status >= 200) {
      this.#answered = true;
      this.#session.reused = true;
    }
    user.onUpstreamHead(head);
    this.#heard = true;
    this.#flushSoon();
  }

  #onTrailers(pairs: string[]): void {
    const trailers = readHttp2Trailers(pairs, this.#session.names);
    if (trailers === undefined) this.#user?.onUpstreamBroken();
    else this.#trailers = trailers;
  }

  /** What has come in one turn of the event loop is passed on together: a unary answer is head, message and trailers. */
  #flushSoon(): void {
    this.#flushing ??= setImmediate(() => {
      this.#flushing = undefined;
      if (this.#heard) this.#user?.onUpstreamFlush();
      this.#heard = false;
      this.#writePiece();
    });
  }

  #onClose(code: number): void {
    const user = this.#user;
    this.refused = code === CODE.refused;
    this.#release();
    // The app's word on this request, or on its own answer: another try would be a second request, not a first that was lost.
    if (!this.#session.session.destroyed) this.reused = false;
    if (this.#session.isForeign) user?.onUpstreamFailed('AppProtocolError', 'NO_HTTP2');
    else if (code === CODE.protocol && !this.#answered) user?.onUpstreamBroken();
    else user?.onUpstreamClosed();
  }

  /** Once: the session has room for another. */
  #release(): void {
    this.#user = undefined;
    if (this.#released) return;
    this.#released = true;
    this.#session.release(!this.#answered && !this.refused);
  }

  get blocked(): boolean {
    return this.#stream?.writableNeedDrain === true;
  }

  cork(): void {
    this.#stream?.cork();
  }

  uncork(): void {
    this.#stream?.uncork();
  }

  content(slice: Uint8Array): void {
    this.#writePiece();
    this.#piece = slice;
    this.#flushSoon();
  }

  #writePiece(): void {
    const piece = this.#piece;
    this.#piece = undefined;
    if (piece !== undefined && this.#isOpen) this.#stream?.write(piece);
  }

  get #isOpen(): boolean {
    return this.#stream !== undefined && !this.#stream.destroyed && !this.#stream.closed;
  }

  endContent(trailers: ParsedFields | undefined, reserved: ReadonlySet<string>): void {
    const [stream, piece] = [this.#stream, this.#piece];
    this.#piece = undefined;
    if (stream === undefined || !this.#isOpen) return;
    const list = listTrailers(trailers, reserved) ?? {};
    if (this.#awaitsTrailers) stream.once('wantTrailers', () => this.#isOpen && stream.sendTrailers(list));
    if (piece === undefined) stream.end();
    else stream.end(piece);
  }

  /** A stream has its bytes to itself. */
  lend(slice: Uint8Array): Uint8Array {
    return slice;
  }

  keep(): void {
    return undefined;
  }

  pause(): void {
    this.#stream?.pause();
  }

  resume(): void {
    if (this.#stream?.isPaused() === true) this.#stream.resume();
  }

  release({ clean }: { readonly clean: boolean }): void {
    if (!clean) return this.destroy();
    this.resume();
    this.#release();
  }

  destroy(): void {
    const stream = this.#stream;
    this.#release();
    // Not within the read that brought it: what nghttp2 finds wrong with the rest would not be told apart from a broken
    // connection (session-errors.ts).
    if (stream !== undefined) setImmediate(() => cancelStream(stream));
  }
}
