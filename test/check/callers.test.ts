/** What is wrong with subscriptions and signatures. */
import { describe } from 'node:test';
import { manifest, testCases } from './check-manifests.ts';

const HEAD = manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - name: s
`;
/** A policy whose step has these lines; the first of them is line 7. */
const step = (text: string): string => `${HEAD}    ${text}\n`;

const SECRET = manifest`
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: shop}
stringData:
  primary: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  plain: opensesame
---
`;
/** A Subscription with this spec, in line 10. */
const subscription = (spec: string): string =>
  `${SECRET}apiVersion: sallyport.dev/v1alpha1\nkind: Subscription\nmetadata: {name: partner-a, namespace: shop}\nspec: ${spec}\n`;

describe('check finds in Subscription', () =>
  testCases({
    'nothing wrong': [subscription('{primaryKeyHash: {secretKeyRef: {name: keys, key: primary}}}')],
    'no key': [
      subscription('{state: Active}'),
      'file.yaml:11:spec.primaryKeyHash: is missing, add it: Hash of the first key',
    ],
    'a key instead of its hash': [
      subscription('{primaryKeyHash: {secretKeyRef: {name: keys, key: plain}}}'),
      'file.yaml:11:spec.primaryKeyHash.secretKeyRef: "plain" of the Secret "keys" holds no SHA-256, put 64 hex digits there: printf %s KEY | sha256sum',
    ],
    'a hash that is written in the manifest': [
      subscription('{primaryKeyHash: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}'),
      'file.yaml:11:spec.primaryKeyHash: is the string "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", but an object is wanted, write an object with members such as secretKeyRef',
    ],
    'a hash in a ConfigMap': [
      subscription('{primaryKeyHash: {configMapKeyRef: {name: keys, key: primary}}}'),
      'file.yaml:11:spec.primaryKeyHash.configMapKeyRef: is not a known field, remove it, or write secretKeyRef',
      'file.yaml:11:spec.primaryKeyHash.secretKeyRef: is missing, add it: A key of a Secret',
    ],
    'a Secret that does not exist': [
      subscription('{primaryKeyHash: {secretKeyRef: {name: kyes, key: primary}}}'),
      'file.yaml:11:spec.primaryKeyHash.secretKeyRef: warning: names the key "primary" of the Secret "kyes", which does not exist, did you mean "keys"? Otherwise create it; until then what needs it is answered 503',
    ],
    'a state that does not exist': [
      subscription('{state: Paused, primaryKeyHash: {secretKeyRef: {name: keys, key: primary}}}'),
      'file.yaml:11:spec.state: "Paused" is not known, write Active or Suspended',
    ],
    'an Api that does not exist': [
      subscription(
        '{targetRefs: [{kind: Api, name: fleed}], primaryKeyHash: {secretKeyRef: {name: keys, key: primary}}}',
      ),
      'file.yaml:11:spec.targetRefs[0].name: names the Api "fleed", which does not exist: this target has no effect, write "fleet"',
    ],
    'an operation as its target': [
      subscription(
        '{targetRefs: [{kind: Api, name: fleet, sectionName: device}], primaryKeyHash: {secretKeyRef: {name: keys, key: primary}}}',
      ),
      'file.yaml:11:spec.targetRefs[0].sectionName: is not a known field, remove it, or write group, kind or name',
    ],
    'a day that does not exist': [
      subscription('{notAfter: "2027-13-31T00:00:00Z", primaryKeyHash: {secretKeyRef: {name: keys, key: primary}}}'),
      'file.yaml:11:spec.notAfter: "2027-13-31T00:00:00Z" is no moment of the calendar, write a time such as 2027-01-31T00:00:00Z',
    ],
    'a date without a time': [
      subscription('{notAfter: 2027-01-31, primaryKeyHash: {secretKeyRef: {name: keys, key: primary}}}'),
      'file.yaml:11:spec.notAfter: "2027-01-31" is not allowed here, write a time such as 2027-01-31T00:00:00Z',
    ],
  }));

describe('check finds in the step subscription', () =>
  testCases({
    'a misspelt field': [
      step('subscription: {headers: X-Key}'),
      'file.yaml:7:spec.request[0].subscription.headers: is not a known field, did you mean "header"?',
    ],
    'no name of a header': [
      step('subscription: {header: "X Key"}'),
      'file.yaml:7:spec.request[0].subscription.header: "X Key" is not allowed here, write an HTTP token, for example X-Client-Id',
    ],
    'no name of a parameter': [
      step('subscription: {query: "a&b"}'),
      'file.yaml:7:spec.request[0].subscription.query: "a&b" is not allowed here, write letters, digits, ., _, ~ and -',
    ],
    'nothing at all': [
      step('subscription:'),
      'file.yaml:7:spec.request[0].subscription: is empty, but an object is wanted, write an object with members such as header or query',
    ],
    'the key itself': [
      step('subscription: {key: opensesame}'),
      'file.yaml:7:spec.request[0].subscription.key: is not a known field, remove it, or write header or query',
    ],
    'a header for the app that the key is read from (P13)': [
      `${step('subscription: {header: X-Key}')}  - name: set\n    setHeaders: [{name: x_key, value: a}]\n`,
      'file.yaml:9:spec.request[1].setHeaders[0].name: sets the header "x_key", from which an authentication step reads its credential, use another header',
    ],
  }));
