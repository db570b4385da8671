/** One request of an HTTP/2 client: its stream, as the exchange sees it. */
import type { ServerHttp2Stream } from 'node:http2';
import type { Reason } from '../../api/reasons.ts';
import { isGrpcCall } from '../../decision/grpc-answer.ts';
import { createFieldList } from '../../http/fields.ts';
import { readHttp2Request, readHttp2Trailers } from '../../http/http2-request.ts';
import type { FieldLines, ParsedFields, RequestHead } from '../../http/message.ts';
import type { Peer } from '../../trust/trust.ts';
import type { AnswerWriter, Downstream, Flushing } from '../downstream.ts';
import { Exchange } from '../exchange.ts';
import { describeFault } from '../fault.ts';
import type { Handshake } from '../handshake.ts';
import type { ActiveListener, Listener } from '../listener.ts';
import { describeRefusal } from '../reply.ts';
import type { Shared } from '../shared.ts';
import type { ClientSession } from './client-session.ts';
import { cutStream } from './cut.ts';
import { CODE } from './load.ts';
import { StreamAnswer, writeReply } from './stream-answer.ts';

/** What is left of an answer after the client's FIN moves on within this time, or never: no window will be granted. */
const LINGER_MS = 2000;
const NO_TRAILERS: ParsedFields = createFieldList();

export class ClientStream implements Downstream {
  readonly session: ClientSession;
  readonly stream: ServerHttp2Stream;
  /** Streams share their connection: nothing of it becomes a tunnel, or is tied to one of them. */
  readonly wire = undefined;
  pinned: undefined;
  #exchange: Exchange | undefined;
  #answer: StreamAnswer | undefined;
  /** The answer is written, as far as we are concerned. */
  #last: Flushing | undefined;
  #deadline = Infinity;
  #trailers: ParsedFields = NO_TRAILERS;
  /** We have ended it, or it was answered. */
  #ours = false;
  #closed = false;
  /** What the client still sends is to be refused once the trailers are out. */
  #behindTrailers = false;
  /** Since the client's FIN: what waited for it when it was last looked at, and since when that has not changed. */
  #stuck: { bytes: number; since: number } | undefined;

  constructor(session: ClientSession, stream: ServerHttp2Stream) {
    this.session = session;
    this.stream = stream;
    stream.on('error', ignore);
    stream.on('close', () => this.onClosed());
  }

  get shared(): Shared {
    return this.session.shared;
  }

  get listener(): Listener {
    return this.session.listener;
  }

  get peer(): string {
    return this.session.peer;
  }

  get dialled(): string | undefined {
    return this.session.dialled;
  }

  get handshake(): Handshake | undefined {
    return this.session.handshake;
  }

  get peerTrust(): { readonly active: ActiveListener; readonly trusted: boolean } | undefined {
    return this.session.peerTrust;
  }

  set peerTrust(trust) {
    this.session.peerTrust = trust;
  }

  get stranger(): Peer | undefined {
    return this.session.stranger;
  }

  set stranger(peer) {
    this.session.stranger = peer;
  }

  get forwarding(): { readonly host: string; readonly lines: FieldLines } | undefined {
    return this.session.forwarding;
  }

  set forwarding(forwarding) {
    this.session.forwarding = forwarding;
  }

  /** `pairs` is the field section of its HEADERS; `ends`: no body follows. */
  begin(pairs: string[], ends: boolean): void {
    try {
      const read = readHttp2Request(pairs, ends, this.listener.limits, this.shared.names);
      if (read.kind === 'malformed') this.#malformed();
      else if (read.kind === 'refused')
        this.#refuse(read.reason, read.method, isGrpcCall(read.method, findType(pairs)));
      else this.#serve(read.head);
    } catch (error) {
      this.fault(error);
    }
  }

  /** A stream error, not an answer: what is malformed is not to be understood (RFC 9113 section 8.1.1). */
  #malformed(): void {
    this.shared.telemetry.request(describeRefusal(this.shared, this.listener, 'MalformedRequest', '').record);
    this.stream.close(CODE.protocol);
  }

  #refuse(reason: Reason, method: string, grpc: boolean): void {
    const { denial, record, requestId } = describeRefusal(this.shared, this.listener, reason, method);
    const bare = method === 'HEAD';
    const sent = writeReply(this.stream, this.shared, denial, { requestId, realm: '', bare, grpc });
    this.shared.telemetry.request({ ...record, status: sent.status, bytesOut: sent.bodyBytes });
    this.#end(false);
  }

  #serve(head: RequestHead): void {
    const exchange = new Exchange(this, head);
    this.#exchange = exchange;
    const { stream } = this;
    stream.on('drain', () => this.#guard(() => this.#onDrain()));
    if (!exchange.body.complete) this.#listenToBody();
    exchange.begin(undefined);
  }

  #listenToBody(): void {
    const { stream } = this;
    stream.on('data', (chunk: Buffer) => this.#guard(() => this.#exchange?.onClientData(chunk)));
    stream.on('trailers', (_: object, __: number, pairs?: string[]) => {
      const trailers = readHttp2Trailers(pairs ?? [], this.shared.names);
      if (trailers === undefined) this.#malformed();
      else this.#trailers = trailers;
    });
    // Of a stream that was reset, or whose connection has gone, it is said too. A whole one waits for our half.
    stream.on('end', () => {
      if (!stream.closed && !stream.destroyed) this.#guard(() => this.#exchange?.onClientBodyEnd(this.#trailers));
    });
  }

  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.fault(error);
    }
  }

  pause(): void {
    this.stream.pause();
  }

  resume(): void {
    if (this.stream.isPaused()) this.stream.resume();
  }

  /** Nothing can come behind a body here. */
  hold(): void {
    this.reset();
  }

  sayContinue(): void {
    if (!this.stream.headersSent && !this.stream.destroyed) this.stream.additionalHeaders({ ':status': 100 });
  }

  answerWith(exchange: Exchange): AnswerWriter {
    return (this.#answer = new StreamAnswer(this.stream, exchange));
  }

  finish(_: boolean, now: number, answer: Flushing): void {
    const whole = this.#exchange?.body.complete === true;
    this.#exchange = undefined;
    if (this.#closed) return answer.flushed(this.stream.writableLength, now);
    this.#last = answer;
    this.#deadline = now + answer.idleMs;
    this.#end(whole);
  }

  /** Answered. A body that nobody reads any more is refused, without taking the answer back (RFC 9113 section 8.1). */
  #end(whole: boolean): void {
    this.#ours = true;
    const { stream } = this;
    if (whole || stream.closed) return this.resume();
    if (this.#answer?.trailing !== true) return stream.close(CODE.none);
    this.#behindTrailers = true;
    stream.once('wantTrailers', () => setImmediate(() => this.#closeBehindTrailers()));
  }

  /** Closed before its trailers have left, a stream loses them (Node 24.21). */
  #closeBehindTrailers(): void {
    if (this.stream.destroyed || this.stream.state.localClose !== 1) return;
    this.#behindTrailers = false;
    this.stream.close(CODE.none);
  }

  reset(): void {
    this.#ours = true;
    cutStream(this.stream);
  }

  fault(error: unknown): void {
    this.shared.telemetry.log.error(describeFault(error), 'request failed');
    const exchange = this.#exchange;
    this.#exchange = undefined;
    if (exchange?.abandon() === true || this.stream.headersSent || this.stream.destroyed) return this.reset();
    this.stream.respond([':status', '500', 'date', this.shared.date()], { endStream: true });
    this.#end(false);
  }

  #onDrain(): void {
    if (this.#stuck !== undefined) this.#stuck = { bytes: 0, since: this.shared.monotonic() };
    this.#exchange?.onClientDrain();
  }

  /** The client has sent its FIN. After a whole request that is no abort; within its body it is. */
  onClientEnd(now: number): void {
    this.#stuck = { bytes: 0, since: now };
    // A whole one may still be waiting to be read.
    if (this.stream.state.remoteClose !== 1) this.#guard(() => this.#exchange?.onClientEnd());
  }

  /** A client that is gone would keep what it was promised: nobody is left to open the window of its answer. */
  #isStuck(now: number): boolean {
    const [stuck, bytes] = [this.#stuck, this.stream.writableLength];
    if (stuck === undefined) return false;
    if (bytes > 0 && bytes === stuck.bytes) return now - stuck.since >= LINGER_MS;
    this.#stuck = { bytes, since: now };
    return false;
  }

  sweep(now: number): void {
    if (this.#isStuck(now)) this.#giveUp();
    else this.#sweepAnswer(now);
  }

  #giveUp(): void {
    if (this.#exchange === undefined) this.reset();
    else this.#exchange.abort();
  }

  #sweepAnswer(now: number): void {
    if (this.#exchange !== undefined) this.#exchange.sweep(now);
    else if (this.#deadline <= now) this.reset();
    else if (this.#behindTrailers) this.#closeBehindTrailers();
  }

  /** The stream, or its connection, is gone. */
  onClosed(): void {
    if (this.#closed) return;
    this.#closed = true;
    const now = this.shared.monotonic();
    const [exchange, last] = [this.#exchange, this.#last];
    this.#exchange = undefined;
    this.session.forget(this, !this.#ours);
    last?.flushed(this.stream.writableFinished ? 0 : this.stream.writableLength, now);
    exchange?.onClientClosed();
  }
}

const ignore = (): void => undefined;

function findType(pairs: readonly string[]): string | undefined {
  const at = pairs.indexOf('content-type');
  return at >= 0 && at % 2 === 0 ? pairs[at + 1] : undefined;
}
