/** The app's answer on its way to the client: head rewritten in the same pass, body streamed, framed afresh. */
import { createChunkedDecoder, type BodyDecoder, type BodySink } from '../http/body.ts';
import {
  renderFields,
  renderResponse,
  type FieldLines,
  type ResponseHead,
  type ResponseRendering,
} from '../http/message.ts';
import { planAnswer, recallAnswer, rememberAnswer, type AnswerPlan, type RememberedAnswer } from './answer-plan.ts';
import { BodyRewriter } from './body-rewriter.ts';
import { latin1, WRITTEN_AS_TEXT, writeChunk, writeLastChunk } from './chunk-writer.ts';
import type { AppExchange } from './app-exchange.ts';
import { connectionHeader, type Exchange } from './exchange.ts';

/** Head and body up to this size leave in one write. */
const ONE_WRITE = 16 * 1024;
/** A rewritten body leaves in pieces of this size. */
const HELD_WRITE = 256 * 1024;

type OutFraming = ResponseRendering['framing'];

export class Answer implements BodySink {
  /** The client has got a head; from now on a failure can only end the stream. */
  started = false;
  /** Server-sent events: an open stream from the start (M7). */
  isEvents = false;
  readonly #toApp: AppExchange;
  readonly #exchange: Exchange;
  #head: ResponseHead | undefined;
  #plan: AnswerPlan | undefined;
  #left = 0;
  #decoder: BodyDecoder | undefined;
  #framing: OutFraming = { kind: 'none' };
  #close = false;
  #rewriter: BodyRewriter | undefined;
  /** What is held back so that head and first bytes leave together. */
  #pending = '';
  #leftover = false;
  /** A rewritten body, as far as it is not yet written. */
  #rest = '';

  constructor(toApp: AppExchange) {
    this.#toApp = toApp;
    this.#exchange = toApp.exchange;
  }

  onData(chunk: Buffer): void {
    if (this.#head === undefined) this.#readHead(chunk);
    else this.#readBody(chunk);
  }

  #readHead(chunk: Buffer): void {
    const { head: request } = this.#exchange;
    const { upstream } = this.#toApp;
    if (upstream === undefined) return;
    let at = 0;
    for (;;) {
      const text = chunk.toString('latin1', at, chunk.length);
      const progress = upstream.reader.read(text, request.method);
      if (progress.kind === 'more') return;
      if (progress.kind === 'error') return this.#exchange.fail('AppProtocolError');
      at += progress.consumed;
      const { head } = progress;
      if (head.status === 101) return this.#upgrade(head, chunk, at);
      if (head.status >= 200) return this.#start(head, chunk, at);
      this.#inform(head);
      if (at === chunk.length) return;
    }
  }

  #upgrade(head: ResponseHead, chunk: Buffer, at: number): void {
    const exchange = this.#exchange;
    if (!exchange.head.upgradeWebSocket || !head.upgradeWebSocket) return exchange.fail('AppProtocolError');
    exchange.settleCounts(head.status, head);
    const plan = planAnswer(this.#toApp, head);
    if (typeof plan === 'string') return exchange.fail(plan);
    const text = renderAnswerHead(head, plan, { kind: 'none' }, UPGRADED);
    this.#toApp.upgrade(text, at < chunk.length ? chunk.subarray(at) : undefined);
  }

  /** 100 lets the body come; others pass with the policy's removals, to clients that know of them. */
  #inform(head: ResponseHead): void {
    const exchange = this.#exchange;
    if (head.status === 100) return this.#toApp.continueBody();
    if (exchange.head.version === '1.0') return;
    const plan = planAnswer(this.#toApp, head);
    if (typeof plan === 'string' || plan.body !== undefined) return;
    exchange.client.socket.write(renderAnswerHead(head, plan, { kind: 'none' }, NO_LINES), 'latin1');
  }

  #start(head: ResponseHead, chunk: Buffer, at: number): void {
    const exchange = this.#exchange;
    this.#head = head;
    exchange.answeredAt = exchange.at;
    if (head.status === 401) this.#toApp.reportRefusal();
    exchange.settleCounts(head.status, head);
    let remembered = recallAnswer(this.#toApp, head);
    const plan = remembered?.plan ?? planAnswer(this.#toApp, head);
    if (typeof plan === 'string') return exchange.fail(plan);
    remembered ??= rememberAnswer(this.#toApp, head, plan);
    this.#plan = plan;
    exchange.status = plan.status;
    this.isEvents = isEventStream(head);
    this.#left = head.framing.kind === 'length' ? head.framing.length : 0;
    if (head.framing.kind === 'chunked') this.#decoder = createChunkedDecoder();
    if (plan.body !== undefined) return this.#startReplaced(head, plan, plan.body, chunk, at);
    if (plan.rewrite !== undefined && head.framing.kind !== 'none') this.#rewriter = new BodyRewriter(plan.rewrite);
    else this.#writeHead(head, plan, remembered);
    this.#finishFirst(head, chunk, at);
  }

  #finishFirst(head: ResponseHead, chunk: Buffer, at: number): void {
    if (head.framing.kind === 'none' || (head.framing.kind === 'length' && this.#left === 0)) {
      this.#leftover = at < chunk.length;
      return this.#end();
    }
    if (at < chunk.length) this.#readBody(at === 0 ? chunk : chunk.subarray(at));
    else this.#flush();
  }

  /** The app's body is not told to the client (errorBodies: Replace, respond): its connection is not worth keeping. */
  #startReplaced(head: ResponseHead, plan: AnswerPlan, body: string, chunk: Buffer, at: number): void {
    const exchange = this.#exchange;
    const bytes = Buffer.from(body, 'utf8');
    this.#framing = { kind: 'length', length: bytes.length };
    this.#close = exchange.mustClose();
    const text = this.#render(head, plan);
    this.started = true;
    const bare = exchange.head.method === 'HEAD' || plan.status === 204 || plan.status === 304;
    if (!bare) exchange.bytesOut += bytes.length;
    this.#write(bare ? text : text + bytes.toString('latin1', 0, bytes.length));
    const whole = head.framing.kind === 'none' || (head.framing.kind === 'length' && this.#left === chunk.length - at);
    this.#leftover = !whole;
    this.#end();
  }

  #writeHead(head: ResponseHead, plan: AnswerPlan, remembered?: RememberedAnswer): void {
    const exchange = this.#exchange;
    this.#framing = this.#chooseFraming(head, plan);
    this.#close = exchange.mustClose() || this.#framing.kind === 'until-close';
    this.started = true;
    // The same lines, framing and client: the same text.
    const isPlain = !this.#close && exchange.head.version === '1.1' && remembered !== undefined;
    if (!isPlain) this.#pending = this.#render(head, plan);
    else this.#pending = remembered.text ??= this.#render(head, plan);
  }

  #render(head: ResponseHead, plan: AnswerPlan): string {
    const connection = connectionHeader(this.#exchange.head, this.#close);
    const lines = connection === undefined ? NO_LINES : connection === 'close' ? CLOSE : KEEP_ALIVE;
    return renderAnswerHead(head, plan, this.#framing, lines);
  }

  #chooseFraming(head: ResponseHead, plan: AnswerPlan): OutFraming {
    const { framing } = head;
    if (framing.kind === 'none') {
      const told = plan.rewrite === undefined && head.status !== 204 ? head.contentLength : undefined;
      return told === undefined ? framing : { kind: 'length', length: told };
    }
    if (framing.kind === 'length') return framing;
    return this.#exchange.head.version === '1.1' ? { kind: 'chunked' } : { kind: 'until-close' };
  }

  #readBody(chunk: Buffer): void {
    const kind = this.#head?.framing.kind;
    if (kind === 'length') return this.#readCounted(chunk);
    if (kind === 'until-close') {
      this.data(chunk);
      return this.#flush();
    }
    const progress = this.#decoder?.read(chunk, this) ?? { kind: 'error' };
    if (progress.kind === 'error') return this.#broken();
    if (progress.kind === 'more') return this.#flush();
    this.#leftover = progress.consumed < chunk.length;
    if (this.#rewriter === undefined && this.#framing.kind === 'chunked') {
      this.#flush();
      const { trailers } = progress;
      writeLastChunk(this.#exchange.client.socket, trailers, this.#plan?.hiddenTrailers(trailers) ?? NOTHING);
    }
    this.#end();
  }

  #readCounted(chunk: Buffer): void {
    const size = Math.min(this.#left, chunk.length);
    this.#left -= size;
    this.#leftover = size < chunk.length;
    this.data(size === chunk.length ? chunk : chunk.subarray(0, size));
    if (this.#left === 0) this.#end();
    else this.#flush();
  }

  /** Content for the client. */
  data(slice: Uint8Array): void {
    const { client } = this.#exchange;
    this.#exchange.bytesOut += slice.length;
    if (this.#rewriter !== undefined) {
      if (!this.#rewriter.push(slice)) this.#overflow(this.#rewriter);
      return;
    }
    if (this.#framing.kind === 'chunked') {
      this.#flush();
      writeChunk(client.socket, slice.length <= WRITTEN_AS_TEXT ? slice : Buffer.from(slice));
    } else if (this.#pending !== '' && slice.length <= ONE_WRITE) this.#pending += latin1(slice);
    else {
      client.socket.cork();
      this.#flush();
      // A copy: the next read of any app connection writes over the slice.
      client.socket.write(Buffer.from(slice));
      client.socket.uncork();
    }
  }

  /** More than maxBytes: refused, or from here on passed as it is (P12 onOversize). */
  #overflow(rewriter: BodyRewriter): void {
    const [head, plan] = [this.#head, this.#plan];
    if (rewriter.onOversize === 'Fail' || head === undefined || plan === undefined) return this.#broken();
    this.#rewriter = undefined;
    this.#exchange.bytesOut -= rewriter.size;
    this.#writeHead(head, { ...plan, rewrite: undefined });
    for (const piece of rewriter.pieces) this.data(piece);
  }

  #broken(): void {
    this.#exchange.fail('AppProtocolError');
  }

  #write(text: string): void {
    this.#exchange.client.socket.write(text, 'latin1');
  }

  #flush(): void {
    const { client } = this.#exchange;
    if (this.#pending !== '') {
      const text = this.#pending;
      this.#pending = '';
      this.#write(text);
    }
    if (client.socket.writableNeedDrain) this.#toApp.upstream?.socket.pause();
  }

  /** The app's FIN. */
  onEnd(): void {
    if (this.#head?.framing.kind !== 'until-close') return this.#broken();
    if (this.#framing.kind === 'chunked' && this.#rewriter === undefined) this.#write('0\r\n\r\n');
    this.#end();
  }

  #end(): void {
    const [head, plan] = [this.#head, this.#plan];
    if (this.#toApp.upstream === undefined || head === undefined || plan === undefined) return;
    if (this.#rewriter !== undefined && !this.#writeRewritten(head, plan, this.#rewriter)) return this.#broken();
    this.#flush();
    this.#toApp.letGo(head, !this.#leftover && head.framing.kind !== 'until-close', this.#close);
    if (this.#rest === '') this.#toApp.answered(this.#close);
    else this.writeOn();
  }

  /** The next piece of a rewritten body: a client that reads slowly is given as much as it takes, as if it were streamed. */
  writeOn(): void {
    const { socket } = this.#exchange.client;
    while (this.#rest !== '' && !socket.writableNeedDrain) {
      const piece = this.#rest.slice(0, HELD_WRITE);
      this.#rest = this.#rest.slice(HELD_WRITE);
      this.#exchange.bytesOut += piece.length;
      this.#write(piece);
      if (this.#rest === '') this.#toApp.answered(this.#close);
    }
  }

  #writeRewritten(head: ResponseHead, plan: AnswerPlan, rewriter: BodyRewriter): boolean {
    const text = rewriter.rewritten();
    if (text === undefined) return false;
    this.#framing = { kind: 'length', length: text.length };
    this.#close = this.#exchange.mustClose();
    this.started = true;
    const first = text.length <= HELD_WRITE ? text : '';
    this.#rest = text.length <= HELD_WRITE ? '' : text;
    this.#exchange.bytesOut += first.length - rewriter.size;
    this.#write(this.#render(head, plan) + first);
    return true;
  }
}

const NOTHING: ReadonlySet<string> = new Set();
const NO_LINES = renderFields([]);
const CLOSE = renderFields([['Connection', 'close']]);
const KEEP_ALIVE = renderFields([['Connection', 'keep-alive']]);
const UPGRADED = renderFields([
  ['Connection', 'Upgrade'],
  ['Upgrade', 'websocket'],
]);

function renderAnswerHead(head: ResponseHead, plan: AnswerPlan, framing: OutFraming, extra: FieldLines): string {
  return renderResponse({
    status: plan.status,
    fields: head,
    drop: 0,
    reserved: NOTHING,
    connectionNames: head.connectionNames,
    edits: plan.edits,
    framing,
    extra,
  });
}

function isEventStream(head: ResponseHead): boolean {
  const at = head.lower.indexOf('content-type');
  return at >= 0 && /^text\/event-stream\b/i.test(head.values[at] ?? '');
}
