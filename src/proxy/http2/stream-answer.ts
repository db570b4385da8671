/** Answers to HTTP/2 clients. Head, small bodies and the end of the stream leave together. */
import type { ServerHttp2Stream } from 'node:http2';
import { renderDenial } from '../../decision/challenge.ts';
import { isGrpc, isGrpcCall, renderGrpcDenial, renderGrpcTrailers } from '../../decision/grpc-answer.ts';
import type { Denial, Respond } from '../../decision/verdict.ts';
import { findSingle } from '../../http/head.ts';
import { listResponse, listTrailers } from '../../http/http2-lists.ts';
import { renderFields, type ParsedFields, type ResponseHead, type ResponseRendering } from '../../http/message.ts';
import type { AnswerPlan } from '../answer-plan.ts';
import type { AnswerWriter, SentReply } from '../downstream.ts';
import type { Exchange } from '../exchange.ts';
import type { Shared } from '../shared.ts';

type Framing = ResponseRendering['framing'];

export class StreamAnswer implements AnswerWriter {
  /** The connection goes on, whatever becomes of the stream. */
  readonly close = false;
  readonly #stream: ServerHttp2Stream;
  readonly #exchange: Exchange;
  /** A head that is not sent yet. */
  #head: string[] | undefined;
  /** Of an answer that is streamed. */
  #begun: ResponseHead | undefined;
  /** Nothing follows the head. */
  #bare = false;
  /** The last piece, held back so that the end of the stream leaves with it. */
  #piece: Buffer | undefined;
  /** Whether trailers are asked for when the last piece is out. */
  #awaitsTrailers = false;
  #trailing = false;

  constructor(stream: ServerHttp2Stream, exchange: Exchange) {
    this.#stream = stream;
    this.#exchange = exchange;
  }

  /** Trailers are yet to be sent: behind what the client has yet to take. */
  get trailing(): boolean {
    return this.#trailing && this.#isOpen();
  }

  get blocked(): boolean {
    return this.#stream.writableNeedDrain;
  }

  reply(verdict: Denial | Respond): SentReply {
    const { head, requestId, route, client } = this.#exchange;
    return writeReply(this.#stream, client.shared, verdict, {
      requestId,
      realm: route?.api.name ?? '',
      bare: head.method === 'HEAD',
      grpc: isGrpcCall(head.method, findSingle(head, 'content-type')),
    });
  }

  /** An answer that has told its length, or is no message of gRPC, must not look whole. */
  deny(denial: Denial): boolean {
    const [exchange, begun] = [this.#exchange, this.#begun];
    if (begun === undefined || this.#bare || !this.#awaitsTrailers || !this.#isOpen()) return false;
    if (!isGrpc(begun) || !isGrpcCall(exchange.head.method, findSingle(exchange.head, 'content-type'))) return false;
    exchange.bytesOut -= this.#piece?.length ?? 0;
    this.#piece = undefined;
    this.#finish(renderGrpcTrailers(denial));
    return true;
  }

  inform(head: ResponseHead, plan: AnswerPlan): void {
    if (this.#stream.headersSent || this.#stream.destroyed) return;
    const list = listAnswerHead(head, plan, NO_FRAMING);
    const headers: Record<string, string | string[]> = {};
    for (let at = 0; at < list.length; at += 2) {
      const [name = '', value = ''] = [list[at], list[at + 1]];
      const known = headers[name];
      headers[name] = known === undefined ? value : [...(Array.isArray(known) ? known : [known]), value];
    }
    this.#stream.additionalHeaders(headers);
  }

  head(head: ResponseHead, plan: AnswerPlan): void {
    const { framing, contentLength } = head;
    this.#begun = head;
    const told = plan.rewrite === undefined && head.status !== 204 ? contentLength : undefined;
    this.#bare = framing.kind === 'none' || (framing.kind === 'length' && framing.length === 0);
    this.#head = listAnswerHead(head, plan, told === undefined ? NO_FRAMING : { kind: 'length', length: told });
    this.#awaitsTrailers = framing.kind === 'chunked';
  }

  whole(head: ResponseHead, plan: AnswerPlan, body: Buffer, bare: boolean): void {
    this.#bare = bare || body.length === 0;
    this.#head = listAnswerHead(head, plan, { kind: 'length', length: body.length });
    this.#awaitsTrailers = false;
    if (!this.#bare) {
      this.#exchange.bytesOut += body.length;
      this.#piece = body;
    }
    this.#finish(undefined);
  }

  data(slice: Uint8Array): void {
    if (this.#piece !== undefined) this.flush();
    // A copy: the next read of any app connection writes over the slice.
    this.#piece = Buffer.from(slice);
  }

  /** Nothing is lent: pieces are copies. */
  flush(): boolean {
    this.#sendHead(this.#awaitsTrailers);
    const piece = this.#piece;
    this.#piece = undefined;
    if (piece !== undefined && this.#isOpen()) this.#stream.write(piece);
    return false;
  }

  #isOpen(): boolean {
    return !this.#stream.destroyed && !this.#stream.closed;
  }

  #sendHead(awaitsTrailers: boolean): void {
    const head = this.#head;
    this.#head = undefined;
    if (head === undefined || !this.#isOpen()) return;
    this.#awaitsTrailers = awaitsTrailers;
    this.#stream.respond(head, { endStream: this.#bare, waitForTrailers: awaitsTrailers && !this.#bare, ...NO_DATE });
  }

  end(trailers: ParsedFields | undefined, hidden: ReadonlySet<string>): void {
    this.#finish(listTrailers(trailers, hidden));
  }

  #finish(trailers: Record<string, string[]> | undefined): void {
    const wasHeld = this.#head !== undefined;
    this.#sendHead(wasHeld ? trailers !== undefined : this.#awaitsTrailers);
    const stream = this.#stream;
    if (this.#bare || !this.#isOpen()) return;
    // Empty ones end the stream with an empty DATA frame.
    if (this.#awaitsTrailers) {
      this.#trailing = true;
      stream.once('wantTrailers', () => {
        if (this.trailing) stream.sendTrailers(trailers ?? {});
        this.#trailing = false;
      });
    }
    const piece = this.#piece;
    this.#piece = undefined;
    if (piece === undefined) stream.end();
    else stream.end(piece);
  }

  /** Nothing is held back: the stream has a window. */
  writeOn(): boolean {
    return true;
  }
}

const NO_DATE = { sendDate: false } as const;
const NO_FRAMING: Framing = { kind: 'none' };
const NOTHING: ReadonlySet<string> = new Set();
const NO_LINES = renderFields([]);

function listAnswerHead(head: ResponseHead, plan: AnswerPlan, framing: Framing): string[] {
  return listResponse({
    status: plan.status,
    fields: head,
    drop: 0,
    reserved: NOTHING,
    connectionNames: head.connectionNames,
    edits: plan.edits,
    framing,
    extra: NO_LINES,
  });
}

interface ReplyAbout {
  readonly requestId: string;
  readonly realm: string;
  /** The request is HEAD: the body is left out, its length is told. */
  readonly bare: boolean;
  /** It is a call of gRPC. */
  readonly grpc: boolean;
}

/** The whole of an answer of our own. */
export function writeReply(
  stream: ServerHttp2Stream,
  shared: Shared,
  verdict: Denial | Respond,
  about: ReplyAbout,
): SentReply {
  if (stream.destroyed || stream.closed || stream.headersSent) return { status: 0, bodyBytes: 0 };
  const { status, headers, body } = renderDenial(verdict, about);
  if (about.grpc && verdict.verdict === 'Deny') {
    const list = [':status', '200'];
    for (const [name, value] of renderGrpcDenial(verdict, about)) list.push(name.toLowerCase(), value.trim());
    stream.respond([...list, 'date', shared.date()], { endStream: true, ...NO_DATE });
    // Logs, metrics and countWhen see what the 200 stands for: whoever guesses tokens must not look like success.
    return { status, bodyBytes: 0 };
  }
  const bytes = Buffer.from(body, 'utf8');
  const isSilent = status === 204 || status === 304;
  const list = [':status', String(status)];
  for (const [name, value] of headers) list.push(name.toLowerCase(), value.trim());
  if (!isSilent) list.push('content-length', String(bytes.length));
  list.push('date', shared.date());
  const ends = isSilent || about.bare || bytes.length === 0;
  stream.respond(list, { endStream: ends, ...NO_DATE });
  if (ends) return { status, bodyBytes: 0 };
  stream.end(bytes);
  return { status, bodyBytes: bytes.length };
}
