import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Generation } from '../proxy/generation.ts';
import { createCollection } from '../sources/collection.ts';
import { parseManifests } from '../sources/manifests.ts';
import { SILENT, type LogFields } from '../telemetry/telemetry.ts';
import { createAssembly, type Workload } from './assembly.ts';

const API = `
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: orders, namespace: shop}
spec: {podSelector: {matchLabels: {app: orders}}, port: 8080}
---
`;
const policy = (spec: string): string => `
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: hello, namespace: shop}
spec: {request: [{name: open, ${spec}}]}
`;
const GOOD = API + policy('anyOf: [{anonymous: {}}]');

function start(workload: Partial<Workload> = {}) {
  const published: Generation[] = [];
  const warned: (readonly [message: string, fields: LogFields])[] = [];
  const assembly = createAssembly({
    workload: { namespace: 'shop', labels: { app: 'orders' }, ports: {}, appAuthorities: () => [], ...workload },
    fetcher: { fetch: () => Promise.reject(new Error('nobody is asked')), close: () => Promise.resolve() },
    telemetry: { ...SILENT, log: { ...SILENT.log, warn: (fields, message) => void warned.push([message, fields]) } },
    clock: Date.now,
    random: () => 0.5,
    randomBytes: size => new Uint8Array(size),
    monotonic: () => performance.now(),
    resolve: [],
    readyPods: () => 1,
    publish: generation => void published.push(generation),
  });
  const collection = createCollection();
  const apply = (text: string): void => {
    const { entries, violations } = parseManifests('all.yaml', text, { defaultNamespace: 'default' });
    assembly.accept(collection.collect([{ entries, violations }], true));
  };
  return { apply, assembly, published, warned };
}

test('a refused change raises no generation, and status says what stays in force', async () => {
  const { apply, assembly, published } = start();
  apply(GOOD);
  apply(GOOD.replace('anonymous', 'anonimous'));
  assert.deepEqual(
    published.map(({ snapshot }) => snapshot.generation),
    [1],
  );
  const status = assembly.describe();
  assert.deepEqual(status['kept'], ['AuthPolicy shop/hello: its last good content stays in force']);
  assert.match(JSON.stringify(status['problems']), /anonimous/);
  apply(GOOD.replace('name: open', 'name: hello'));
  assert.equal(published.at(-1)?.snapshot.generation, 2);
  assert.deepEqual([assembly.describe()['kept'], assembly.describe()['problems']], [[], []]);
  await assembly.close();
});

test('a change that only compiling refuses is kept and told too', async () => {
  const { apply, assembly, warned } = start();
  apply(GOOD);
  apply(API + policy('jwt: {issuers: [nobody], audiences: [a]}'));
  assert.deepEqual(assembly.describe()['kept'], ['AuthPolicy shop/hello: its last good content stays in force']);
  const kept = ['1 object kept at its last good content', { kept: ['AuthPolicy shop/hello'] }] as const;
  assert.deepEqual(warned.at(-1), kept);
  await assembly.close();
});

test('the hash of the configuration is not told twice', async () => {
  const { apply, assembly } = start();
  assert.equal(assembly.describe()['configuration'], 'not loaded');
  apply(GOOD);
  assert.doesNotMatch(JSON.stringify(assembly.describe()), /[0-9a-f]{64}/);
  await assembly.close();
});

const MISFITS: Readonly<Record<string, readonly [workload: Partial<Workload>, manifests: string, unserved: string]>> = {
  'a forgotten namespace': [
    { namespace: 'default' },
    GOOD,
    'Api shop/orders is in namespace shop, this workload is in "default"; give --namespace shop',
  ],
  'wrong labels': [
    { labels: { app: 'orderz' } },
    GOOD,
    'Api shop/orders has podSelector app=orders, which does not match app=orderz; mend --workload-labels',
  ],
  'an unknown port name': [
    {},
    GOOD.replace('port: 8080', 'port: http'),
    'Api shop/orders names the container port "http", which this workload does not have; give --container-ports http=PORT',
  ],
};
for (const [what, [workload, manifests, unserved]] of Object.entries(MISFITS)) {
  test(`${what}: why no Api is served, and the flag to change`, async () => {
    const { apply, assembly, published } = start(workload);
    apply(manifests);
    assert.deepEqual(published[0]?.unserved, [unserved]);
    assert.ok((assembly.describe()['idle'] as readonly string[]).some(text => unserved.startsWith(text)));
    await assembly.close();
  });
}
