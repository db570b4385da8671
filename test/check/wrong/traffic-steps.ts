/** What is wrong with steps that look at addresses and count, and with the store that they may count in. */
import { manifest, type Cases } from '../check-manifests.ts';

const HEAD = manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: caller, anyOf: [{anonymous: {}}]}
  - name: s
`;
/** A policy whose second step has these lines; the first of them is line 8. */
const step = (text: string): string => `${HEAD}    ${text}\n`;

const ADVICE = 'write 203.0.113.7, 203.0.113.0/24 or 198.51.100.7-198.51.100.20';

export const ipFilter: Cases = {
  'no address at all': [
    step('ipFilter: {deny: []}'),
    'file.yaml:8:spec.request[1].ipFilter: lists no address, so it would let everybody pass, write allow, deny or both',
  ],
  'an empty allow list': [
    step('ipFilter: {allow: []}'),
    'file.yaml:8:spec.request[1].ipFilter.allow: is an empty list, write at least one item',
  ],
  'what is no address': [
    step('ipFilter: {allow: [localhost, 10.0.0, 203.0.113.07]}'),
    `file.yaml:8:spec.request[1].ipFilter.allow[0]: "localhost" is not an address or range, ${ADVICE}`,
    `file.yaml:8:spec.request[1].ipFilter.allow[1]: "10.0.0" is not an address or range, ${ADVICE}`,
    `file.yaml:8:spec.request[1].ipFilter.allow[2]: "203.0.113.07" is not an address or range, ${ADVICE}`,
  ],
  'a number that YAML made of an address': [
    step('ipFilter: {deny: [10.1]}'),
    'file.yaml:8:spec.request[1].ipFilter.deny[0]: is the number 10.1, but text is wanted, write it in quotes: "10.1"',
  ],
  'bits beyond the prefix': [
    step('ipFilter: {deny: [203.0.113.66/24]}'),
    'file.yaml:8:spec.request[1].ipFilter.deny[0]: "203.0.113.66/24" has bits set beyond its prefix, write 203.0.113.0/24',
  ],
  'a range the wrong way round': [
    step('ipFilter: {allow: [198.51.100.20-198.51.100.7]}'),
    'file.yaml:8:spec.request[1].ipFilter.allow[0]: "198.51.100.20-198.51.100.7" is a range that ends before it begins, write the lower address first',
  ],
  'a range over both families': [
    step('ipFilter: {allow: ["10.0.0.1-::1"]}'),
    'file.yaml:8:spec.request[1].ipFilter.allow[0]: "10.0.0.1-::1" is a range from IPv4 to IPv6, write both ends in one form',
  ],
  'a misspelt field': [
    step('ipFilter: {allowed: [10.0.0.1]}'),
    'file.yaml:8:spec.request[1].ipFilter.allowed: is not a known field, did you mean "allow"?',
  ],
};

export const rateLimit: Cases = {
  'a rate without a period': [
    step('rateLimit: {calls: 10}'),
    'file.yaml:8:spec.request[1].rateLimit.period: is missing, add it: The period, 1s to 24h',
  ],
  'no calls, and too many': [
    step('rateLimit: {calls: 0, period: 1s}'),
    'file.yaml:8:spec.request[1].rateLimit.calls: 0 is out of bounds, write a whole number from 1 to 1000000',
  ],
  'a period of a fraction of a second': [
    step('rateLimit: {calls: 10, period: 500ms}'),
    'file.yaml:8:spec.request[1].rateLimit.period: 500ms is out of bounds, write a duration from 1s to 24h',
  ],
  'an unknown scope': [
    step('rateLimit: {calls: 10, period: 1s, scope: Cluster}'),
    'file.yaml:8:spec.request[1].rateLimit.scope: "Cluster" is not known, write Pod, Workload or Shared',
  ],
  'scope Shared without a store': [
    step('rateLimit: {calls: 10, period: 1s, scope: Shared}'),
    'file.yaml:8:spec.request[1].rateLimit.scope: is Shared, but no ClusterAuthPolicy that applies here has a sharedStore, add one, or write Pod or Workload',
  ],
  'a key that is no template': [
    step('rateLimit: {calls: 10, period: 1s, key: "${source.addr}"}'),
    'file.yaml:8:spec.request[1].rateLimit.key: in ${…} reads source.addr, which does not exist here, use one of ip',
  ],
  'a key that knows of an answer': [
    step('rateLimit: {calls: 10, period: 1s, key: "${response.status}"}'),
    'file.yaml:8:spec.request[1].rateLimit.key: in ${…} uses the variable "response", which does not exist here, use one of request, source, jwt, cert, subscription, caller, params, vars and steps',
  ],
  'a condition of counting that is no condition': [
    step('rateLimit: {calls: 10, period: 1s, countWhen: response.status}'),
    'file.yaml:8:spec.request[1].rateLimit.countWhen: is of type int, but a bool is wanted, write a condition: true or false',
  ],
  'a condition of counting about what is not known': [
    step('rateLimit: {calls: 10, period: 1s, countWhen: "response.state < 500 && jwt.subject != \'\'"}'),
    'file.yaml:8:spec.request[1].rateLimit.countWhen: reads response.state, which does not exist here, use one of status and headers',
  ],
  'more keys than may be held': [
    step('rateLimit: {calls: 10, period: 1s, maxKeys: 100000000}'),
    'file.yaml:8:spec.request[1].rateLimit.maxKeys: 100000000 is out of bounds, write a whole number from 1 to 10000000',
  ],
};

export const quota: Cases = {
  'a window of more than a day': [
    step('quota: {calls: 10000, period: 720h}'),
    'file.yaml:8:spec.request[1].quota.period: 720h is out of bounds, write a duration from 1s to 24h',
  ],
  'a window without calls': [
    step('quota: {period: 1h}'),
    'file.yaml:8:spec.request[1].quota.calls: is missing, add it: Calls in a window; more are 403 QuotaExceeded with Retry-After',
  ],
  'headers, which only a rate has': [
    step('quota: {calls: 10, period: 1h, headers: true}'),
    'file.yaml:8:spec.request[1].quota.headers: is not a known field, remove it, or write calls, period, key, maxKeys, countWhen or scope',
  ],
  'calls that are text': [
    step('quota: {calls: "10", period: 1h}'),
    'file.yaml:8:spec.request[1].quota.calls: is the string "10", but a whole number is wanted, write it without quotes: 10',
  ],
  'a key that reads a step that has not run': [
    step('quota: {calls: 10, period: 1h, key: "${steps.later.id}"}'),
    'file.yaml:8:spec.request[1].quota.key: in ${…} reads steps.later, which does not exist here, use one of caller',
  ],
};

export const concurrency: Cases = {
  'no bound': [
    step('concurrency: {key: "${source.ip}"}'),
    'file.yaml:8:spec.request[1].concurrency.max: is missing, add it: Requests and streams that may be open at once; one more is 429 ConcurrencyExceeded',
  ],
  'a bound of nothing': [
    step('concurrency: {max: 0}'),
    'file.yaml:8:spec.request[1].concurrency.max: 0 is out of bounds, write a whole number from 1 to 1000000',
  ],
  'a period, which it has none': [
    step('concurrency: {max: 10, period: 1s}'),
    'file.yaml:8:spec.request[1].concurrency.period: is not a known field, remove it, or write max, key or scope',
  ],
  'a count that waits for the answer': [
    step('concurrency: {max: 10, countWhen: "response.status < 500"}'),
    'file.yaml:8:spec.request[1].concurrency.countWhen: is not a known field, remove it, or write max, key or scope',
  ],
  'a key that is not closed': [
    step('concurrency: {max: 10, key: "${source.ip"}'),
    'file.yaml:8:spec.request[1].concurrency.key: holds a ${ without its }, close it, or write $${ for a literal ${',
  ],
};

const store = (text: string, more = ''): string => `apiVersion: sallyport.dev/v1alpha1
kind: ClusterAuthPolicy
metadata: {name: limits}
spec:
  sharedStore: ${text}
${more}`;

export const sharedStore: Cases = {
  'a URL of another protocol': [
    store('{url: "https://limits.ops.svc"}'),
    'file.yaml:5:spec.sharedStore.url: "https://limits.ops.svc" is not allowed here, write a URL such as rediss://limits.sallyport-system.svc:6379',
  ],
  'a password in the URL': [
    store('{url: "redis://user:secret@limits.ops.svc"}'),
    'file.yaml:5:spec.sharedStore.url: holds a user name or password, name a BackendCredential in credential instead',
  ],
  'TLS without trust': [
    store('{url: "rediss://limits.ops.svc"}'),
    'file.yaml:5:spec.sharedStore.trust: rediss and trust belong together, name the CA that signs the store’s certificate, or write redis:// without trust',
  ],
  'trust without TLS': [
    store('{url: "redis://limits.ops.svc", trust: {systemRoots: true}}'),
    'file.yaml:5:spec.sharedStore.trust: rediss and trust belong together, name the CA that signs the store’s certificate, or write redis:// without trust',
  ],
  'trust in a Secret that is not shared': [
    store('{url: "rediss://limits.ops.svc", trust: {secretKeyRef: {namespace: ops, name: ca, key: ca.crt}}}'),
    'file.yaml:5:spec.sharedStore.trust.secretKeyRef: would bring a Secret of the cluster policy to tenants’ sidecars, set shareSecrets: true if that is meant',
    'file.yaml:5:spec.sharedStore.trust.secretKeyRef: warning: names the key "ca.crt" of the Secret "ca", which does not exist, create it; until then what needs it is answered 503',
  ],
  'a credential that does not exist': [
    store('{url: "redis://limits.ops.svc", credential: ops/limits}'),
    'file.yaml:5:spec.sharedStore.credential: names the BackendCredential "ops/limits", which does not exist, create it, or name one that exists',
  ],
  'a credential of another sort, and one that is not shared': [
    store(
      '{url: "redis://limits.ops.svc", credential: ops/token}',
      `---
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: token, namespace: ops}
spec: {header: {name: X-Key, value: {secretKeyRef: {name: k, key: k}}}}
`,
    ),
    'file.yaml:5:spec.sharedStore.credential: names the BackendCredential "ops/token", which is not basic, name one with basic: user name and password',
    'file.yaml:10:spec.header.value.secretKeyRef: warning: names the key "k" of the Secret "k", which does not exist, create it; until then what needs it is answered 503',
  ],
  'a word of its own for what becomes of limits': [
    store('{url: "redis://limits.ops.svc", onUnavailable: Allow}'),
    'file.yaml:5:spec.sharedStore.onUnavailable: "Allow" is not known, write PerPod or Deny',
  ],
  'two stores for one namespace': [
    store(
      '{url: "redis://limits.ops.svc"}',
      `---
apiVersion: sallyport.dev/v1alpha1
kind: ClusterAuthPolicy
metadata: {name: others}
spec:
  sharedStore: {url: "redis://others.ops.svc"}
`,
    ),
    'file.yaml:11:spec.sharedStore: conflicts with ClusterAuthPolicy limits, which names another store for the same namespaces, set it in one of the two, or narrow them by namespaceSelector',
  ],
};
