/** What `check` says of Apis and operations that nobody gets into (S7). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { collectProblems, everyOf } from '../../src/cli/check-problems.ts';
import { collectManifests } from '../../src/sources/read-manifests.ts';
import { checkFiles, manifest, NOW, testCases, type Cases } from './check-manifests.ts';

const API = manifest`
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: gw, namespace: edge, labels: {product: gold}}
spec:
  podSelector: {matchLabels: {app: gw}}
  port: 8080
  operations:
  - {name: telemetry, methods: [POST], path: /telemetry}
  - {name: v1, path: "/v1/*"}
`;
const OPEN = 'request: [{name: open, anyOf: [{anonymous: {}}]}]';
const MESH = '{name: mesh, anyOf: [{anonymous: {}}]}';

const policy = (name: string, spec: string): string =>
  `---\napiVersion: sallyport.dev/v1alpha1\nkind: AuthPolicy\nmetadata: {name: ${name}, namespace: edge}\nspec: {${spec}}\n`;
const clusterPolicy = (name: string, spec: string): string =>
  `---\napiVersion: sallyport.dev/v1alpha1\nkind: ClusterAuthPolicy\nmetadata: {name: ${name}}\nspec: {${spec}}\n`;
const namespace = (labels: string): string =>
  `---\napiVersion: v1\nkind: Namespace\nmetadata: {name: edge, labels: ${labels}}\n`;

const ADVICE = ' and a step that authenticates; anyOf: [{anonymous: {}}] opens it to all';
const whole = (silent = ''): string =>
  `file.yaml:3:metadata.name: warning: no policy lets anybody in${silent}: every request is answered 403 NoPolicyMatches, write an AuthPolicy of namespace edge with targetRefs: [{kind: Api, name: gw}]${ADVICE}`;
const operation = (line: number, at: number, name: string): string =>
  `file.yaml:${line}:spec.operations[${at}].name: warning: no policy lets anybody in: every request is answered 403 NoPolicyMatches, write an AuthPolicy of namespace edge with targetRefs: [{kind: Api, name: gw, sectionName: ${name}}]${ADVICE}`;
const target = (ref: string): string => `targetRefs: [{kind: Api, ${ref}}]`;

const CLOSED: Cases = {
  'an Api without any policy, once for all its operations': [API, whole()],
  'an Api whose policies limit and do not authenticate': [
    API + policy('limits', 'request: [{name: rate, rateLimit: {calls: 5, period: 1s}}]'),
    whole(' (AuthPolicy edge/limits has no authentication step)'),
  ],
  'an Api that an Enforce policy leaves out of a broader one': [
    API +
      policy('open', `sealed: false, ${OPEN}`) +
      policy('gw', `${target('name: gw')}, inherit: None, request: [{name: a, removeHeaders: [x-a]}]`),
    whole(' (AuthPolicy edge/gw has no authentication step)'),
  ],
  'no more than three of the policies by name': [
    API +
      ['a', 'b', 'c', 'd', 'e'].map(name => policy(name, `request: [{name: ${name}, removeHeaders: [x-a]}]`)).join(''),
    whole(' (AuthPolicy edge/a, AuthPolicy edge/b, AuthPolicy edge/c and 2 more have no authentication step)'),
  ],
  'one operation, where policies reach others': [
    API + policy('gw', `${target('name: gw, sectionName: v1')}, ${OPEN}`),
    operation(8, 0, 'telemetry'),
  ],
  'the rest of an Api, where policies reach its operations only': [
    `${API.trimEnd()}\n  unmatched: Forward\n${policy('v1', `${target('name: gw, sectionName: v1')}, ${OPEN}`)}${policy('telemetry', `${target('name: gw, sectionName: telemetry')}, ${OPEN}`)}`,
    `file.yaml:10:spec.unmatched: warning: no policy lets anybody in: every request that matches no operation is answered 403 NoPolicyMatches, write an AuthPolicy of namespace edge with targetRefs: [{kind: Api, name: gw}]${ADVICE}`,
  ],
  'a TCP Api': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: gw, namespace: edge}
spec: {podSelector: {matchLabels: {app: gw}}, port: 9000, protocol: TCP}
`,
    `file.yaml:3:metadata.name: warning: no policy lets anybody in: every connection is refused with NoPolicyMatches, write an AuthPolicy of namespace edge with targetRefs: [{kind: Api, name: gw}]${ADVICE}`,
  ],
  'an Api of a namespace that a cluster policy does not select': [
    API + namespace('{env: test}') + clusterPolicy('base', `namespaceSelector: {matchLabels: {env: prod}}, ${OPEN}`),
    whole(),
  ],
  'an Api without the label that a policy selects': [
    API + policy('silver', `targetSelectors: [{kind: Api, matchLabels: {product: silver}}], ${OPEN}`),
    whole(),
    'file.yaml:14:spec.targetSelectors[0].matchLabels: warning: selects no Api of this namespace: this target has no effect, label an Api so, or remove the selector',
  ],
};

const SILENT: Readonly<Record<string, string>> = {
  'a policy of its cluster': API + clusterPolicy('base', OPEN),
  'a cluster policy that selects its namespace': `${API}${namespace('{env: prod}')}${clusterPolicy('base', `namespaceSelector: {matchLabels: {env: prod}}, ${OPEN}`)}`,
  'one of two cluster policies, and nobody knows which labels its namespace has':
    API +
    clusterPolicy('a', `namespaceSelector: {matchLabels: {env: prod}}, ${OPEN}`) +
    clusterPolicy('b', `namespaceSelector: {matchLabels: {env: test}}, request: [{name: b, removeHeaders: [x-b]}]`),
  'a policy of its namespace': API + policy('all', OPEN),
  'a policy of its product':
    API + policy('gold', `targetSelectors: [{kind: Api, matchLabels: {product: gold}}], ${OPEN}`),
  'a policy of its own': API + policy('gw', `${target('name: gw')}, ${OPEN}`),
  'policies of each of its operations':
    API +
    policy('v1', `${target('name: gw, sectionName: v1')}, ${OPEN}`) +
    policy('telemetry', `${target('name: gw, sectionName: telemetry')}, ${OPEN}`),
  'an authentication step on a condition': API + policy('all', `request: [{name: a, when: "false", ${MESH.slice(13)}]`),
  'a step that answers itself': API + policy('all', 'request: [{name: a, respond: {status: 200}}]'),
  'a policy that is tried out (S8)': API + policy('all', `mode: Audit, ${OPEN}`),
};

describe('check warns of what nobody gets into', () => testCases(CLOSED));

describe('check says nothing of an Api that is reached by', () => {
  for (const [name, text] of Object.entries(SILENT)) {
    it(name, () => assert.deepEqual(checkFiles({ 'file.yaml': text }), []));
  }
  it('a policy that is wrong: that one is told, and every request is 503 until then', () =>
    assert.deepEqual(
      checkFiles({ 'file.yaml': API + policy('all', 'request: [{name: a, respond: {status: 999}}]') }).length,
      1,
    ));
  it('perhaps a policy of a cluster that one may not list', () => {
    const resources = collectManifests([{ name: 'file.yaml', text: API }]);
    const count = (unread: readonly string[]): number =>
      collectProblems(resources, {
        now: NOW,
        live: {
          workloads: [{ namespace: 'edge', labels: { app: 'gw' } }],
          material: resources.material,
          unread: new Set(unread),
        },
      }).length;
    assert.deepEqual([count([]), count([everyOf('ClusterAuthPolicy')]), count([everyOf('AuthPolicy')])], [1, 0, 0]);
  });
  it('perhaps a policy of a file that cannot be read', () =>
    assert.match(checkFiles({ 'file.yaml': API, 'more.yaml': 'a: [' }).join('\n'), /^more\.yaml:1:[^\n]+$/));
});
