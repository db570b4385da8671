/**
 * Tables of steps: each row is a policy's steps, a request and the exact answer. Every row is judged as it is, then once at
 * each of the five scopes, as an Audit policy, and as `explain` does it, with a trace; all must tell the same.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderDenial } from '../../src/decision/challenge.ts';
import type { EvidenceSource } from '../../src/decision/evidence.ts';
import { judgeMatched, matchRequest } from '../../src/decision/judge-request.ts';
import { createTrace, type TraceEntry } from '../../src/decision/trace.ts';
import type { Verdict } from '../../src/decision/verdict.ts';
import { fields, NOW, source } from '../../src/decision/testing/fakes.ts';
import { compileYaml, type Options } from '../../src/policy/testing/compile-yaml.ts';
import type { Snapshot } from '../../src/policy/model.ts';
import type { RequestView } from '../../src/policy/request.ts';

export const SCOPES = ['Cluster', 'Namespace', 'Product', 'Api', 'Operation'] as const;
export type Scope = (typeof SCOPES)[number];

export interface Asked extends Partial<Omit<RequestView, 'headers'>> {
  readonly headers?: readonly (readonly [string, string])[];
}

export interface Row {
  /** Members of the policy `p` below `spec`: `request: […]`, `response: […]`. */
  readonly policy: string;
  readonly request?: Asked;
  readonly evidence?: Partial<EvidenceSource>;
  /** `Permit`, `403 HeaderNotFound p/s`, `Respond 410 p/s`. */
  readonly answer: string;
  /** Of an answer of ours: lines that it has, in this order among others. */
  readonly lines?: readonly string[];
  /** What the app gets instead of what was sent: name to values; empty: removed. */
  readonly sent?: Readonly<Record<string, readonly string[]>>;
  /** Default: all. A step whose meaning lies in its place says where it belongs. */
  readonly scopes?: readonly Scope[];
}

const TARGETS: Readonly<Record<Scope, string>> = {
  Cluster: '',
  Namespace: '',
  Product: 'targetSelectors: [{kind: Api, matchLabels: {product: gold}}]',
  Api: 'targetRefs: [{kind: Api, name: fleet}]',
  Operation: 'targetRefs: [{kind: Api, name: fleet, sectionName: device}]',
};

const SUPPORT = `
kind: Api
metadata: {name: fleet, labels: {product: gold}}
spec:
  podSelector: {matchLabels: {app: fleet}}
  port: 8080
  operations: [{name: device, methods: [GET, POST, PUT, DELETE], path: "/devices/{deviceId}"}]
---
kind: TokenIssuer
metadata: {name: corp}
spec: {issuer: "https://login.example.com/", jwks: {url: "https://login.example.com/keys"}}
---
kind: ClientTrust
metadata: {name: devices}
spec: {anchors: [{configMapKeyRef: {name: ca, key: ca.crt}}], revocation: {mode: Disabled}}
---
kind: DeviceAuthService
metadata: {name: devices}
spec: {url: "https://auth.shop.svc:8443/check"}
---
`;

/** Somebody is let in, so that only the row's own policy can refuse. */
const OPEN = `
kind: AuthPolicy
metadata: {name: open}
spec: {request: [{name: open, anyOf: [{anonymous: {}}]}]}
---
`;

export function policyAt(scope: Scope, body: string, mode = 'Enforce', name = 'p'): string {
  const kind = scope === 'Cluster' ? 'ClusterAuthPolicy' : 'AuthPolicy';
  const named = scope === 'Cluster' ? qualify(body) : body;
  return `kind: ${kind}\nmetadata: {name: ${name}}\nspec:\n  mode: ${mode}\n  ${TARGETS[scope]}\n${named.replace(/^/gm, '  ')}\n---\n`;
}

/** In a cluster policy names carry their namespace. */
const qualify = (body: string): string =>
  body
    .replace(/\b(trust|service): devices/g, '$1: shop/devices')
    .replaceAll('issuers: [corp]', 'issuers: [shop/corp]')
    .replace(/KeyRef: \{name/g, 'KeyRef: {namespace: shop, name');

export function compile(text: string, options: Options = {}): Snapshot {
  const { snapshot } = compileYaml(SUPPORT + text, options);
  assert.deepEqual(
    snapshot.violations.filter(({ severity }) => severity === 'error'),
    [],
  );
  return snapshot;
}

const DEFAULT: RequestView = {
  method: 'POST',
  path: '/devices/robot-7',
  query: '',
  host: 'fleet.example.com',
  scheme: 'https',
  headers: fields([]),
  sourceIp: '203.0.113.9',
  size: 0,
  fromTrustedPeer: false,
};

export const viewOf = ({ headers = [], ...asked }: Asked = {}): RequestView => ({
  ...DEFAULT,
  ...asked,
  headers: fields(headers),
});

export interface Judged {
  readonly verdict: Verdict;
  readonly trace: readonly TraceEntry[];
}

export async function judgeText(
  text: string,
  asked: Asked = {},
  evidence: Partial<EvidenceSource> = {},
  options: Options = {},
): Promise<Judged> {
  const snapshot = compile(text, options);
  const listener = snapshot.listeners.get(8080);
  assert.ok(listener !== undefined);
  const view = viewOf(asked);
  const trace = createTrace(() => 0);
  const matched = matchRequest(listener.match, view, snapshot.reservedHeaders, { now: NOW });
  if (matched.kind === 'refused') assert.fail(matched.match.reason);
  const judgeWith = async (context: { readonly now: number; readonly trace?: typeof trace }): Promise<Verdict> => {
    const again = matchRequest(listener.match, view, snapshot.reservedHeaders, context);
    if (again.kind === 'refused') assert.fail(again.match.reason);
    return judgeMatched(again, view, snapshot.reservedHeaders, source(evidence), context);
  };
  const verdict = await judgeWith({ now: NOW });
  // With a trace, as explain does it: the same answer, from the same step.
  const explained = await judgeWith({ now: NOW, trace });
  assert.equal(tell(explained), tell(verdict), 'explain tells the same');
  return { verdict, trace: trace.entries };
}

export function tell(verdict: Verdict): string {
  if ('edits' in verdict) return verdict.verdict;
  const { status } = renderDenial(verdict, { requestId: 'id', realm: 'fleet' });
  const by = verdict.label === undefined ? '' : ` ${verdict.label}`;
  return verdict.verdict === 'Deny' ? `${status} ${verdict.reason}${by}` : `Respond ${status}${by}`;
}

/** Lines of an answer of ours, less those that every one has. */
export function linesOf(verdict: Verdict): readonly string[] {
  if ('edits' in verdict) return [];
  const { headers } = renderDenial(verdict, { requestId: 'id', realm: 'fleet' });
  const always = new Set(['x-request-id', 'cache-control', 'www-authenticate', 'retry-after']);
  return headers.filter(([name]) => !always.has(name.toLowerCase())).map(([name, value]) => `${name}: ${value}`);
}

export function sentOf(verdict: Verdict): Readonly<Record<string, readonly string[]>> {
  if (!('edits' in verdict)) return {};
  return Object.fromEntries([...verdict.edits.headers].map(([lower, { values }]) => [lower, values]));
}

async function checkRow({ policy, request, evidence, answer, lines, sent, scopes = SCOPES }: Row): Promise<void> {
  for (const scope of scopes) {
    const { verdict, trace } = await judgeText(OPEN + policyAt(scope, policy), request, evidence);
    assert.equal(tell(verdict), answer, `at ${scope} scope`);
    if (lines !== undefined) assert.deepEqual(linesOf(verdict), lines, `at ${scope} scope`);
    if (sent !== undefined) assert.deepEqual(sentOf(verdict), sent, `at ${scope} scope`);
    const denying = trace.find(entry => entry.verdict === 'denied');
    const told = denying === undefined ? '' : ` ${denying.reason ?? ''} ${denying.policy}/${denying.step}`;
    if (answer.endsWith(' p/s') && !answer.startsWith('Respond')) assert.ok(answer.endsWith(told), `${answer}:${told}`);
    await checkAudit(scope, { policy, request, evidence, answer });
  }
}

type AuditRow = Pick<Row, 'policy' | 'answer'> & {
  readonly request: Asked | undefined;
  readonly evidence: Row['evidence'];
};

/** S8: the same step in an Audit policy lets pass, changes nothing, and is counted with the reason it would have given. */
async function checkAudit(scope: Scope, { policy, request, evidence, answer }: AuditRow): Promise<void> {
  const { verdict } = await judgeText(OPEN + policyAt(scope, policy, 'Audit'), request, evidence);
  assert.equal(tell(verdict), 'Permit', `as Audit at ${scope} scope`);
  assert.deepEqual(sentOf(verdict), {}, `as Audit at ${scope} scope`);
  const [, reason] = /^[0-9]{3} (\w+) p\//.exec(answer) ?? [];
  assert.deepEqual(
    verdict.auditDenials.map(denial => denial.reason),
    reason === undefined ? [] : [reason],
    `as Audit at ${scope} scope`,
  );
}

export function testRows(rows: Readonly<Record<string, Row>>): void {
  for (const [name, row] of Object.entries(rows)) void test(name, () => checkRow(row));
}
