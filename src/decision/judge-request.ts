/** From a request's head to its verdict: preflight, match, decision. Live and offline take this way alike. */
import type { ListenerPlan, Match } from '../policy/model.ts';
import type { RequestView } from '../policy/request.ts';
import type { DecideContext } from './decide.ts';
import type { EvidenceSource } from './evidence.ts';
import { judge } from './judge.ts';
import { answerPreflight, readPreflight } from './preflight.ts';
import type { Verdict } from './verdict.ts';

type Matched = Extract<Match, { kind: 'matched' }>;

/** What a request is matched to: an operation, or a cors step's answer (P6). */
export type MatchedRequest =
  | { readonly kind: 'matched'; readonly match: Matched; readonly answer?: Verdict }
  | { readonly kind: 'refused'; readonly match: Extract<Match, { kind: 'refused' }> };

/** A preflight is matched as the method that it asks for; without a `cors` step there it is an ordinary OPTIONS (P6). */
export function matchRequest(
  match: ListenerPlan['match'],
  view: RequestView,
  reserved: ReadonlySet<string>,
  context: DecideContext,
): MatchedRequest {
  const asked = readPreflight(view);
  if (asked !== undefined) {
    const wanted = match(asked, view.host, view.path);
    const answer =
      wanted.kind === 'matched' ? answerPreflight(wanted.route, wanted.params, view, reserved, context) : undefined;
    if (wanted.kind === 'matched' && answer !== undefined) return { kind: 'matched', match: wanted, answer };
  }
  const found = match(view.method, view.host, view.path);
  return found.kind === 'matched' ? { kind: 'matched', match: found } : { kind: 'refused', match: found };
}

/** Never throws and never rejects: what fails is a 503 denial. */
export function judgeMatched(
  { match: { route, params }, answer }: Extract<MatchedRequest, { kind: 'matched' }>,
  view: RequestView,
  reserved: ReadonlySet<string>,
  source: EvidenceSource,
  context: DecideContext,
): Verdict | Promise<Verdict> {
  return answer ?? judge(route, params, view, reserved, source, context);
}
