/**
 * policy-tests: floor 2. Runs the cases of a PolicyTest by the evaluator of the data path, without a network. May import
 * api, http, x509, policy, decision, material and sources.
 */
import type { ObjectOfKind } from '../api/kinds/index.ts';
import type { PolicyTestCase } from '../api/kinds/policy-test.ts';
import type { ObjectKey } from '../api/object.ts';
import { renderDenial } from '../decision/challenge.ts';
import { judgeMatched, matchRequest } from '../decision/judge-request.ts';
import { refuse } from '../decision/refuse.ts';
import { createTrace, type TraceEntry } from '../decision/trace.ts';
import type { Verdict } from '../decision/verdict.ts';
import { foldName } from '../http/head.ts';
import { canonicalPath, type CanonicalPath } from '../http/path.ts';
import type { ErrorsPlan } from '../policy/model.ts';
import type { RequestView } from '../policy/request.ts';
import type { Resources } from '../sources/source.ts';
import { compareCase, type Difference, type Outcome } from './compare-case.ts';
import { findRouteFor, listListeners, listWorkloads, type Candidate, type Found } from './find-route.ts';
import { createGivenEvidence, resolveName } from './given-evidence.ts';
import { createGivenRequest, makeFields } from './given-request.ts';

export type PolicyTest = ObjectOfKind<'PolicyTest'>;

export interface CaseResult {
  readonly name: string;
  /** Place in `spec.cases`. */
  readonly index: number;
  /** Empty: the case passes. */
  readonly differences: readonly Difference[];
  readonly outcome: Outcome;
  readonly trace: readonly TraceEntry[];
  /** Policies in the pipeline that judged it: a failing case speaks against them. */
  readonly policies: ReadonlySet<ObjectKey>;
}

const DEFAULT_ERRORS: ErrorsPlan = {
  format: 'Problem',
  includeReason: true,
  includePolicy: false,
  headers: [],
  overrides: new Map(),
};

/** What the tests of one namespace run against, compiled once. */
export const compileForTests = (resources: Resources, namespace: string): readonly Candidate[] =>
  listListeners(resources, listWorkloads(resources.objects, { namespace }));

export interface RunOptions {
  /** As compileForTests answers for the test's namespace; default: compiled for this test. */
  readonly listeners?: readonly Candidate[];
  /** Awaited before each case; what it throws ends the run. */
  readonly breathe?: () => Promise<void>;
}

/** `now`: milliseconds since the epoch, for cases that name no time. Never throws. */
export async function runPolicyTest(
  test: PolicyTest,
  resources: Resources,
  now: number,
  { listeners = compileForTests(resources, test.meta.namespace), breathe }: RunOptions = {},
): Promise<readonly CaseResult[]> {
  const results: CaseResult[] = [];
  for (const [index, testCase] of test.spec.cases.entries()) {
    await breathe?.();
    results.push({ index, ...(await runCase(testCase, { test, resources, listeners, now })) });
  }
  return results;
}

interface Setting {
  readonly test: PolicyTest;
  readonly resources: Resources;
  readonly listeners: readonly Candidate[];
  readonly now: number;
}

async function runCase(testCase: PolicyTestCase, setting: Setting): Promise<Omit<CaseResult, 'index'>> {
  const { name, given, expect } = testCase;
  const target = canonicalPath(given.request.path.split('?', 1)[0] ?? '');
  const found = findForHosts(testCase, setting, target.path);
  const at = given.now === undefined ? setting.now : Date.parse(given.now);
  const trace = createTrace(() => 0);
  const judged = await judgeCase(testCase, setting, { found, target, at, trace });
  const outcome = describeOutcome(judged.verdict, judged.view, found);
  return { name, differences: compareCase(expect, outcome), outcome, trace: trace.entries, policies: judged.policies };
}

/** Without a host, the first Api's that matches; `*.example.com` stands for any label. */
function findForHosts(
  { given: { request } }: PolicyTestCase,
  { resources, listeners, test }: Setting,
  path: string | undefined,
): (Found & { readonly host: string }) | undefined {
  const apis = resources.objects.filter(({ kind, meta }) => kind === 'Api' && meta.namespace === test.meta.namespace);
  const known = apis.flatMap(api => (api.kind === 'Api' ? (api.spec.hosts ?? []) : []));
  const hosts = request.host === undefined ? [...known.map(host => host.replace(/^\*/, 'www')), ''] : [request.host];
  const tried = hosts.flatMap(raw => {
    const host = raw.toLowerCase();
    const line = { method: request.method, scheme: 'https', host, port: undefined, target: { path } } as const;
    const found = findRouteFor(listeners, line, makeFields(Object.entries(request.headers ?? {})));
    return found === undefined ? [] : [{ ...found, host }];
  });
  return tried.find(({ match }) => match.kind === 'matched') ?? tried[0];
}

interface Judging {
  readonly found: (Found & { readonly host: string }) | undefined;
  readonly target: CanonicalPath;
  readonly at: number;
  readonly trace: ReturnType<typeof createTrace>;
}

interface Judged {
  readonly verdict: Verdict;
  readonly view?: RequestView;
  readonly policies: ReadonlySet<ObjectKey>;
}

async function judgeCase(
  { given }: PolicyTestCase,
  { test }: Setting,
  { found, target, at, trace }: Judging,
): Promise<Judged> {
  const { path } = target;
  if (found === undefined || path === undefined || found.match.kind === 'refused') {
    const refused = found?.match.kind === 'refused' ? found.match : undefined;
    const reason = target.reason ?? refused?.reason ?? 'OperationNotFound';
    return { verdict: refuse(reason, refused?.errors ?? DEFAULT_ERRORS), policies: new Set() };
  }
  const { snapshot, listener, host } = found;
  const { pipeline } = found.match.route;
  const issuerKey = given.token === undefined ? undefined : resolveName(test.meta.namespace, given.token.issuer);
  const scheme = listener.tls === undefined ? 'http' : 'https';
  const view = createGivenRequest(given, { pipeline, path, host, scheme, issuerKey, now: at });
  const evidence = createGivenEvidence(given, { namespace: test.meta.namespace, snapshot, now: at });
  const policies = new Set(pipeline.steps.map(({ origin }) => origin.key));
  const matched = matchRequest(listener.match, view, snapshot.reservedHeaders, { now: at, trace });
  if (matched.kind === 'refused') return { verdict: refuse(matched.match.reason, matched.match.errors), policies };
  const verdict = await judgeMatched(matched, view, snapshot.reservedHeaders, evidence, { now: at, trace });
  return { verdict, view, policies };
}

function describeOutcome(verdict: Verdict, view: RequestView | undefined, found: Found | undefined): Outcome {
  if (verdict.verdict === 'Deny') {
    const { status } = renderDenial(verdict, { requestId: '', realm: '' });
    return { verdict: 'Deny', status, reason: verdict.reason, step: verdict.label, headerOf: () => undefined };
  }
  if (verdict.verdict === 'Respond') {
    return { verdict: 'Respond', status: verdict.status, step: verdict.label, headerOf: () => undefined };
  }
  return {
    verdict: verdict.verdict,
    headerOf: name => {
      const edit = verdict.edits.headers.get(name);
      if (edit !== undefined) return edit.values.length === 0 ? undefined : edit.values.join(', ');
      if (found?.snapshot.reservedHeaders.has(foldName(name)) === true) return undefined;
      const received = view?.headers.values.filter((_, at) => view.headers.lower[at] === name) ?? [];
      return received.length === 0 ? undefined : received.join(', ');
    },
  };
}
