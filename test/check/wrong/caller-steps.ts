/** What is wrong with subscriptions and signatures. */
import { manifest, type Cases } from '../check-manifests.ts';

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
  bad: whsec_*
  empty: ''
---
`;
/** A Subscription with this spec, in line 13. */
const subscriptionOf = (spec: string): string =>
  `${SECRET}apiVersion: sallyport.dev/v1alpha1\nkind: Subscription\nmetadata: {name: partner-a, namespace: shop}\nspec: ${spec}\n`;

export const subscriptionObject: Cases = {
  'nothing wrong': [subscriptionOf('{primaryKeyHash: {secretKeyRef: {name: keys, key: primary}}}')],
  'no key': [
    subscriptionOf('{state: Active}'),
    'file.yaml:13:spec.primaryKeyHash: is missing, add it: Hash of the first key',
  ],
  'a key instead of its hash': [
    subscriptionOf('{primaryKeyHash: {secretKeyRef: {name: keys, key: plain}}}'),
    'file.yaml:13:spec.primaryKeyHash.secretKeyRef: "plain" of the Secret "keys" holds no SHA-256, put 64 hex digits there: printf %s KEY | sha256sum',
  ],
  'a hash that is written in the manifest': [
    subscriptionOf('{primaryKeyHash: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}'),
    'file.yaml:13:spec.primaryKeyHash: is the string "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", but an object is wanted, write an object with members such as secretKeyRef',
  ],
  'a hash in a ConfigMap': [
    subscriptionOf('{primaryKeyHash: {configMapKeyRef: {name: keys, key: primary}}}'),
    'file.yaml:13:spec.primaryKeyHash.configMapKeyRef: is not a known field, remove it, or write secretKeyRef',
    'file.yaml:13:spec.primaryKeyHash.secretKeyRef: is missing, add it: A key of a Secret',
  ],
  'a Secret that does not exist': [
    subscriptionOf('{primaryKeyHash: {secretKeyRef: {name: kyes, key: primary}}}'),
    'file.yaml:13:spec.primaryKeyHash.secretKeyRef: warning: names the key "primary" of the Secret "kyes", which does not exist, did you mean "keys"? Otherwise create it; until then what needs it is answered 503',
  ],
  'a state that does not exist': [
    subscriptionOf('{state: Paused, primaryKeyHash: {secretKeyRef: {name: keys, key: primary}}}'),
    'file.yaml:13:spec.state: "Paused" is not known, write Active or Suspended',
  ],
  'an Api that does not exist': [
    subscriptionOf(
      '{targetRefs: [{kind: Api, name: fleed}], primaryKeyHash: {secretKeyRef: {name: keys, key: primary}}}',
    ),
    'file.yaml:13:spec.targetRefs[0].name: names the Api "fleed", which does not exist: this target has no effect, write "fleet"',
  ],
  'an operation as its target': [
    subscriptionOf(
      '{targetRefs: [{kind: Api, name: fleet, sectionName: device}], primaryKeyHash: {secretKeyRef: {name: keys, key: primary}}}',
    ),
    'file.yaml:13:spec.targetRefs[0].sectionName: is not a known field, remove it, or write group, kind or name',
  ],
  'a day that does not exist': [
    subscriptionOf('{notAfter: "2027-13-31T00:00:00Z", primaryKeyHash: {secretKeyRef: {name: keys, key: primary}}}'),
    'file.yaml:13:spec.notAfter: "2027-13-31T00:00:00Z" is no moment of the calendar, write a time such as 2027-01-31T00:00:00Z',
  ],
  'a date without a time': [
    subscriptionOf('{notAfter: 2027-01-31, primaryKeyHash: {secretKeyRef: {name: keys, key: primary}}}'),
    'file.yaml:13:spec.notAfter: "2027-01-31" is not allowed here, write a time such as 2027-01-31T00:00:00Z',
  ],
};

export const subscription: Cases = {
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
};

const BASE_KEYS = 'keys: [{secretKeyRef: {name: keys, key: primary}}]';
/** Behind a Secret, so that the step stands in line 16. */
const signed = (text: string): string => `${SECRET}${step(`hmacSignature: {${text}}`)}`;

export const hmacSignature: Cases = {
  'nothing wrong': [signed(`preset: GitHub, ${BASE_KEYS}`)],
  'no scheme': [
    signed(BASE_KEYS),
    'file.yaml:16:spec.request[0].hmacSignature: has none of preset and header, write exactly one of them',
  ],
  'two schemes': [
    signed(`preset: Slack, header: X-Sig, ${BASE_KEYS}`),
    'file.yaml:16:spec.request[0].hmacSignature.header: preset and header exclude each other, keep one of them',
  ],
  'a preset with fields of its own': [
    signed(`preset: Stripe, prefix: "v1=", ${BASE_KEYS}`),
    'file.yaml:16:spec.request[0].hmacSignature.preset: preset stands beside prefix, encoding, algorithm, keyEncoding, payload, timestampHeader or idHeader, remove them, or preset',
  ],
  'a preset that does not exist': [
    signed(`preset: Github, ${BASE_KEYS}`),
    'file.yaml:16:spec.request[0].hmacSignature.preset: "Github" is not known, did you mean "GitHub"?',
  ],
  'no key': [
    signed('preset: GitHub'),
    'file.yaml:16:spec.request[0].hmacSignature.keys: is missing, add it: Shared keys, any one of which may have signed: replace one while another is in use',
  ],
  'a payload without the body': [
    signed(`header: X-Sig, payload: "\${timestamp}", timestampHeader: X-Time, ${BASE_KEYS}`),
    'file.yaml:16:spec.request[0].hmacSignature.payload: does not hold ${body} once, write ${body} where the body stands, for example ${timestamp}.${body}',
  ],
  'another hole in a payload': [
    signed(`header: X-Sig, payload: "\${request.path}.\${body}", ${BASE_KEYS}`),
    'file.yaml:16:spec.request[0].hmacSignature.payload: holds "${request.path}", but only ${body}, ${timestamp} and ${id} stand for something here, write $${ for a literal ${',
  ],
  'a time that is not signed': [
    signed(`header: X-Sig, timestampHeader: X-Time, ${BASE_KEYS}`),
    'file.yaml:16:spec.request[0].hmacSignature.timestampHeader: timestampHeader and ${timestamp} in payload belong together: a time that is not signed proves nothing, write both, or neither',
  ],
  'a time that is only text': [
    signed(`header: X-Sig, payload: "$\${timestamp}\${body}", timestampHeader: X-Time, ${BASE_KEYS}`),
    'file.yaml:16:spec.request[0].hmacSignature.payload: does not sign timestampHeader or idHeader, write ${timestamp} and ${id}',
  ],
  'an id without its header': [
    signed(`header: X-Sig, payload: "\${id}.\${body}", ${BASE_KEYS}`),
    'file.yaml:16:spec.request[0].hmacSignature.idHeader: idHeader and ${id} in payload belong together, write both, or neither',
  ],
  'a key that does not exist': [
    signed('preset: GitHub, keys: [{secretKeyRef: {name: keys, key: primry}}]'),
    'file.yaml:16:spec.request[0].hmacSignature.keys[0].secretKeyRef: warning: names the key "primry" of the Secret "keys", which does not exist, did you mean "primary"? Otherwise create it; until then what needs it is answered 503',
  ],
  'a key that is not written as the scheme says': [
    signed(
      `preset: StandardWebhooks, keys: [{secretKeyRef: {name: keys, key: bad}}, {secretKeyRef: {name: keys, key: empty}}]`,
    ),
    'file.yaml:16:spec.request[0].hmacSignature.keys[0].secretKeyRef: "bad" of the Secret "keys" holds no Base64 after whsec_, put the key there as its sender shows it',
    'file.yaml:16:spec.request[0].hmacSignature.keys[1].secretKeyRef: "empty" of the Secret "keys" holds an empty key, put the key there as its sender shows it',
  ],
  'a body that cannot be held': [
    signed(`preset: GitHub, maxBody: 1Gi, ${BASE_KEYS}`),
    'file.yaml:16:spec.request[0].hmacSignature.maxBody: 1Gi is out of bounds, write bytes from 0 to 16Mi',
  ],
  'a Secret of a cluster policy that is not shared': [
    signed(`preset: GitHub, ${BASE_KEYS}`)
      .replace('AuthPolicy', 'ClusterAuthPolicy')
      .replace('{name: a, namespace: shop}', '{name: a}')
      .replace('key: primary}', 'key: primary, namespace: shop}'),
    'file.yaml:16:spec.request[0].hmacSignature.keys[0].secretKeyRef: would bring a Secret of the cluster policy to tenants’ sidecars, set shareSecrets: true if that is meant',
  ],
  'a header for the app that is signed (P13)': [
    `${signed(`preset: Slack, ${BASE_KEYS}`)}  - name: set\n    setHeaders: [{name: X-Slack-Request-Timestamp, value: "0"}]\n`,
    'file.yaml:18:spec.request[1].setHeaders[0].name: sets the header "X-Slack-Request-Timestamp", from which an authentication step reads its credential, use another header',
  ],
};
