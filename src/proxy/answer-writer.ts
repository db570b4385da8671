/** Answers to HTTP/1.1 clients: head rewritten in the same pass, body framed afresh, as few writes as may be. */
import { CHUNK_END, chunkStart } from '../http/body.ts';
import {
  renderFields,
  renderResponse,
  type FieldLines,
  type ParsedFields,
  type RequestHead,
  type ResponseHead,
  type ResponseRendering,
} from '../http/message.ts';
import type { Denial, Respond } from '../decision/verdict.ts';
import type { AnswerPlan, RememberedAnswer } from './answer-plan.ts';
import type { AppLink } from './app-link.ts';
import { latin1, renderLastChunk, WRITTEN_AS_TEXT } from './chunk-writer.ts';
import type { ClientConnection } from './client-connection.ts';
import type { AnswerWriter, SentReply } from './downstream.ts';
import type { Exchange } from './exchange.ts';
import { renderReply } from './reply.ts';

/** A body that is held leaves in pieces of this size. */
const HELD_WRITE = 256 * 1024;

type OutFraming = ResponseRendering['framing'];

export class WireAnswer implements AnswerWriter {
  close = false;
  readonly #client: ClientConnection;
  readonly #exchange: Exchange;
  #framing: OutFraming = NO_FRAMING;
  /** What is held back so that head and first bytes leave together. */
  #pending = '';
  /** What one read holds is being written. */
  #corked = false;
  /** Of a held body, as far as it is not yet written. */
  #rest: Buffer | undefined;

  constructor(client: ClientConnection, exchange: Exchange) {
    this.#client = client;
    this.#exchange = exchange;
  }

  get blocked(): boolean {
    return this.#client.socket.writableNeedDrain;
  }

  reply(verdict: Denial | Respond, close: boolean): SentReply {
    const { head, requestId, route } = this.#exchange;
    const reply = renderReply(this.#client.shared, verdict, {
      requestId,
      realm: route?.api.name ?? '',
      head: head.method === 'HEAD',
      connection: connectionHeader(head, close),
    });
    this.#write(reply.text);
    return reply;
  }

  deny(): boolean {
    return false;
  }

  inform(head: ResponseHead, plan: AnswerPlan): void {
    if (this.#exchange.head.version === '1.0') return;
    this.#write(renderAnswerHead(head, plan, NO_FRAMING, NO_LINES));
  }

  /** 101, and nothing of HTTP after it. */
  upgrade(head: ResponseHead, plan: AnswerPlan): void {
    this.#write(renderAnswerHead(head, plan, NO_FRAMING, UPGRADED));
  }

  head(head: ResponseHead, plan: AnswerPlan, remembered?: RememberedAnswer): void {
    const exchange = this.#exchange;
    this.#framing = this.#chooseFraming(head, plan);
    this.close = exchange.mustClose() || this.#framing.kind === 'until-close';
    // The same lines, framing and client: the same text.
    const isPlain = !this.close && exchange.head.version === '1.1' && remembered !== undefined;
    if (!isPlain) this.#pending = this.#render(head, plan);
    else this.#pending = remembered.text ??= this.#render(head, plan);
  }

  #render(head: ResponseHead, plan: AnswerPlan): string {
    const connection = connectionHeader(this.#exchange.head, this.close);
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

  whole(head: ResponseHead, plan: AnswerPlan, body: Buffer, bare: boolean): void {
    this.#framing = { kind: 'length', length: body.length };
    this.close = this.#exchange.mustClose();
    const text = this.#render(head, plan);
    if (bare) return this.#write(text);
    const fits = body.length <= HELD_WRITE;
    if (!fits) this.#rest = body;
    else this.#exchange.bytesOut += body.length;
    this.#write(fits ? text + latin1(body) : text);
  }

  data(slice: Uint8Array, link?: AppLink): void {
    const isChunked = this.#framing.kind === 'chunked';
    if (isChunked) this.#pending += chunkStart(slice.length);
    if (slice.length <= WRITTEN_AS_TEXT) this.#pending += latin1(slice);
    else this.#writeLarge(link === undefined ? Buffer.from(slice) : link.lend(slice));
    if (isChunked) this.#pending += CHUNK_END;
  }

  /** Whatever one read holds leaves in one write. */
  #writeLarge(slice: Uint8Array): void {
    const { socket } = this.#client;
    if (!this.#corked) socket.cork();
    this.#corked = true;
    this.#writePending();
    socket.write(slice);
  }

  #writePending(): void {
    if (this.#pending === '') return;
    const text = this.#pending;
    this.#pending = '';
    this.#write(text);
  }

  flush(): boolean {
    const { socket } = this.#client;
    this.#writePending();
    if (!this.#corked) return false;
    this.#corked = false;
    socket.uncork();
    return socket.writableLength > 0;
  }

  end(trailers: ParsedFields | undefined, hidden: ReadonlySet<string>): void {
    if (this.#framing.kind === 'chunked') this.#pending += renderLastChunk(trailers, hidden);
    this.flush();
  }

  writeOn(): boolean {
    const { socket } = this.#client;
    while (this.#rest !== undefined && !socket.writableNeedDrain) {
      const piece = this.#rest.subarray(0, HELD_WRITE);
      this.#rest = this.#rest.length > HELD_WRITE ? this.#rest.subarray(HELD_WRITE) : undefined;
      this.#exchange.bytesOut += piece.length;
      socket.write(piece);
    }
    return this.#rest === undefined;
  }

  #write(text: string): void {
    this.#client.socket.write(text, 'latin1');
  }
}

const NO_FRAMING: OutFraming = { kind: 'none' };
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

/** HTTP/1.1 keeps connections unless told otherwise, HTTP/1.0 the other way round. */
function connectionHeader(head: RequestHead, close: boolean): 'close' | 'keep-alive' | undefined {
  if (close) return 'close';
  return head.version === '1.0' ? 'keep-alive' : undefined;
}
