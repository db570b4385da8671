import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KINDS } from '../api/kinds/index.ts';
import { parseObject } from '../api/parse.ts';
import { narrow, type Schema } from '../api/schema.ts';
import { listReferences, REFERENCE_MEMBERS } from './references.ts';

const parse = (kind: string, spec: unknown, namespace?: string) => {
  const metadata = namespace === undefined ? { name: 'it' } : { name: 'it', namespace };
  const { object, violations } = parseObject({ apiVersion: 'sallyport.dev/v1alpha1', kind, metadata, spec });
  assert.ok(object, JSON.stringify(violations));
  return object;
};
const show = (kind: string, spec: unknown, namespace?: string) =>
  listReferences(parse(kind, spec, namespace)).map(
    ({ kind: named, key, dataKeys, field }) => `${named} ${key} [${dataKeys.join()}] ${field}`,
  );

test('every reference of every kind stands in a member whose kind is known', () => {
  const members = new Set<string>();
  const collect = (of: Schema<unknown>, member: string): void => {
    const schema = narrow(of);
    if (schema.type === 'string' && schema.holds === 'reference') members.add(member);
    if (schema.type === 'list') collect(schema.items, member);
    if (schema.type === 'map') collect(schema.values, '');
    if (schema.type === 'object') {
      for (const [name, field] of Object.entries(schema.fields)) collect(field.schema, name);
    }
  };
  for (const { spec } of Object.values(KINDS)) collect(spec, 'spec');
  assert.deepEqual(
    [...members].filter(member => !Object.hasOwn(REFERENCE_MEMBERS, member)),
    [],
  );
});

test('an Api names its certificate, its trust and credential, and the trusts of its peers', () => {
  const spec = {
    podSelector: { matchLabels: { app: 'fleet' } },
    port: 8080,
    tls: { mode: 'Terminate', certificate: { secretName: 'fleet-tls' } },
    trustedPeers: [{ identity: 'spiffe://x/gateway', trust: 'gateways' }],
    app: {
      scheme: 'https',
      credential: 'mesh',
      trust: { configMapKeyRef: { name: 'app-ca', key: 'ca.crt' } },
    },
  };
  assert.deepEqual(show('Api', spec, 'shop'), [
    'Secret shop/fleet-tls [tls.crt,tls.key] spec.tls.certificate.secretName',
    'ClientTrust shop/gateways [] spec.trustedPeers[0].trust',
    'BackendCredential shop/mesh [] spec.app.credential',
    'ConfigMap shop/app-ca [ca.crt] spec.app.trust.configMapKeyRef',
  ]);
});

test('a policy names objects at any depth of its steps, and the values of its variables', () => {
  const spec = {
    variables: { partner: { configMapKeyRef: { name: 'partners', key: 'default' } }, plain: { value: 'x' } },
    request: [
      {
        name: 'caller',
        anyOf: [{ jwt: { issuers: ['corp'], audiences: ['a'] } }, { clientCertificate: { trust: 'devices' } }],
      },
      { name: 'device', deviceAuth: { service: 'look-up', deviceId: '${params.id}' } },
    ],
    backend: { credential: 'mesh' },
  };
  const expected = [
    'ConfigMap shop/partners [default] spec.variables.partner.configMapKeyRef',
    'TokenIssuer shop/corp [] spec.request[0].anyOf[0].jwt.issuers[0]',
    'ClientTrust shop/devices [] spec.request[0].anyOf[1].clientCertificate.trust',
    'DeviceAuthService shop/look-up [] spec.request[1].deviceAuth.service',
    'BackendCredential shop/mesh [] spec.backend.credential',
  ];
  assert.deepEqual(show('AuthPolicy', spec, 'shop').toSorted(), expected.toSorted());
});

test('names of a cluster policy carry their namespace', () => {
  const spec = {
    variables: { partner: { secretKeyRef: { namespace: 'identity', name: 'partners', key: 'default' } } },
    request: [{ name: 'caller', jwt: { issuers: ['identity/corp'], audiences: ['a'] } }],
  };
  assert.deepEqual(show('ClusterAuthPolicy', spec).toSorted(), [
    'Secret identity/partners [default] spec.variables.partner.secretKeyRef',
    'TokenIssuer identity/corp [] spec.request[0].jwt.issuers[0]',
  ]);
});
