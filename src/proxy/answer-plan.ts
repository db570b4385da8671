/** What becomes of an answer of the app, by the response part of the policy that permitted the request. */
import type { Reason } from '../api/reasons.ts';
import { evaluateResponse, renderNeutralBody } from '../decision/response.ts';
import type { Permit } from '../decision/verdict.ts';
import { foldName } from '../http/head.ts';
import type { HeaderEdit, ParsedFields, ResponseHead } from '../http/message.ts';
import type { BodyRewriting } from './body-rewriter.ts';
import type { Exchange } from './exchange.ts';

export interface AnswerPlan {
  readonly status: number;
  readonly edits: ReadonlyMap<string, HeaderEdit>;
  /** Folded names of trailers that are left out. */
  readonly hiddenTrailers: (trailers: ParsedFields) => ReadonlySet<string>;
  /** Instead of the app's body. */
  readonly body: string | undefined;
  readonly rewrite: BodyRewriting | undefined;
}

/** The plan, or the reason (502) why the answer cannot be sent. */
export function planAnswer({ permit, requestId }: Exchange, head: ResponseHead): AnswerPlan | Reason {
  if (permit === undefined) throw new Error('an answer without a permit');
  const result = evaluateResponse(permit, { status: head.status, headers: head });
  if (typeof result === 'string') return result;
  const { status, headers, removes, body } = result;
  return {
    status,
    edits: permit.responseHeaders.length === 0 ? headers : withOwnHeaders(headers, permit.responseHeaders),
    hiddenTrailers: trailers => new Set(trailers.lower.filter(removes).map(foldName)),
    body: body === 'Neutral' ? renderNeutralBody(status, permit.route.pipeline.errors, requestId) : body?.text,
    rewrite: result.rewrite,
  };
}

/** What rateLimit steps tell the client stands instead of what the app says by the same name. */
function withOwnHeaders(
  edits: ReadonlyMap<string, HeaderEdit>,
  own: Permit['responseHeaders'],
): ReadonlyMap<string, HeaderEdit> {
  const all = new Map(edits);
  const told = new Map<string, string[]>();
  for (const { name, value } of own) {
    const values = told.get(name.toLowerCase()) ?? [];
    values.push(value);
    told.set(name.toLowerCase(), values);
    all.set(name.toLowerCase(), { name, values });
  }
  return all;
}
