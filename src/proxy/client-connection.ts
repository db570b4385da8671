/** One connection of a client: reads heads, lets one exchange at a time happen, holds what is pipelined, ends in order. */
import type { Reason } from '../api/reasons.ts';
import { createRequestReader, type FieldLines, type RequestHead, type RequestReader } from '../http/message.ts';
import { AcceptedClient, type ClientSocket } from './accepted-client.ts';
import { WireAnswer } from './answer-writer.ts';
import type { AnswerWriter, Downstream, Flushing } from './downstream.ts';
import { Exchange } from './exchange.ts';
import { describeFault } from './fault.ts';
import { createOpening, type Opening } from './http2/opening.ts';
import type { Listener } from './listener.ts';
import { renderFault, renderRefusal } from './reply.ts';
import { resetSocket } from './reset-socket.ts';
import type { Shared } from './shared.ts';
import type { Upstream } from './upstream.ts';
import type { Sweepable } from './sweep.ts';

/** How much of an unread body is discarded, and for how long, so that a reset does not hide the answer. */
const LINGER_BYTES = 256 * 1024;
const LINGER_MS = 2000;
/** After this time without a request a connection gives back what it remembers of the last. */
const REST_MS = 1000;
/** Bytes of later requests that are held while one is served. */
const HELD_BYTES = 64 * 1024;

type State = 'reading' | 'exchange' | 'lingering' | 'closed';

export class ClientConnection extends AcceptedClient implements Downstream, Sweepable {
  /** X-Forwarded-* of its requests, remembered with the host that they name. */
  forwarding: { readonly host: string; readonly lines: FieldLines } | undefined;
  /** The client has sent its FIN: no request after those already here. */
  ended = false;
  /** An app connection that NTLM has tied to this client. */
  pinned: Upstream | undefined;
  exchange: Exchange | undefined;
  #state: State = 'reading';
  /** Absent while the connection rests: 10,000 idle connections must not hold 10,000 last heads. */
  #reader: RequestReader | undefined;
  /** Monotonic time since which nothing has come. */
  #restingSince: number;
  #limits: object | undefined;
  #held: Buffer | undefined;
  #deadline = Infinity;
  #discarded = 0;
  /** The answer whose last bytes the client has yet to take before the connection ends. */
  #last: Flushing | undefined;
  #busy = false;
  /** Until it is known which HTTP a plaintext client speaks. */
  #opening: Opening | undefined;

  constructor(client: ClientSocket, listener: Listener, shared: Shared) {
    super(client, listener, shared);
    this.#restingSince = shared.monotonic();
    // The first request gets the clock of a head from the start: a silent connection is not an idle one yet.
    this.#deadline = this.#restingSince + this.#headTimeout();
    const { socket } = client;
    const on = {
      data: (chunk: Buffer) => this.#onData(chunk),
      end: () => this.#onEnd(),
      drain: () => this.#onDrain(),
      close: () => this.#onClose(),
    };
    socket.on('data', on.data).on('end', on.end).on('drain', on.drain).on('close', on.close);
    socket.on('error', () => undefined);
    this.#opening = createOpening(client, listener, () =>
      socket.off('data', on.data).off('end', on.end).off('drain', on.drain).off('close', on.close),
    );
    shared.sweep.add(this);
  }

  get wire(): this {
    return this;
  }

  get closed(): boolean {
    return this.#state === 'closed';
  }

  get heldBytes(): number {
    return this.socket.writableLength;
  }

  get idle(): boolean {
    return this.#state === 'reading' && !this.#hasBegun() && this.#held === undefined;
  }

  pause(): void {
    if (!this.socket.isPaused()) this.socket.pause();
  }

  resume(): void {
    if (this.socket.isPaused()) this.socket.resume();
  }

  /** Keeps bytes that belong to the next request; the socket rests until they are looked at. */
  hold(bytes: Buffer): void {
    this.#held = this.#held === undefined ? bytes : Buffer.concat([this.#held, bytes]);
    this.pause();
    // One more read may have been under way when the socket was paused; more than that is a flood.
    if (this.#held.length > 4 * HELD_BYTES) this.reset();
  }

  sayContinue(): void {
    this.socket.write('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
  }

  answerWith(exchange: Exchange): AnswerWriter {
    return new WireAnswer(this, exchange);
  }

  /** What was held, for a tunnel that it belongs to. */
  takeHeld(): Buffer | undefined {
    const held = this.#held;
    this.#held = undefined;
    return held;
  }

  /** The exchange has written its whole answer, which hears, if it is the last, whether it left as a whole. */
  finish(close: boolean, now: number, answer: Flushing): void {
    this.exchange = undefined;
    if (this.#state === 'closed') return answer.flushed(this.socket.writableLength, now);
    if (close || (this.ended && this.#held === undefined)) {
      this.#last = answer;
      return this.linger();
    }
    // What is left goes on leaving, and the next answer waits for it.
    answer.flushed(0, now);
    this.#state = 'reading';
    this.#deadline = now + this.#clientIdle();
    this.#restingSince = now;
    if (!this.#busy) this.#serveHeld();
  }

  /**
   * Half-closes, discards a little of what still comes, then closes: a reset would hide the answer (RFC 9112 section 9.6).
   * What is written but not yet taken by the system goes first, under the clock of a stalled answer.
   */
  linger(): void {
    if (this.#state === 'closed') return;
    this.#state = 'lingering';
    this.#held = undefined;
    this.#discarded = 0;
    const now = this.shared.monotonic();
    if (this.socket.writableLength === 0) this.#halfClose(now);
    else {
      this.#deadline = now + (this.#last?.idleMs ?? this.#clientIdle());
      // Not end(): after it the system refuses to reset, and a FIN would pass off a part as the whole.
      this.socket.write('', () => this.#halfClose(this.shared.monotonic()));
    }
    this.resume();
  }

  /** Everything written is with the system. */
  #halfClose(now: number): void {
    if (this.#state !== 'lingering' || this.socket.destroyed) return;
    this.#conclude(now);
    this.#deadline = now + LINGER_MS;
    this.socket.end();
  }

  /** Tells the last answer how many bytes of it are left, of which the system may have taken some. */
  #conclude(now: number): void {
    const last = this.#last;
    this.#last = undefined;
    last?.flushed(this.socket.writableLength, now);
  }

  /** Of a connection that lingers: an answer that is not yet out must not look whole. */
  #cut(): void {
    if (this.socket.writableEnded) this.socket.destroy();
    else this.reset();
  }

  /** Ends the client's stream so that it cannot be taken for a whole answer. */
  reset(): void {
    if (this.#state === 'closed') return;
    if (this.#last !== undefined) this.#conclude(this.shared.monotonic());
    // Below TLS too: no close_notify, so the truncation is visible there as well.
    // After close_notify a FIN may be under way, and the system refuses to reset.
    if (this.socket.writableEnded) this.raw.destroy();
    else resetSocket(this.raw);
    this.socket.destroy();
  }

  /** Closes if nothing is in flight; used when the process stops. */
  closeIdle(): void {
    if (this.#state === 'reading' && !this.#hasBegun() && this.#held === undefined) this.linger();
  }

  sweep(now: number): void {
    if (this.exchange !== undefined) this.exchange.sweep(now);
    else if (this.#deadline <= now) this.#expire();
    else if (now - this.#restingSince > REST_MS && this.idle) this.#reader = undefined;
  }

  #expire(): void {
    this.#deadline = Infinity;
    if (this.#state === 'lingering') return this.#cut();
    if (this.#state !== 'reading') return;
    if (!this.#hasBegun()) return this.linger();
    this.#refuse('RequestTimeout');
  }

  #onData(chunk: Buffer): void {
    try {
      if (this.#state === 'exchange') this.exchange?.onClientData(chunk);
      else if (this.#state === 'reading') this.#read(chunk);
      else if (this.#state === 'lingering') {
        this.#discarded += chunk.length;
        if (this.#discarded > LINGER_BYTES) this.#cut();
      }
    } catch (error) {
      this.fault(error);
    }
  }

  /** The first bytes of a plaintext connection, until they tell HTTP/1.1 from HTTP/2. */
  #open(opening: Opening, chunk: Buffer): void {
    const found = opening.look(chunk);
    if (found.kind === 'more') return;
    this.#opening = undefined;
    if (found.kind === 'http1') return this.#read(found.bytes);
    if (found.kind === 'refused') return this.#refuse('VersionNotSupported');
    this.#state = 'closed';
    this.shared.sweep.remove(this);
    this.listener.forget(this);
    this.listener.serveHttp2(this);
  }

  #read(chunk: Buffer): void {
    if (this.#opening !== undefined) return this.#open(this.#opening, chunk);
    const text = chunk.toString('latin1', 0, chunk.length);
    const started = this.#hasBegun();
    const reader = this.#currentReader(started);
    const progress = reader.read(text);
    if (progress.kind === 'error') return this.#refuse(progress.reason);
    if (progress.kind === 'more') {
      if (!started) this.#deadline = this.shared.monotonic() + this.#headTimeout();
      return;
    }
    reader.reset();
    this.#begin(progress.head, progress.consumed < chunk.length ? chunk.subarray(progress.consumed) : undefined);
  }

  #begin(head: RequestHead, rest: Buffer | undefined): void {
    const wasBusy = this.#busy;
    this.#busy = true;
    this.#state = 'exchange';
    const exchange = new Exchange(this, head);
    this.exchange = exchange;
    exchange.begin(rest);
    this.#busy = wasBusy;
    if (!wasBusy) this.#serveHeld();
  }

  /** Requests that came in one piece with earlier ones; a loop, since their answers may be made on the spot. */
  #serveHeld(): void {
    if (this.#state !== 'reading') return;
    this.#busy = true;
    // A client that sends but does not read is not served further until it does.
    while (this.#isReading() && this.#held !== undefined && !this.socket.writableNeedDrain) {
      const chunk = this.#held;
      this.#held = undefined;
      this.#read(chunk);
    }
    this.#busy = false;
    if (!this.#isReading() || this.#held !== undefined) return;
    if (this.ended) this.linger();
    else this.resume();
  }

  // A method, so that the compiler does not believe that the state stays what it was.
  #isReading(): boolean {
    return this.#state === 'reading';
  }

  #refuse(reason: Reason): void {
    const { text, record } = renderRefusal(this.shared, this.listener, reason, this.#reader?.method ?? '');
    this.socket.write(text, 'latin1');
    this.shared.telemetry.request(record);
    this.linger();
  }

  /** Something unforeseen was thrown: nothing is forwarded, the connection ends, the process goes on. */
  fault(error: unknown): void {
    const { log } = this.shared.telemetry;
    log.error(describeFault(error), 'request failed');
    const exchange = this.exchange;
    this.exchange = undefined;
    if (exchange?.abandon() === true) return this.reset();
    if (this.#state === 'closed' || this.#state === 'lingering') return;
    this.socket.write(renderFault(this.shared), 'latin1');
    this.linger();
  }

  #onDrain(): void {
    try {
      if (this.exchange !== undefined) this.exchange.onClientDrain();
      else this.#serveHeld();
    } catch (error) {
      this.fault(error);
    }
  }

  #onEnd(): void {
    this.ended = true;
    try {
      if (this.exchange !== undefined) this.exchange.onClientEnd();
      else if (this.#state === 'reading' && this.#held === undefined) this.linger();
    } catch (error) {
      this.fault(error);
    }
  }

  #onClose(): void {
    this.#state = 'closed';
    if (this.#last !== undefined) this.#conclude(this.shared.monotonic());
    this.shared.sweep.remove(this);
    this.listener.forget(this);
    const exchange = this.exchange;
    this.exchange = undefined;
    exchange?.onClientClosed();
    this.pinned?.destroy();
    this.pinned = undefined;
  }

  /** Whether a part of a head is here. */
  #hasBegun(): boolean {
    return this.#reader?.started === true;
  }

  /** A new generation may have other limits; they hold from the next head on. */
  #currentReader(started: boolean): RequestReader {
    const { limits } = this.listener;
    if (this.#reader === undefined || (!started && this.#limits !== limits)) {
      this.#limits = limits;
      this.#reader = createRequestReader(limits, this.shared.names);
    }
    return this.#reader;
  }

  #headTimeout(): number {
    return this.listener.limits.headTimeout;
  }

  #clientIdle(): number {
    return this.listener.limits.clientIdle;
  }
}
