import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SallyportObject } from '../api/kinds/index.ts';
import { parseObject } from '../api/parse.ts';
import { listMissing, listNamed, type NamedMaterial, type NamedWorkload } from './named.ts';

const parse = (kind: string, where: string, spec: unknown, labels: Record<string, string> = {}): SallyportObject => {
  const [name = '', namespace] = where.split('/').reverse();
  const metadata = namespace === undefined ? { name, labels } : { name, namespace, labels };
  const { object, violations } = parseObject({ apiVersion: 'sallyport.dev/v1alpha1', kind, metadata, spec });
  assert.ok(object, JSON.stringify(violations));
  return object;
};
const api = (where: string, app: string, more: object = {}) =>
  parse('Api', where, { podSelector: { matchLabels: { app } }, port: 8080, ...more });
const secretKey = (name: string) => ({ secretKeyRef: { name, key: 'key' } });
const issuer = (where: string, secret: string) =>
  parse('TokenIssuer', where, { issuer: 'https://i', keys: [secretKey(secret)], algorithms: ['HS256'] });
const jwt = (name: string, targets: object = {}) => ({
  ...targets,
  request: [{ name: 'caller', jwt: { issuers: [name], audiences: ['a'] } }],
});
const fleet: NamedWorkload = { namespace: 'shop', namespaceLabels: { team: 'media' }, labels: { app: 'fleet' } };

const secretsOf = ({ secrets }: NamedMaterial) =>
  [...secrets].map(([key, { keys, permitted }]) => `${key} [${[...keys].join()}]${permitted ? '' : ' withheld'}`);

test('only what the policies selecting the pod name is named', () => {
  const named = listNamed(
    [
      api('shop/fleet', 'fleet'),
      api('shop/other', 'other', { tls: { mode: 'Terminate', certificate: { secretName: 'other-tls' } } }),
      api('bank/fleet', 'fleet', { tls: { mode: 'Terminate', certificate: { secretName: 'bank-tls' } } }),
      issuer('shop/corp', 'corp-key'),
      issuer('shop/partner', 'partner-key'),
      issuer('shop/unused', 'unused-key'),
      parse('AuthPolicy', 'shop/fleet', jwt('corp', { targetRefs: [{ kind: 'Api', name: 'fleet' }] })),
      parse('AuthPolicy', 'shop/other', jwt('partner', { targetRefs: [{ kind: 'Api', name: 'other' }] })),
      parse('AuthPolicy', 'bank/all', jwt('corp')),
    ],
    fleet,
  );
  assert.deepEqual(secretsOf(named), ['shop/corp-key [key]']);
  assert.deepEqual([...named.concerning].toSorted(), [
    'Api shop/fleet',
    'AuthPolicy shop/fleet',
    'TokenIssuer shop/corp',
  ]);
  assert.deepEqual([...named.objects], []);
});

test('a policy counts at every scope by which it can apply: operation, missing operation, product, namespace', () => {
  const operations = [{ name: 'read', methods: ['GET'], path: '/x' }];
  const served = parse(
    'Api',
    'shop/fleet',
    { podSelector: { matchLabels: { app: 'fleet' } }, port: 8080, operations },
    { product: 'gold' },
  );
  const counts = (targets: object): boolean =>
    listNamed(
      [served, issuer('shop/corp', 'k'), parse('AuthPolicy', 'shop/p', jwt('corp', targets))],
      fleet,
    ).secrets.has('shop/k');
  const ref = (sectionName: string) => ({ targetRefs: [{ kind: 'Api', name: 'fleet', sectionName }] });
  assert.ok(counts({}));
  assert.ok(counts(ref('read')));
  assert.ok(counts(ref('gone')), 'S6: a missing operation widens');
  assert.ok(counts({ targetSelectors: [{ kind: 'Api', matchLabels: { product: 'gold' } }] }));
  assert.ok(!counts({ targetSelectors: [{ kind: 'Api', matchLabels: { product: 'silver' } }] }));
  assert.ok(!counts({ targetRefs: [{ kind: 'Api', name: 'gone' }] }));
});

test('P9: hashes of subscription keys are named where a policy of the pod asks for keys, and the subscription opens its Api', () => {
  const subscription = (name: string, targets: object = {}) =>
    parse('Subscription', `shop/${name}`, { ...targets, primaryKeyHash: secretKey(`${name}-key`) });
  const objects = [
    api('shop/fleet', 'fleet'),
    api('shop/other', 'other'),
    subscription('everywhere'),
    subscription('here', { targetRefs: [{ kind: 'Api', name: 'fleet' }] }),
    subscription('there', { targetRefs: [{ kind: 'Api', name: 'other' }] }),
    parse('Subscription', 'bank/everywhere', { primaryKeyHash: secretKey('bank-key') }),
  ];
  assert.deepEqual(secretsOf(listNamed(objects, fleet)), []);
  for (const step of [{ subscription: {} }, { anyOf: [{ subscription: {} }, { anonymous: {} }] }]) {
    for (const kind of ['AuthPolicy', 'ClusterAuthPolicy']) {
      const policy = parse(kind, kind === 'AuthPolicy' ? 'shop/p' : 'p', { request: [{ name: 's', ...step }] });
      assert.deepEqual(secretsOf(listNamed([...objects, policy], fleet)), [
        'shop/everywhere-key [key]',
        'shop/here-key [key]',
      ]);
    }
  }
});

test('S8: what a cluster policy names of Secrets is handed out only with shareSecrets', () => {
  const named = (shareSecrets: boolean, more: readonly SallyportObject[] = []) =>
    listNamed(
      [
        api('shop/fleet', 'fleet'),
        issuer('identity/corp', 'corp-key'),
        parse('ClusterAuthPolicy', 'baseline', { ...jwt('identity/corp'), shareSecrets }),
        ...more,
      ],
      fleet,
    );
  assert.deepEqual(secretsOf(named(false)), ['identity/corp-key [key] withheld']);
  assert.deepEqual(secretsOf(named(true)), ['identity/corp-key [key]']);
  assert.deepEqual([...named(false).objects], ['TokenIssuer identity/corp']);
  const own = [issuer('shop/own', 'own-key'), parse('AuthPolicy', 'shop/p', jwt('own'))];
  assert.deepEqual(secretsOf(named(false, own)), ['identity/corp-key [key] withheld', 'shop/own-key [key]']);
});

test('a cluster policy’s own Secrets in the pod’s namespace are withheld too, unless a policy of the namespace names them', () => {
  const objects = [
    api('shop/fleet', 'fleet'),
    issuer('shop/corp', 'corp-key'),
    parse('ClusterAuthPolicy', 'baseline', jwt('shop/corp')),
  ];
  assert.deepEqual(secretsOf(listNamed(objects, fleet)), ['shop/corp-key [key] withheld']);
  objects.push(parse('AuthPolicy', 'shop/p', jwt('corp')));
  assert.deepEqual(secretsOf(listNamed(objects, fleet)), ['shop/corp-key [key]']);
});

test('what a named object names is named: the credential of a device service', () => {
  const objects = [
    api('shop/fleet', 'fleet'),
    parse('DeviceAuthService', 'shop/devices', { url: 'https://d.example/check', tls: { credential: 'mesh' } }),
    parse('BackendCredential', 'shop/mesh', { meshCertificate: { secretName: 'mesh-tls' } }),
    parse('AuthPolicy', 'shop/p', {
      request: [{ name: 'd', deviceAuth: { service: 'devices', deviceId: '${params.id}' } }],
    }),
  ];
  assert.deepEqual(secretsOf(listNamed(objects, fleet)), ['shop/mesh-tls [tls.crt,tls.key]']);
});

test('without the namespace’s labels a cluster policy that selects by them is undecided', () => {
  const objects = [
    api('shop/fleet', 'fleet'),
    parse('ClusterAuthPolicy', 'media', {
      namespaceSelector: { matchLabels: { team: 'media' } },
      ...jwt('identity/corp'),
    }),
  ];
  assert.equal(listNamed(objects, fleet).namespaceLabels, false);
  assert.deepEqual([...listNamed(objects, fleet).objects], ['TokenIssuer identity/corp']);
  assert.equal(listNamed(objects, { ...fleet, namespaceLabels: undefined }).namespaceLabels, true);
  assert.deepEqual([...listNamed(objects, { ...fleet, namespaceLabels: { team: 'x' } }).objects], []);
});

test('an object as it is and as it last was good both count', () => {
  const objects = [
    api('shop/fleet', 'fleet'),
    issuer('shop/corp', 'old-key'),
    issuer('shop/corp', 'new-key'),
    parse('AuthPolicy', 'shop/p', jwt('corp')),
  ];
  assert.deepEqual(secretsOf(listNamed(objects, fleet)), ['shop/old-key [key]', 'shop/new-key [key]']);
});

test('what is missing is listed, and an entry of any content, null included, counts as there', () => {
  const objects = [
    api('shop/fleet', 'fleet'),
    issuer('shop/own', 'own-key'),
    parse('AuthPolicy', 'shop/p', jwt('own')),
    parse('ClusterAuthPolicy', 'baseline', jwt('identity/corp')),
  ];
  const named = listNamed(objects, fleet);
  assert.deepEqual(
    listMissing(named, () => false),
    ['Secret shop/own-key', 'TokenIssuer identity/corp'],
  );
  assert.deepEqual(
    listMissing(named, kind => kind === 'Secret'),
    ['TokenIssuer identity/corp'],
  );
});
