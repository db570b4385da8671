/** The sidecar's side of `explain`: a question judged by the generation in force. */
import type { Generation } from '../proxy/generation.ts';
import type { AdminAnswer } from '../proxy/admin.ts';
import { findRouteFor, type Found } from '../policy-tests/find-route.ts';
import { decide, type Asked } from './explain-decision.ts';
import { makeHeaders } from './explain-input.ts';
import { readQuestion } from './explain-question.ts';
import { describeExplanation } from './explain-report.ts';
import { UsageProblem } from './options.ts';

/** 400 with a sentence for what is no question; 503 while nothing is in force. */
export async function explainLive(
  question: unknown,
  generation: Generation | undefined,
  clock: () => number,
): Promise<AdminAnswer> {
  if (generation === undefined) return { status: 503, body: { error: 'no configuration is in force yet' } };
  let asked: Asked;
  try {
    asked = readQuestion(question, clock);
  } catch (error) {
    if (!(error instanceof UsageProblem)) throw error;
    return { status: 400, body: { error: error.message } };
  }
  const { snapshot, material } = generation;
  const listeners = [...snapshot.listeners.values()].map(listener => ({ snapshot, listener, port: listener.port }));
  const found = findRouteFor(listeners, asked.request, makeHeaders(asked.lines));
  const miss = describeMiss(asked, found);
  const about = { request: asked.request.text, port: found?.port, match: found?.match, miss };
  const told = describeExplanation({ ...about, ...(await decide(asked, found, material)) });
  return { status: 200, body: { ...told, judgedBy: `generation ${snapshot.generation} of the running sidecar` } };
}

/** Undefined: something serves it. */
function describeMiss({ request }: Asked, found: Found | undefined): string | undefined {
  const { path } = request.target;
  if (path === undefined) return 'not matched: the path is refused first';
  if (found === undefined) return 'nothing: no Api selects this pod';
  if (found.match.kind === 'matched') return undefined;
  if (found.match.reason === 'AmbiguousPath') return 'not matched: the path is refused first';
  const { apis, hosts } = found.listener;
  const names = apis.map(({ key }) => key).join(', ');
  const at = hosts.length === 0 ? '' : ` (${hosts.join(', ')})`;
  return `nothing: no operation of ${names}${at} has ${request.method} ${path} at ${request.host}`;
}
