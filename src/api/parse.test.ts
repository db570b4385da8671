import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { expandDefault } from './crd-schema.ts';
import { KINDS, type KindName } from './kinds/index.ts';
import { parseObject } from './parse.ts';
import { narrow } from './schema.ts';

const ANCHOR = { configMapKeyRef: { name: 'ca', key: 'ca.crt' } };

/** The least that each kind takes. */
const MINIMAL: Readonly<Record<KindName, Record<string, unknown>>> = {
  ClusterAuthPolicy: {},
  AuthPolicy: {},
  Api: { podSelector: { matchLabels: { app: 'fleet' } }, port: 8080 },
  TokenIssuer: { discovery: { url: 'https://login.example.com/' } },
  ClientTrust: { anchors: [ANCHOR] },
  DeviceAuthService: { url: 'https://device-auth.fleet.svc/check' },
  BackendCredential: { meshCertificate: { secretName: 'mesh' } },
  Subscription: { primaryKeyHash: { secretKeyRef: { name: 'keys', key: 'primary' } } },
  PolicyTest: { cases: [{ name: 'a', given: { request: { path: '/' } }, expect: { verdict: 'Deny' } }] },
};
const KIND_NAMES = Object.keys(MINIMAL) as KindName[];

const manifest = (kind: string, spec: unknown, metadata: unknown = { name: 'x' }): Record<string, unknown> => ({
  apiVersion: 'sallyport.dev/v1alpha1',
  kind,
  metadata,
  spec,
});

const problemsOf = (raw: unknown): string[] =>
  parseObject(raw).violations.map(({ field, problem, fix }) => `${field}: ${problem}, ${fix}`);

const step = (body: Record<string, unknown>): Record<string, unknown> =>
  manifest('AuthPolicy', { request: [{ name: 'a', ...body }] });

function specOf(kind: KindName, spec: unknown): unknown {
  const result = parseObject(manifest(kind, spec));
  assert.deepEqual(result.violations, []);
  return result.object?.spec;
}

describe('parsing an object', () => {
  it('gives identity, labels and a spec with defaults in milliseconds and bytes', () => {
    const metadata = {
      name: 'fleet',
      namespace: 'shop',
      labels: { product: 'gold' },
      creationTimestamp: '2026-01-02T03:04:05Z',
    };
    const { object } = parseObject(manifest('Api', MINIMAL.Api, metadata));
    assert.equal(object?.kind, 'Api');
    assert.equal(object.key, 'shop/fleet');
    assert.equal(object.meta.createdAt, Date.UTC(2026, 0, 2, 3, 4, 5));
    assert.equal(object.meta.generation, 1);
    assert.deepEqual({ ...object.meta.labels }, { product: 'gold' });
    assert.equal(object.spec.limits.headBytes, 65536);
    assert.equal(object.spec.limits.bodyBytes, 0);
    assert.equal(object.spec.app.timeouts.idle, 300_000);
    assert.equal(object.spec.unmatched, 'Deny');
  });

  it('names a cluster-scoped object without a namespace and a namespaced one with the default one', () => {
    assert.equal(parseObject(manifest('ClusterAuthPolicy', {})).object?.key, 'x');
    assert.equal(parseObject(manifest('AuthPolicy', {})).object?.key, 'default/x');
    assert.equal(
      parseObject(manifest('AuthPolicy', {}), undefined, { defaultNamespace: 'shop' }).object?.key,
      'shop/x',
    );
  });

  it('keeps names from users harmless', () => {
    const spec: unknown = JSON.parse('{"variables": {"__proto__": {"value": "a"}, "constructor": {"value": "b"}}}');
    const { object } = parseObject(manifest('AuthPolicy', spec));
    assert.equal(object?.kind, 'AuthPolicy');
    assert.equal(Object.getPrototypeOf(object.spec.variables), null);
    assert.deepEqual(Object.keys(object.spec.variables), ['__proto__', 'constructor']);
    assert.deepEqual(problemsOf(manifest('AuthPolicy', JSON.parse('{"__proto__": {}, "toString": {}}'))), [
      'spec.__proto__: is not a known field, remove it, or write targetRefs, targetSelectors, inherit, mode, sealed, variables, request, backend, response or errors',
      'spec.toString: is not a known field, remove it, or write targetRefs, targetSelectors, inherit, mode, sealed, variables, request, backend, response or errors',
    ]);
  });

  it('reports everything that is wrong at once', () => {
    const spec = { mode: 'Adit', sealed: 'yes', request: [{ name: 'A' }, { jwt: { issuers: [] } }], respone: [] };
    assert.deepEqual(problemsOf(manifest('AuthPolicy', spec)), [
      'spec.respone: is not a known field, did you mean "response"?',
      'spec.mode: "Adit" is not known, did you mean "Audit"?',
      'spec.sealed: is the string "yes", but true or false is wanted, write true or false, without quotes',
      'spec.request[0].name: "A" is not allowed here, write lower-case letters, digits and -, starting and ending with a letter or digit',
      'spec.request[0]: has none of jwt, clientCertificate, subscription, hmacSignature, anyOf, deviceAuth, authorize, ipFilter, rateLimit, quota, requireHeader, concurrency, cors, setHeaders, removeHeaders, setVariables, choose and respond, write exactly one of them',
      'spec.request[1].name: is missing, add it: The step’s name; logs, metrics and explain say policy/step',
      'spec.request[1].jwt.issuers: is an empty list, write at least one item',
      'spec.request[1].jwt.audiences: is missing, add it: aud must hold one of them, else 401 TokenAudienceNotAllowed; [Any], alone, switches the check off and is shown in status',
    ]);
  });

  it('tells what is known of an object that it refuses', () => {
    const raw = manifest(
      'AuthPolicy',
      { mode: 'x' },
      { name: 'a', namespace: 'shop', labels: { tier: 'gold', bad: 1 } },
    );
    const result = parseObject(raw);
    assert.equal(result.object, undefined);
    assert.deepEqual(
      { ...result.invalid, labels: { ...result.invalid?.labels } },
      {
        kind: 'AuthPolicy',
        namespace: 'shop',
        name: 'a',
        labels: { tier: 'gold' },
        manifest: raw,
      },
    );
  });

  it('knows no object without a usable name', () => {
    assert.equal(parseObject(manifest('AuthPolicy', {}, {})).invalid, undefined);
    assert.deepEqual(problemsOf(manifest('AuthPolicy', {}, { name: 'A b', namespace: 'x.y' })), [
      'metadata.name: "A b" is not an object name, write lower-case letters, digits, - and ., at most 253 characters',
      'metadata.namespace: "x.y" is not a namespace’s name, write lower-case letters, digits and -, at most 63 characters',
    ]);
  });

  const refused: Readonly<Record<string, readonly [raw: unknown, ...problems: string[]]>> = {
    'a document that is no object': [
      [],
      ': the document is a list, but an object is wanted, write apiVersion: sallyport.dev/v1alpha1 and kind',
    ],
    'another version': [
      { ...manifest('AuthPolicy', {}), apiVersion: 'sallyport.dev/v2' },
      'apiVersion: "sallyport.dev/v2" is not known, write sallyport.dev/v1alpha1',
    ],
    'a misspelt kind': [
      manifest('AuthPolcy', {}),
      'kind: "AuthPolcy" is not a kind of sallyport.dev, did you mean "AuthPolicy"?',
    ],
    'an unquoted on, which YAML 1.1 takes for true': [
      manifest('DeviceAuthService', { url: 'http://d/{deviceId}', retry: { true: ['connect'] } }),
      'spec.retry.true: is not a known field, write "on" in quotes',
    ],
    'a missing spec': [
      { ...manifest('AuthPolicy', {}), spec: undefined, spek: {} },
      'spek: is not a known field, did you mean "spec"?',
      'spec: is missing, add spec: {…}',
    ],
    'an empty field': [
      step({ when: null, authorize: { deny: [{ expression: 'true' }] } }),
      'spec.request[0].when: is empty, but text is wanted, give it a value, or remove the field',
    ],
    'two steps in one': [
      step({ requireHeader: { name: 'a' }, removeHeaders: ['b'] }),
      'spec.request[0].removeHeaders: requireHeader and removeHeaders exclude each other, keep one of them',
    ],
    'two steps of one name': [
      manifest('AuthPolicy', {
        request: [
          { name: 'a', removeHeaders: ['b'] },
          { name: 'a', removeHeaders: ['c'] },
        ],
      }),
      'spec.request[1].name: "a" is already used by item 0, give it another name',
    ],
    'a set that repeats an item': [
      step({ removeHeaders: ['b', 'b'] }),
      'spec.request[0].removeHeaders[1]: "b" is already used by item 0, remove it',
    ],
    'a header of the message’s framing': [
      step({ setHeaders: [{ name: 'Transfer_Encoding', value: 'x' }] }),
      'spec.request[0].setHeaders[0].name: the header "Transfer_Encoding" frames the message or belongs to the connection, so no policy may set or remove it, remove it',
    ],
    'a header of the connection from a claim': [
      step({ jwt: { issuers: ['a'], audiences: ['b'], claimHeaders: { Upgrade: 'x', 'a b': 'y' } } }),
      'spec.request[0].jwt.claimHeaders.Upgrade: the header "Upgrade" frames the message or belongs to the connection, so no policy may set or remove it, remove it',
      'spec.request[0].jwt.claimHeaders["a b"]: "a b" is not allowed here, write an HTTP token, for example X-Client-Id',
    ],
    'a reference into another namespace': [
      step({ clientCertificate: { trust: 'other/devices' } }),
      'spec.request[0].clientCertificate.trust: "other/devices" names another namespace, and references stay within their own, write "devices"',
    ],
    'a cluster policy’s reference without a namespace': [
      manifest('ClusterAuthPolicy', { request: [{ name: 'a', clientCertificate: { trust: 'devices' } }] }),
      'spec.request[0].clientCertificate.trust: "devices" has no namespace, write namespace/name, for example shop/devices',
    ],
    'a cluster policy’s key without a namespace': [
      manifest('ClusterAuthPolicy', { variables: { a: { secretKeyRef: { name: 'n', key: 'k' } } } }),
      'spec.variables.a.secretKeyRef.namespace: is missing, name the namespace: a cluster policy has none of its own',
    ],
    'a key with a namespace elsewhere': [
      manifest('ClientTrust', { anchors: [{ configMapKeyRef: { name: 'n', key: 'k', namespace: 'x' } }] }),
      'spec.anchors[0].configMapKeyRef.namespace: only a ClusterAuthPolicy may name a namespace here, remove it',
    ],
    'a namespace of a cluster-scoped object': [
      manifest('ClusterAuthPolicy', {}, { name: 'a', namespace: 'b' }),
      'metadata.namespace: the kind is cluster-scoped and has no namespace, remove it',
    ],
    'a duration without a unit': [
      step({ rateLimit: { calls: 1, period: 60 } }),
      'spec.request[0].rateLimit.period: is the number 60, but a duration is wanted, give it a unit: 60s or 60ms',
    ],
    'a duration in days': [
      step({ rateLimit: { calls: 1, period: '1d' } }),
      'spec.request[0].rateLimit.period: "1d" is not a duration, write a duration such as 500ms, 10s or 1h30m',
    ],
    'a duration out of bounds': [
      step({ rateLimit: { calls: 1, period: '25h' } }),
      'spec.request[0].rateLimit.period: 25h is out of bounds, write a duration from 1s to 24h',
    ],
    'a number in quotes': [
      step({ rateLimit: { calls: '10', period: '1s' } }),
      'spec.request[0].rateLimit.calls: is the string "10", but a whole number is wanted, write it without quotes: 10',
    ],
    'a number with a fraction': [
      step({ rateLimit: { calls: 1.5, period: '1s' } }),
      'spec.request[0].rateLimit.calls: 1.5 is not a whole number, write a whole number from 1 to 1000000',
    ],
    'a quantity of another sort': [
      manifest('Api', { ...MINIMAL.Api, limits: { headBytes: '64KB', targetBytes: '1Mi', bodyBytes: -1 } }),
      'spec.limits.headBytes: "64KB" is not a number of bytes, write bytes such as 65536, 64Ki or 1Mi',
      'spec.limits.targetBytes: 1Mi is out of bounds, write bytes from 256 to 64Ki',
      'spec.limits.bodyBytes: -1 is not a number of bytes, write bytes such as 65536, 64Ki or 1Mi',
    ],
    'a TLS version without quotes': [
      manifest('Api', { ...MINIMAL.Api, tls: { certificate: { secretName: 's' }, minVersion: 1.2 } }),
      'spec.tls.minVersion: is the number 1.2, but one of a fixed set of words is wanted, write it in quotes: "1.2"',
    ],
    'a port in quotes': [
      manifest('Api', { ...MINIMAL.Api, port: '8080' }),
      'spec.port: is the string "8080", which reads as a name, write the number without quotes',
    ],
    'a range with bits beyond its prefix': [
      manifest('Api', { ...MINIMAL.Api, trustedPeers: [{ cidr: '10.0.8.5/24' }] }),
      'spec.trustedPeers[0].cidr: "10.0.8.5/24" has bits set beyond its prefix, write 10.0.8.0/24',
    ],
    'an https app without trust': [
      manifest('Api', { ...MINIMAL.Api, app: { scheme: 'https' } }),
      'spec.app.trust: an https app needs trust or fingerprint, name the CA that signs the app’s certificate: trust: {configMapKeyRef: {name: app-ca, key: ca.crt}}',
    ],
    'a path that no request has': [
      manifest('Api', { ...MINIMAL.Api, operations: [{ name: 'a', path: '/a/../{b}/{b}' }] }),
      'spec.operations[0].path: holds the segment "..", which no request has, remove it',
      'spec.operations[0].path: holds the parameter "b" twice, give each parameter its own name',
    ],
    'an empty set of trust': [
      manifest('ClientTrust', { anchors: [] }),
      'spec.anchors: is an empty list, write at least one item',
    ],
    'systemRoots: false': [
      manifest('TokenIssuer', { discovery: { url: 'https://a.example/', trust: { systemRoots: false } } }),
      'spec.discovery.trust.systemRoots: is false, which means nothing here, remove it',
    ],
    'text that could take over a terminal': [
      step({ removeHeaders: ['\u001b[2J\u202e'] }),
      'spec.request[0].removeHeaders[0]: "\\u001b[2J\\u202e" is not allowed here, write an HTTP token, for example X-Client-Id, without *: names are compared as a whole',
    ],
  };

  for (const [what, [raw, ...problems]] of Object.entries(refused)) {
    it(`refuses ${what}`, () => assert.deepEqual(problemsOf(raw), problems));
  }

  for (const kind of KIND_NAMES) {
    it(`takes the least of ${kind}, and its defaults written out mean the same`, () => {
      const written = expandDefault(narrow(KINDS[kind].spec), MINIMAL[kind]);
      assert.deepEqual(specOf(kind, written), specOf(kind, MINIMAL[kind]));
    });
  }
});

describe('parsing anything', () => {
  const metadata = fc.oneof(fc.jsonValue(), fc.record({ name: fc.oneof(fc.constant('x'), fc.string()) }));

  it('never throws, and refuses or answers with an object', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), value => {
        const result = parseObject(value);
        assert.ok(result.object !== undefined || result.violations.length > 0);
      }),
    );
  });

  it('never throws inside a kind', () => {
    fc.assert(
      fc.property(fc.constantFrom(...KIND_NAMES), metadata, fc.jsonValue({ maxDepth: 4 }), (kind, meta, spec) => {
        parseObject(manifest(kind, spec, meta));
      }),
    );
  });

  it('never throws when any one member of a good object is replaced', () => {
    const good = JSON.stringify(
      manifest('AuthPolicy', {
        targetRefs: [{ kind: 'Api', name: 'fleet' }],
        variables: { a: { value: 'b' } },
        request: [
          {
            name: 'caller',
            anyOf: [{ jwt: { issuers: ['corp'], audiences: ['x'], requiredClaims: [{ name: 'y' }] } }],
          },
          { name: 'rate', rateLimit: { calls: 1, period: '1s' } },
          { name: 'set', setHeaders: [{ name: 'x-a', pairs: { a: 'b' } }] },
        ],
        errors: { overrides: [{ reasons: ['TokenExpired'], status: 403 }] },
      }),
    );
    const count = countMembers(JSON.parse(good));
    fc.assert(
      fc.property(fc.nat(count - 1), fc.jsonValue({ maxDepth: 2 }), (index, value) => {
        parseObject(replaceMember(JSON.parse(good), index, value));
      }),
    );
  });

  it('is not slowed down by depth', () => {
    let deep: unknown = 'x';
    for (let i = 0; i < 20_000; i += 1) deep = { request: deep };
    assert.ok(parseObject(manifest('AuthPolicy', deep)).violations.length > 0);
  });
});

type Members = Record<string, unknown> | unknown[];
const isMembers = (value: unknown): value is Members => typeof value === 'object' && value !== null;

function countMembers(value: unknown): number {
  return isMembers(value) ? Object.values(value).reduce<number>((sum, member) => sum + 1 + countMembers(member), 0) : 0;
}

/** The value with its `index`-th member, counted depth first, replaced. */
function replaceMember(root: unknown, index: number, replacement: unknown): unknown {
  let at = 0;
  const walk = (value: unknown): unknown => {
    if (!isMembers(value)) return value;
    for (const key of Object.keys(value)) {
      const members = value as Record<string, unknown>;
      if (at++ === index) members[key] = replacement;
      else members[key] = walk(members[key]);
    }
    return value;
  };
  return walk(root);
}
