/** What `check` says of expressions that read who calls before anybody is authenticated (E5, E8). */
import { describe } from 'node:test';
import { manifest, testCases } from './check-manifests.ts';

/** Without the policy that lets everybody in. */
const API = manifest`
apiVersion: sallyport.dev/v1alpha1
kind: TokenIssuer
metadata: {name: corp, namespace: shop}
spec: {discovery: {url: "https://login.example.com/.well-known/openid-configuration"}}
---
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: fleet, namespace: shop}
spec: {podSelector: {matchLabels: {app: fleet}}, port: 8080}
---
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: other, namespace: shop}
spec: {podSelector: {matchLabels: {app: other}}, port: 8080}
`;
const AUTHENTICATE = '{name: who, jwt: {issuers: [corp], audiences: [x]}}';
const policy = (name: string, spec: string, ...steps: readonly string[]): string =>
  `apiVersion: sallyport.dev/v1alpha1\nkind: AuthPolicy\nmetadata: {name: ${name}, namespace: shop}\nspec:\n${spec === '' ? '' : `  ${spec}\n`}  request:\n${steps.map(step => `  - ${step}\n`).join('')}`;
const FLEET = 'targetRefs: [{kind: Api, name: fleet}]';
const rate = (key: string, more = ''): string =>
  `{name: rate, ${more}rateLimit: {calls: 5, period: 1s, key: "${key}"}}`;
const allow = (expression: string): string => `{name: rule, authorize: {allow: [{expression: "${expression}"}]}}`;
const deny = (expression: string): string => `{name: rule, authorize: {deny: [{expression: "${expression}"}]}}`;

const KEY = 'file.yaml:6:spec.request[0].rateLimit.key: warning:';
const EARLY = 'reads caller before any step that authenticates, so';
const FAILS = 'every request that gets there is answered 403 ExpressionFailed';
const MOVE = 'move this step behind the step "who"';

describe('check warns of what reads caller too early', () =>
  testCases(
    {
      'a key': [policy('a', '', rate('${caller.id}'), AUTHENTICATE), `${KEY} ${EARLY} ${FAILS}, ${MOVE}`],
      'a condition': [
        policy('a', '', `{name: h, when: "caller.kind == 'Token'", removeHeaders: [x-a]}`, AUTHENTICATE),
        `file.yaml:6:spec.request[0].when: warning: ${EARLY} ${FAILS}, ${MOVE}`,
      ],
      'a rule that allows': [
        policy('a', '', allow("caller.id.startsWith('a')"), AUTHENTICATE),
        `file.yaml:6:spec.request[0].authorize.allow[0].expression: warning: ${EARLY} this rule is never true there, ${MOVE}`,
      ],
      'a rule that denies': [
        policy('a', '', deny("caller.id == 'a' || caller.id == 'b'"), AUTHENTICATE),
        `file.yaml:6:spec.request[0].authorize.deny[0].expression: warning: ${EARLY} this rule denies every request, ${MOVE}`,
      ],
      'a policy that runs before the narrower one that authenticates': [
        `${policy('a', '', rate('${caller.id}'))}---\n${policy('fleet', FLEET, AUTHENTICATE)}---\n${policy('other', FLEET.replace('fleet', 'other'), AUTHENTICATE)}`,
        `${KEY} ${EARLY} ${FAILS}, put a step that authenticates before it, here or in a broader policy`,
      ],
      'only some of its targets': [
        `${policy('c', 'targetRefs: [{kind: Api, name: fleet}, {kind: Api, name: other}]', rate('${caller.id}'), AUTHENTICATE)}---\n${policy('a', FLEET, AUTHENTICATE)}`,
        `file.yaml:7:spec.request[0].rateLimit.key: warning: reads caller on some of its targets before any step that authenticates, so ${FAILS}, ${MOVE}`,
      ],
      'nothing that stands behind an authentication step': [policy('a', '', AUTHENTICATE, rate('${caller.id}'))],
      'nothing where a broader policy authenticates': [
        `${policy('z', '', AUTHENTICATE)}---\n${policy('a', FLEET, rate('${caller.id}'))}`,
      ],
      'nothing where one of the same scope runs before': [
        `${policy('a', '', AUTHENTICATE)}---\n${policy('b', '', rate('${caller.id}'))}`,
      ],
      'nothing that has a way around it': [
        policy(
          'a',
          '',
          allow("caller.id == 'a' || source.ip == '10.0.0.1'"),
          rate('${has(caller.id) ? caller.id : source.ip}').replace('name: rate', 'name: k'),
          rate('${caller.id}', 'when: "has(caller.id)", '),
          AUTHENTICATE,
        ),
      ],
      'nothing that is read when the answer is there': [
        policy('a', '', `{name: rate, rateLimit: {calls: 5, period: 1s, countWhen: "caller.id == 'a'"}}`, AUTHENTICATE),
      ],
    },
    API,
  ));
