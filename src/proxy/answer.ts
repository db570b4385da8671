/** The app's answer on its way to the client: planned by the policy that permitted the request, body streamed or rewritten. */
import type { ParsedFields, ResponseHead } from '../http/message.ts';
import { planAnswer, recallAnswer, rememberAnswer, type AnswerPlan } from './answer-plan.ts';
import type { AnswerSink } from './answer-reader.ts';
import { BodyRewriter } from './body-rewriter.ts';
import type { AppExchange } from './app-exchange.ts';
import type { AnswerWriter } from './downstream.ts';
import type { Exchange } from './exchange.ts';

export class Answer implements AnswerSink {
  /** The client has got a head; from now on a failure can only end the stream. */
  started = false;
  /** Server-sent events, gRPC: an open stream from the start (M7). */
  isEvents = false;
  /** The app's head is here. */
  begun = false;
  readonly #toApp: AppExchange;
  readonly #exchange: Exchange;
  readonly #writer: AnswerWriter;
  #head: ResponseHead | undefined;
  #plan: AnswerPlan | undefined;
  #rewriter: BodyRewriter | undefined;

  constructor(toApp: AppExchange) {
    this.#toApp = toApp;
    this.#exchange = toApp.exchange;
    this.#writer = toApp.exchange.writer;
  }

  upgrade(head: ResponseHead, rest: Buffer | undefined): void {
    const exchange = this.#exchange;
    if (!exchange.head.upgradeWebSocket || !head.upgradeWebSocket) return exchange.fail('AppProtocolError');
    exchange.settleCounts(head.status, head);
    const plan = planAnswer(this.#toApp, head);
    if (typeof plan === 'string') return exchange.fail(plan);
    this.#toApp.upgrade(head, plan, rest);
  }

  /** 100 lets the body come; others pass with the policy's removals. */
  inform(head: ResponseHead): void {
    if (head.status === 100) return this.#toApp.continueBody();
    const plan = planAnswer(this.#toApp, head);
    if (typeof plan === 'string' || plan.body !== undefined) return;
    this.#writer.inform(head, plan);
  }

  start(head: ResponseHead, behind: number): boolean {
    const exchange = this.#exchange;
    this.#head = head;
    this.begun = true;
    exchange.answeredAt = exchange.at;
    if (head.status === 401) this.#toApp.reportRefusal();
    exchange.settleCounts(head.status, head);
    let remembered = recallAnswer(this.#toApp, head);
    const plan = remembered?.plan ?? planAnswer(this.#toApp, head);
    if (typeof plan === 'string') {
      exchange.fail(plan);
      return false;
    }
    remembered ??= rememberAnswer(this.#toApp, head, plan);
    this.#plan = plan;
    exchange.status = plan.status;
    this.isEvents = plan.isEvents;
    if (plan.body !== undefined) {
      this.#replace(head, plan, plan.body, behind);
      return false;
    }
    if (plan.rewrite !== undefined && head.framing.kind !== 'none') this.#rewriter = new BodyRewriter(plan.rewrite);
    else {
      this.started = true;
      this.#writer.head(head, plan, remembered);
    }
    return true;
  }

  /** The app's body is not told to the client (errorBodies: Replace, respond): its connection is not worth keeping. */
  #replace(head: ResponseHead, plan: AnswerPlan, body: string, behind: number): void {
    const { framing } = head;
    this.started = true;
    this.#whole(head, plan, Buffer.from(body, 'utf8'));
    this.#over(head, framing.kind === 'none' || (framing.kind === 'length' && framing.length === behind));
  }

  #whole(head: ResponseHead, plan: AnswerPlan, body: Buffer): void {
    const bare = this.#exchange.head.method === 'HEAD' || plan.status === 204 || plan.status === 304;
    this.#writer.whole(head, plan, body, bare);
  }

  /** Content for the client. */
  data(slice: Uint8Array): void {
    this.#exchange.bytesOut += slice.length;
    if (this.#rewriter === undefined) this.#writer.data(slice, this.#toApp.upstream);
    else if (!this.#rewriter.push(slice)) this.#overflow(this.#rewriter);
  }

  /** More than maxBytes: refused, or from here on passed as it is (P12 onOversize). */
  #overflow(rewriter: BodyRewriter): void {
    const [head, plan] = [this.#head, this.#plan];
    if (rewriter.onOversize === 'Fail' || head === undefined || plan === undefined) return this.broken();
    this.#rewriter = undefined;
    this.#exchange.bytesOut -= rewriter.size;
    this.started = true;
    this.#writer.head(head, { ...plan, rewrite: undefined });
    for (const piece of rewriter.pieces) this.data(piece);
  }

  broken(): void {
    this.#exchange.fail('AppProtocolError');
  }

  misspoken(): void {
    this.#toApp.onUpstreamFailed('AppProtocolError', 'ONLY_HTTP2');
  }

  flush(): void {
    const { upstream } = this.#toApp;
    if (this.#writer.flush()) upstream?.keep();
    if (this.#writer.blocked) upstream?.pause();
  }

  end(trailers: ParsedFields | undefined, clean: boolean): void {
    const [head, plan] = [this.#head, this.#plan];
    if (this.#toApp.upstream === undefined || head === undefined || plan === undefined) return;
    if (this.#rewriter === undefined) {
      this.#writer.end(trailers, trailers === undefined ? NOTHING : plan.hiddenTrailers(trailers));
    } else if (!this.#writeRewritten(head, plan, this.#rewriter)) return this.broken();
    this.#over(head, clean);
  }

  #writeRewritten(head: ResponseHead, plan: AnswerPlan, rewriter: BodyRewriter): boolean {
    const text = rewriter.rewritten();
    if (text === undefined) return false;
    this.started = true;
    this.#exchange.bytesOut -= rewriter.size;
    this.#whole(head, plan, Buffer.from(text, 'latin1'));
    return true;
  }

  #over(head: ResponseHead, clean: boolean): void {
    if (this.#toApp.upstream === undefined) return;
    this.#toApp.letGo(head, clean, this.#writer.close);
    this.writeOn();
  }

  /** The next piece of a held body: a client that reads slowly is given as much as it takes, as if it were streamed. */
  writeOn(): void {
    if (this.#writer.writeOn()) this.#toApp.answered(this.#writer.close);
  }
}

const NOTHING: ReadonlySet<string> = new Set();
