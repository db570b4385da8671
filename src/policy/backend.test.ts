import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isAllowedHost, parseAllowedHosts, hostOfApp, hostOfUrl } from './allowed-hosts.ts';
import { compileYaml, listViolations, routeOf } from './testing/compile-yaml.ts';

const CREDENTIALS = `
kind: BackendCredential
metadata: {name: mesh}
spec: {meshCertificate: {managed: {}}}
---
kind: BackendCredential
metadata: {name: other-mesh}
spec: {meshCertificate: {secretName: other}}
---
kind: BackendCredential
metadata: {name: key}
spec: {header: {name: X-Key, value: {secretKeyRef: {name: a, key: b}}}}
---
kind: BackendCredential
metadata: {name: queue}
spec: {sharedAccessSignature: {resourceUri: {value: u}, keyName: {value: n}, key: {secretKeyRef: {name: a, key: b}}}}
---
kind: BackendCredential
metadata: {name: context}
spec: {signedContext: {audience: fleet}}
---
kind: TokenIssuer
metadata: {name: corp}
spec: {jwks: {url: "https://login.example.com/keys"}, issuer: x}
---
`;
const TLS = 'scheme: https, trust: {systemRoots: true}';
const api = (app: string): string => `
kind: Api
metadata: {name: fleet, labels: {product: gold}}
spec:
  podSelector: {matchLabels: {app: fleet}}
  port: 8080
  app: {${app}}
  operations: [{name: a, path: /a}, {name: b, path: /b}]
---
`;
const policy = (name: string, target: string, spec: string, kind = 'AuthPolicy'): string => `
kind: ${kind}
metadata: {name: ${name}}
spec: {${target}${target === '' ? '' : ', '}${spec}}
---
`;
const presents = (credential: string): string => `backend: {credential: ${credential}}`;
const PRODUCT = 'targetSelectors: [{kind: Api, matchLabels: {product: gold}}]';
const OPERATION = 'targetRefs: [{kind: Api, name: fleet, sectionName: a}]';
const ON_API = 'targetRefs: [{kind: Api, name: fleet}]';

function pipelineOf(texts: readonly string[], path = '/a') {
  const { snapshot } = compileYaml([CREDENTIALS, ...texts].join(''), { source: 'files' });
  return routeOf(snapshot, 'GET', path).pipeline;
}
/** `certificate/header`, `-` for none. */
function presented(texts: readonly string[], path = '/a'): string {
  const { certificateCredential: certificate = '-', headerCredential: header = '-' } = pipelineOf(texts, path);
  return `${certificate} ${header}`.replaceAll('shop/', '');
}

describe('S5: of each sort of credential the narrowest scope that sets it counts', () => {
  const ROWS: Readonly<Record<string, readonly [texts: readonly string[], onA: string, onB: string]>> = {
    'nobody sets one': [[api('')], '- -', '- -'],
    'the Api’s own certificate is the broadest': [[api(`${TLS}, credential: mesh`)], 'mesh -', 'mesh -'],
    'the Api’s own header is the broadest': [[api('credential: key')], '- key', '- key'],
    'a header beside the Api’s certificate': [
      [api(`${TLS}, credential: mesh`), policy('p', ON_API, presents('queue'))],
      'mesh queue',
      'mesh queue',
    ],
    'a certificate beside the Api’s header': [
      [api(`${TLS}, credential: key`), policy('p', '', presents('mesh'))],
      'mesh key',
      'mesh key',
    ],
    'five scopes': [
      [
        api('credential: key'),
        policy('c', '', `request: [], backend: {credential: shop/key}`, 'ClusterAuthPolicy'),
        policy('n', '', presents('context')),
        policy('p', PRODUCT, presents('queue')),
        policy('o', OPERATION, presents('context')),
      ],
      '- context',
      '- queue',
    ],
    'an Audit policy presents nothing (S8)': [
      [api('credential: key'), policy('p', OPERATION, `mode: Audit, ${presents('queue')}`)],
      '- key',
      '- key',
    ],
    'inherit: None leaves out steps, not credentials': [
      [api(''), policy('n', '', `sealed: false, ${presents('queue')}`), policy('o', OPERATION, 'inherit: None')],
      '- queue',
      '- queue',
    ],
  };
  for (const [name, [texts, onA, onB]] of Object.entries(ROWS)) {
    test(name, () => assert.deepEqual([presented(texts), presented(texts, '/b')], [onA, onB]));
  }

  test('credentials that only a DeviceAuthService names are in force too', () => {
    const service =
      'kind: DeviceAuthService\nmetadata: {name: d}\nspec: {url: "https://d.svc/", credential: key}\n---\n';
    const step = 'request: [{name: d, deviceAuth: {service: d, deviceId: "${request.path}"}}]';
    const { snapshot } = compileYaml([CREDENTIALS, service, api(''), policy('p', ON_API, step)].join(''));
    assert.deepEqual([...snapshot.credentials.keys()], ['shop/key']);
  });
});

describe('the client’s Authorization is kept from the back end', () => {
  const jwt = (more: string) => `request: [{name: j, jwt: {issuers: [corp], audiences: [a]${more}}}]`;
  const ROWS: Readonly<Record<string, readonly [texts: readonly string[], hidden: boolean]>> = {
    'not by itself': [[api('')], false],
    'not beside a certificate': [[api(`${TLS}, credential: mesh`)], false],
    'beside a header': [[api('credential: key')], true],
    'where the back end is elsewhere': [[api('url: "http://b.example/"')], true],
    'unless a jwt step says forwardToken': [
      [api('credential: key'), policy('p', ON_API, jwt(', forwardToken: true'))],
      false,
    ],
    'although a jwt step reads it': [[api('credential: key'), policy('p', ON_API, jwt(''))], true],
    'although a jwt step forwards what it reads elsewhere': [
      [api('credential: key'), policy('p', ON_API, jwt(', forwardToken: true, from: [{query: t}]'))],
      true,
    ],
    'unless an alternative says forwardToken': [
      [
        api('credential: key'),
        policy(
          'p',
          ON_API,
          'request: [{name: j, anyOf: [{jwt: {issuers: [corp], audiences: [a], forwardToken: true}}, {anonymous: {}}]}]',
        ),
      ],
      false,
    ],
  };
  for (const [name, [texts, hidden]] of Object.entries(ROWS)) {
    test(name, () => assert.equal(pipelineOf(texts).hidesAuthorization === true, hidden));
  }
});

describe('hosts that a Secret is for', () => {
  const ALLOWED = parseAllowedHosts(' Queue.example. , *.bus.example,c.example:8443,, [::1]:9 ');
  const ROWS: Readonly<Record<string, readonly [name: string, port: number | undefined, allowed: boolean]>> = {
    'a name': ['queue.example', 443, true],
    'a name at any port': ['queue.example', 1, true],
    'another name': ['x.queue.example', 443, false],
    'a name that ends like it': ['evilqueue.example', 443, false],
    'one label under a wild card': ['a.bus.example', 443, true],
    'two labels under a wild card': ['a.b.bus.example', 443, false],
    'none under a wild card': ['bus.example', 443, false],
    'a port': ['c.example', 8443, true],
    'another port': ['c.example', 443, false],
    'no port known': ['c.example', undefined, false],
  };
  for (const [title, [name, port, allowed]] of Object.entries(ROWS)) {
    test(title, () => assert.equal(isAllowedHost(ALLOWED, { name, port }), allowed));
  }

  test('an annotation without a name allows nobody', () => {
    for (const text of ['', ' , ', ','])
      assert.equal(isAllowedHost(parseAllowedHosts(text), { name: '', port: 1 }), false);
  });

  test('an app next door is localhost, or its serverName; one elsewhere is its URL’s host', () => {
    assert.deepEqual(hostOfApp({}), { name: 'localhost', port: undefined });
    assert.deepEqual(hostOfApp({ serverName: 'Fleet.shop.svc' }), { name: 'fleet.shop.svc', port: undefined });
    assert.deepEqual(hostOfApp({ url: 'https://Q.example/x', serverName: 'y' }), { name: 'q.example', port: 443 });
    assert.deepEqual(hostOfUrl('http://[::1]/'), { name: '::1', port: 80 });
    assert.deepEqual(hostOfUrl('https://a.example:8443?x'), { name: 'a.example', port: 8443 });
  });

  const restricted = (allowed: readonly string[]) =>
    Object.assign(() => 'text', { secretHosts: (key: string) => (key === 'shop/a' ? allowed : undefined) });

  test('an Api whose back end is none of them is warned of, by policy and Api alike', () => {
    for (const texts of [
      [api('url: "https://b.example/", trust: {systemRoots: true}'), policy('p', ON_API, presents('queue'))],
      [api('url: "https://b.example/", trust: {systemRoots: true}, credential: key')],
    ]) {
      const text = [CREDENTIALS, ...texts].join('');
      const violations = listViolations(compileYaml(text, { lookup: restricted(['c.example']) }).snapshot);
      assert.equal(violations.length, 1);
      assert.match(
        violations[0] ?? '',
        /^Api shop\/fleet spec\.app: gets the BackendCredential .* c\.example only, and not to b\.example/,
      );
      assert.deepEqual(listViolations(compileYaml(text, { lookup: restricted(['b.example']) }).snapshot), []);
    }
  });

  test('a variable from such a Secret cannot be had: what reads it is 503', () => {
    const text = [
      api(''),
      policy(
        'p',
        ON_API,
        'variables: {k: {secretKeyRef: {name: a, key: b}}}, request: [{name: s, setHeaders: [{name: X, value: "${vars.k}"}]}]',
      ),
    ].join('');
    const steps = (lookup: ReturnType<typeof restricted>) =>
      routeOf(compileYaml(text, { lookup }).snapshot, 'GET', '/a').pipeline.steps.map(({ type }) => type);
    assert.deepEqual(steps(restricted(['b.example'])), ['invalid']);
    assert.deepEqual(steps(Object.assign(() => 'text', { secretHosts: () => undefined })), ['setHeaders']);
  });

  test('a header that goes over plain HTTP to somewhere else is warned of', () => {
    const text = [CREDENTIALS, api('url: "http://b.example/", credential: key')].join('');
    assert.match(listViolations(compileYaml(text).snapshot).join(), /spec\.app\.url: has no TLS/);
  });
});
