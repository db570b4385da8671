import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ConditionType } from '../api/conditions.ts';
import { describeCluster, examineCluster } from './cluster-status.ts';
import { examineNamespace, shareOfClusterPolicies } from './namespace-status.ts';
import type { KnownObject } from './objects.ts';
import type { PodStates } from './pod-states.ts';
import type { PodFacts } from './pods.ts';
import { NO_TESTS } from './test-judgement.ts';
import { makeData, makePod, makeState, readObjects, say } from './testing/scene.ts';

const API = (namespace: string) => `
kind: Api
metadata: {name: fleet, namespace: ${namespace}}
spec: {podSelector: {matchLabels: {app: fleet}}, port: 8080, operations: [{name: one, path: "/${namespace}/{id}"}]}
---
`;
const policy = (spec: string) => `
kind: ClusterAuthPolicy
metadata: {name: baseline, generation: 3}
spec: ${spec}
---
`;
const data = makeData({ 'Secret identity/key': { k: 'x' } });

function evaluate(objects: readonly KnownObject[], pods: readonly PodFacts[] = [], states: PodStates = new Map()) {
  const namespaces = ['shop', 'bank'];
  const shares = new Map(
    namespaces.map(namespace => {
      const facts = examineNamespace({
        namespace,
        namespaceLabels: { name: namespace },
        objects: objects.filter(object => object.kind !== 'Api' || object.namespace === namespace),
        pods: pods.filter(pod => pod.namespace === namespace),
        data,
        requireLabel: false,
        checkData: () => [],
      });
      return [namespace, shareOfClusterPolicies(facts, { states, tests: NO_TESTS })];
    }),
  );
  const input = { objects: objects.filter(({ kind }) => kind !== 'Api'), data, requireLabel: false };
  const statuses = describeCluster(input, examineCluster(input), { shares });
  return (type: ConditionType): string => {
    const found = statuses.get('ClusterAuthPolicy baseline')?.findings.find(finding => finding.type === type);
    return found === undefined ? 'absent' : `${found.holds ? 'True' : 'False'} ${found.reason}: ${found.message}`;
  };
}

const pods = [makePod('a'), makePod('b'), makePod('c', { namespace: 'bank' })];

describe('a cluster policy', () => {
  test('counts the pods of all namespaces that it applies to', () => {
    const objects = readObjects(API('shop') + API('bank') + policy('{request: []}'));
    const known = objects.find(({ kind }) => kind === 'ClusterAuthPolicy');
    assert.ok(known);
    const states = new Map(pods.slice(1).map(pod => makeState(pod, [say(known)])));
    const show = evaluate(objects, pods, states);
    assert.equal(show('Enforced'), 'False SomePods: generation 3 on 2/3 pods; 1 has not answered yet');
    assert.equal(show('Programmed'), 'True Programmed: applies in 2 namespaces: bank, shop');
  });

  test('counts only those that its selector selects', () => {
    const selected = policy('{namespaceSelector: {matchLabels: {name: bank}}, request: []}');
    const show = evaluate(readObjects(API('shop') + API('bank') + selected), pods);
    assert.match(show('Enforced'), /^False NoPods: generation 3 on 0\/1 pods/);
    assert.equal(show('Programmed'), 'True Programmed: applies in 1 namespace: bank');
  });

  test('is judged although it applies to no namespace', () => {
    const wrong =
      '{namespaceSelector: {matchLabels: {name: x}}, request: [{name: s, authorize: {deny: [{expression: "nonsense"}]}}]}';
    const show = evaluate(readObjects(API('shop') + policy(wrong)), pods);
    assert.match(show('Accepted'), /^False Invalid: spec\.request\[0\]/);
  });

  test('that is wrong in one namespace names it', () => {
    const reads = policy('{request: [{name: s, authorize: {deny: [{expression: "params.id == \'1\'"}]}}]}');
    const other = `
kind: Api
metadata: {name: other, namespace: bank}
spec: {podSelector: {matchLabels: {app: fleet}}, port: 8080}
`;
    const show = evaluate(readObjects(API('shop') + reads + other), pods);
    assert.match(show('Accepted'), /^False Invalid: .*\(in namespace bank\)/);
  });

  test('names issuers of other namespaces, which must exist', () => {
    const names = policy('{request: [{name: s, jwt: {issuers: [identity/corp], audiences: [a]}}]}');
    assert.match(evaluate(readObjects(API('shop') + names))('ResolvedRefs'), /^False RefNotFound: .*identity\/corp/);
    const issuer = `
kind: TokenIssuer
metadata: {name: corp, namespace: identity}
spec: {discovery: {url: "https://i.example/c"}}
---
`;
    assert.match(evaluate(readObjects(API('shop') + names + issuer))('ResolvedRefs'), /^True/);
  });

  test('whose issuer needs a Secret says that no sidecar gets it, unless it shares its Secrets, which is noted', () => {
    const issuer = `
kind: TokenIssuer
metadata: {name: corp, namespace: identity}
spec: {issuer: i, keys: [{secretKeyRef: {name: key, key: k}}]}
---
`;
    const names = (share: boolean) =>
      policy(`{shareSecrets: ${share}, request: [{name: s, jwt: {issuers: [identity/corp], audiences: [a]}}]}`);
    const withheld = evaluate(readObjects(API('shop') + issuer + names(false)));
    assert.match(
      withheld('ResolvedRefs'),
      /^False RefNotPermitted: spec\.request\[0\]\.jwt\.issuers\[0\]: TokenIssuer identity\/corp needs the Secret identity\/key/,
    );
    const shared = evaluate(readObjects(API('shop') + issuer + names(true)));
    assert.match(shared('ResolvedRefs'), /^True/);
    assert.match(shared('Accepted'), /note: shares its Secrets with the sidecars that it selects/);
  });

  test('notes every allowance that it makes (S9)', () => {
    const allows = policy(
      '{allowances: [{namespaceSelector: {matchLabels: {team: media}}, excludePorts: [9090], until: "2027-01-31T00:00:00Z"}]}',
    );
    assert.match(
      evaluate(readObjects(allows))('Accepted'),
      /note: allows until 2027-01-31T00:00:00\.000Z: TCP ports 9090 may be left out of interception$/,
    );
  });

  test('that selects by labels of Apis warns that tenants control them', () => {
    const selects = policy('{targetSelectors: [{kind: Api, matchLabels: {product: gold}}]}');
    assert.match(evaluate(readObjects(selects))('TenantControlled'), /^True LabelSelected/);
    assert.equal(evaluate(readObjects(policy('{}')))('TenantControlled'), 'absent');
  });
});
