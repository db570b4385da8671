/** Drives a Decision with an EvidenceSource: without a promise when every answer is at hand. */
import type { Reason } from '../api/reasons.ts';
import type { Route } from '../policy/model.ts';
import type { RequestView } from '../policy/request.ts';
import { CouldNotDecide } from './could-not-decide.ts';
import { Decision, type DecideContext } from './decide.ts';
import type { Evidence, EvidenceRequest, EvidenceSource, Undecided } from './evidence.ts';
import { refuse } from './refuse.ts';
import type { Verdict } from './verdict.ts';

const REASON_OF: Readonly<Record<EvidenceRequest['type'], Reason>> = {
  token: 'KeysUnavailable',
  certificate: 'RevocationUnavailable',
  binding: 'Overloaded',
  revocation: 'DeviceAuthUnavailable',
  device: 'DeviceAuthUnavailable',
  subscription: 'KeysUnavailable',
  signature: 'KeysUnavailable',
  rate: 'Overloaded',
  quota: 'Overloaded',
  concurrency: 'Overloaded',
};

/** The one place where "could not decide" turns into a 503. What was thrown goes no further: it may hold a token. */
function undecided(error: unknown, request: EvidenceRequest): Undecided {
  return { state: 'undecided', reason: error instanceof CouldNotDecide ? error.reason : REASON_OF[request.type] };
}

function ask(source: EvidenceSource, request: EvidenceRequest, now: number): Evidence | Promise<Evidence> {
  switch (request.type) {
    case 'token':
      return source.token(request, now);
    case 'certificate':
      return source.certificate(request, now);
    case 'binding':
      return source.binding();
    case 'revocation':
      return source.revocation(request);
    case 'device':
      return source.device(request, now);
    case 'subscription':
      return source.subscription(request);
    case 'signature':
      return source.signature(request, now);
    case 'rate':
      return source.rate(request, now);
    case 'quota':
      return source.quota(request, now);
    case 'concurrency':
      return source.concurrency(request, now);
  }
}

function answer(source: EvidenceSource, request: EvidenceRequest, now: number): Evidence | Promise<Evidence> {
  try {
    return ask(source, request, now);
  } catch (error) {
    return undecided(error, request);
  }
}

async function finish(
  decision: Decision,
  waiting: EvidenceRequest,
  first: Promise<Evidence>,
  source: EvidenceSource,
  now: number,
): Promise<Verdict> {
  const settle = (pending: Evidence | Promise<Evidence>, request: EvidenceRequest): Promise<Evidence> =>
    Promise.resolve(pending).catch((error: unknown) => undecided(error, request));
  let asked = decision.resume(await settle(first, waiting));
  while (asked !== undefined) asked = decision.resume(await settle(answer(source, asked, now), asked));
  return decision.verdict;
}

/** Never throws and never rejects: what fails is a 503 denial. */
export function judge(
  route: Route,
  params: Readonly<Record<string, string>>,
  request: RequestView,
  reserved: ReadonlySet<string>,
  source: EvidenceSource,
  context: DecideContext,
): Verdict | Promise<Verdict> {
  const { now } = context;
  const failClosed = (): Verdict => refuse('Overloaded', route.pipeline.errors, { route, request, now });
  try {
    const decision = new Decision(route, params, request, reserved, context);
    let asked = decision.start();
    while (asked !== undefined) {
      const evidence = answer(source, asked, now);
      if (evidence instanceof Promise) return finish(decision, asked, evidence, source, now).catch(failClosed);
      asked = decision.resume(evidence);
    }
    return decision.verdict;
  } catch {
    return failClosed();
  }
}
