/** What becomes of an answer of the app, by the response part of the policy that permitted the request. */
import type { Reason } from '../api/reasons.ts';
import type { HeaderEdit, ResponseHead } from '../http/message.ts';
import type { BodyRewriting } from './body-rewriter.ts';
import type { Exchange } from './exchange.ts';

export interface AnswerPlan {
  readonly status: number;
  /** Folded names that are left out, of the head and of trailers. */
  readonly hidden: ReadonlySet<string>;
  readonly edits: ReadonlyMap<string, HeaderEdit>;
  /** Instead of the app's body. */
  readonly body?: string;
  readonly rewrite?: BodyRewriting | undefined;
}
const NOTHING: ReadonlySet<string> = new Set();

export function planAnswer(_exchange: Exchange, head: ResponseHead): AnswerPlan | Reason {
  return { status: head.status, hidden: NOTHING, edits: new Map() };
}
