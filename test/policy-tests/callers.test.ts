/** Cases that give a subscription’s key or a signature: the step is told what the case says, keys are not asked for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectManifests } from '../../src/sources/read-manifests.ts';
import { runPolicyTest, type PolicyTest } from '../../src/policy-tests/run-policy-test.ts';

const MANIFESTS = `
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: orders, namespace: shop, labels: {product: webhooks}}
spec:
  podSelector: {matchLabels: {app: orders}}
  port: 8443
  operations: [{name: key, path: /key}, {name: hook, methods: [POST], path: /hook}, {name: slack, path: /slack}]
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: key, namespace: shop}
spec:
  targetRefs: [{kind: Api, name: orders, sectionName: key}]
  request: [{name: sub, subscription: {header: X-Key}}]
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: hook, namespace: shop}
spec:
  targetRefs: [{kind: Api, name: orders, sectionName: hook}]
  request:
  - {name: hook, hmacSignature: {preset: StandardWebhooks, maxBody: 8, keys: [{secretKeyRef: {name: k, key: k}}]}}
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: slack, namespace: shop}
spec:
  targetRefs: [{kind: Api, name: orders, sectionName: slack}]
  request:
  - name: caller
    anyOf: [{subscription: {}}, {hmacSignature: {preset: Slack, keys: [{secretKeyRef: {name: k, key: k}}]}}]
---
apiVersion: sallyport.dev/v1alpha1
kind: Subscription
metadata: {name: active, namespace: shop}
spec: {primaryKeyHash: {secretKeyRef: {name: k, key: a}}}
---
apiVersion: sallyport.dev/v1alpha1
kind: Subscription
metadata: {name: suspended, namespace: shop}
spec: {state: Suspended, primaryKeyHash: {secretKeyRef: {name: k, key: b}}}
---
apiVersion: sallyport.dev/v1alpha1
kind: Subscription
metadata: {name: ended, namespace: shop}
spec: {notAfter: "2026-01-01T00:00:00Z", primaryKeyHash: {secretKeyRef: {name: k, key: c}}}
---
apiVersion: sallyport.dev/v1alpha1
kind: Subscription
metadata: {name: elsewhere, namespace: shop}
spec: {targetSelectors: [{kind: Api, matchLabels: {product: other}}], primaryKeyHash: {secretKeyRef: {name: k, key: d}}}
---
apiVersion: sallyport.dev/v1alpha1
kind: PolicyTest
metadata: {name: callers, namespace: shop}
spec:
  cases:
  - {name: a key, given: {request: {path: /key}, subscription: active}, expect: {verdict: Permit}}
  - {name: no key, given: {request: {path: /key}}, expect: {status: 401, reason: SubscriptionKeyNotFound}}
  - {name: suspended, given: {request: {path: /key}, subscription: suspended}, expect: {reason: SubscriptionKeyInvalid}}
  - {name: ended, given: {request: {path: /key}, subscription: ended}, expect: {reason: SubscriptionKeyInvalid}}
  - {name: before its end, given: {now: "2025-12-31T00:00:00Z", request: {path: /key}, subscription: ended}, expect: {verdict: Permit}}
  - {name: of another Api, given: {request: {path: /key}, subscription: elsewhere}, expect: {reason: SubscriptionKeyInvalid}}
  - {name: a key of nobody, given: {request: {path: /key, headers: {X-Key: x}}}, expect: {reason: SubscriptionKeyInvalid}}
  - {name: signed, given: {request: {method: POST, path: /hook, body: "12345678"}, signature: Valid}, expect: {verdict: Permit}}
  - {name: badly signed, given: {request: {method: POST, path: /hook}, signature: Invalid}, expect: {status: 401, reason: SignatureInvalid}}
  - {name: unsigned, given: {request: {method: POST, path: /hook}}, expect: {reason: SignatureNotPresent, step: hook/hook}}
  - {name: too long, given: {request: {method: POST, path: /hook, body: "123456789"}, signature: Valid}, expect: {status: 413, reason: BodyTooLarge}}
  - {name: signed instead of keyed, given: {request: {path: /slack}, signature: Valid}, expect: {verdict: Permit}}
  - {name: keyed instead of signed, given: {request: {path: /slack}, subscription: active}, expect: {verdict: Permit}}
`;

test('a case may give a subscription’s key or a signature', async () => {
  const resources = collectManifests([{ name: 'all.yaml', text: MANIFESTS }]);
  assert.deepEqual(resources.violations, []);
  const tests = resources.objects.filter((object): object is PolicyTest => object.kind === 'PolicyTest');
  const [callers] = tests;
  assert.ok(callers !== undefined);
  const results = await runPolicyTest(callers, resources, Date.UTC(2026, 5, 1));
  assert.equal(results.length, 13);
  for (const { name, differences } of results) assert.deepEqual(differences, [], name);
});
