import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, it, type TestContext } from 'node:test';
import { createKubeClient } from '../kube/client.ts';
import { openObjectServer, type ObjectServer } from '../kube/testing/object-server.ts';
import type { MaterialMessage } from '../material/protocol.ts';
import { SILENT } from '../telemetry/telemetry.ts';
import { createKubernetesSource, type KubernetesSource, type KubernetesSourceOptions } from './kubernetes.ts';
import { createFixedLabels } from './pod-labels.ts';
import { createStateStore, type SavedObject, type StateStore } from './saved-state.ts';
import type { Outcome, Resources } from './source.ts';

const BASE = '/apis/sallyport.dev/v1alpha1';
const POLICIES = `${BASE}/namespaces/shop/authpolicies`;
const APIS = `${BASE}/namespaces/shop/apis`;
const CREDENTIALS = `${BASE}/namespaces/shop/backendcredentials`;
const CLUSTER_POLICIES = `${BASE}/clusterauthpolicies`;

const make = (kind: string, name: string, spec: unknown, metadata: Record<string, unknown> = {}) => ({
  apiVersion: 'sallyport.dev/v1alpha1',
  kind,
  metadata: { name, ...(kind === 'ClusterAuthPolicy' ? {} : { namespace: 'shop' }), ...metadata },
  spec,
});
const policy = (name: string, calls: number) =>
  make('AuthPolicy', name, { request: [{ name: 'rate', rateLimit: { calls, period: '60s' } }] });
const api = (spec: Record<string, unknown> = {}) =>
  make('Api', 'fleet', { podSelector: { matchLabels: { app: 'fleet' } }, port: 8080, ...spec });
const withCredential = [
  [CREDENTIALS, make('BackendCredential', 'mesh', { meshCertificate: { secretName: 'apim' } })],
  [APIS, api({ app: { scheme: 'https', trust: { systemRoots: true }, credential: 'mesh' } })],
] as const;

const material = (changes: Partial<MaterialMessage> = {}): MaterialMessage => ({
  type: 'material',
  hash: JSON.stringify(changes).length.toString(16).padStart(64, '0'),
  namespaceLabels: { 'kubernetes.io/metadata.name': 'shop' },
  objects: {},
  secrets: {},
  configMaps: {},
  ...changes,
});
const APIM = { 'shop/apim': { type: 'kubernetes.io/tls', data: { 'tls.crt': 'Y2VydA==', 'tls.key': 'a2V5' } } };

interface Scene {
  readonly server: ObjectServer;
  readonly source: KubernetesSource;
  /** Every published set, rehearsals left out. */
  readonly published: Resources[];
  readonly rehearsed: Resources[];
  /** What the compiler is made to answer. */
  outcome: Outcome;
  readonly until: (condition: (resources: Resources) => boolean) => Promise<Resources>;
}

async function open(
  context: TestContext,
  server: ObjectServer,
  changes: Partial<KubernetesSourceOptions> = {},
): Promise<Scene> {
  const client = createKubeClient(server.connection, { log: SILENT.log, clock: Date.now, random: () => 0 });
  const source = createKubernetesSource({
    client,
    namespace: 'shop',
    labels: createFixedLabels({ app: 'fleet' }),
    log: SILENT.log,
    clock: Date.now,
    random: () => 0,
    settleMs: 1,
    watch: { retryMinMs: 2 },
    ...changes,
  });
  const published: Resources[] = [];
  const rehearsed: Resources[] = [];
  const waiting = new Set<() => void>();
  const scene: Scene = {
    ...{ server, source, published, rehearsed },
    outcome: { kept: [], violations: [] },
    async until(condition) {
      for (;;) {
        const latest = published.at(-1);
        if (latest !== undefined && condition(latest)) return latest;
        await new Promise<void>(resolve => waiting.add(resolve));
      }
    },
  };
  context.after(async () => {
    await source.stop();
    await client.close();
  });
  await source.start(resources => {
    (resources.rehearsal === true ? rehearsed : published).push(resources);
    for (const wake of waiting) setImmediate(wake);
    return scene.outcome;
  });
  return scene;
}

/** For what makes no event. */
async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await wait(2);
}

const names = (resources: Resources): string[] =>
  resources.objects.map(({ kind, key, meta }) => `${kind} ${key}@${meta.generation}`).sort();

async function makeStore(context: TestContext): Promise<{ store: StateStore; file: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-state-'));
  context.after(() => rm(directory, { recursive: true, force: true }));
  return { store: createStateStore({ directory, log: SILENT.log }), file: join(directory, 'last-good.json') };
}

describe('the source kubernetes', { timeout: 20_000 }, () => {
  it('publishes once what the API server has, with generations, ages and labels', async context => {
    const server = await openObjectServer(context);
    server.put(POLICIES, policy('one', 1));
    server.put(CLUSTER_POLICIES, make('ClusterAuthPolicy', 'base', policy('x', 1).spec));
    const { until, published } = await open(context, server);
    const resources = await until(() => true);
    assert.deepEqual(names(resources), ['AuthPolicy shop/one@1', 'ClusterAuthPolicy base@1']);
    assert.equal(resources.objects[0]?.meta.createdAt, Date.parse('2026-11-23T12:00:00Z'));
    assert.deepEqual(resources.labels, { app: 'fleet' });
    assert.equal(published.length, 1);
  });

  it('publishes a change, an addition and a removal, each with another hash, and a status change not at all', async context => {
    const server = await openObjectServer(context);
    server.put(POLICIES, policy('one', 1));
    const { until, published } = await open(context, server);
    await until(() => true);
    server.put(POLICIES, { ...policy('one', 1), status: { conditions: [] } });
    server.put(POLICIES, policy('two', 1));
    await until(r => names(r).length === 2);
    server.put(POLICIES, policy('one', 5));
    await until(r => names(r)[0] === 'AuthPolicy shop/one@2');
    server.remove(POLICIES, 'two');
    await until(r => names(r).length === 1);
    assert.equal(new Set(published.map(({ hash }) => hash)).size, 4);
  });

  it('counts on when an object is deleted and made again, since generations stand in cache keys', async context => {
    const server = await openObjectServer(context);
    server.put(POLICIES, policy('one', 1));
    server.put(POLICIES, policy('one', 2));
    const { until } = await open(context, server);
    await until(r => names(r)[0] === 'AuthPolicy shop/one@2');
    server.remove(POLICIES, 'one');
    await until(r => names(r).length === 0);
    server.put(POLICIES, policy('one', 3));
    await until(r => names(r)[0] === 'AuthPolicy shop/one@3');
  });

  it('S6: keeps the last good content of an object that the parser refuses, and says so to the controller', async context => {
    const server = await openObjectServer(context);
    server.put(APIS, api());
    server.put(POLICIES, policy('one', 1));
    const { until, source, published } = await open(context, server);
    await until(() => true);
    server.put(POLICIES, policy('one', 0));
    server.put(POLICIES, policy('bad', 0));
    const resources = await until(r => r.kept.length > 0 && r.invalid.length > 0);
    assert.deepEqual(names(resources), ['Api shop/fleet@1', 'AuthPolicy shop/one@1']);
    assert.deepEqual(resources.kept, ['AuthPolicy shop/one']);
    assert.deepEqual(
      resources.invalid.map(({ name }) => name),
      ['bad'],
    );
    assert.equal(published.at(-1)?.violations.length, 2);
    const states = source.acknowledgement().objects.map(({ name, generation, state }) => [name, generation, state]);
    assert.deepEqual(states.sort(), [
      ['bad', 1, 'Refused'],
      ['fleet', 1, 'InForce'],
      ['one', 2, 'Kept'],
    ]);
    server.put(POLICIES, policy('one', 9));
    await until(r => r.kept.length === 0);
  });

  it('says Unsupported of what a newer version would know, and keeps what was good', async context => {
    const server = await openObjectServer(context);
    server.put(APIS, api());
    server.put(POLICIES, policy('one', 1));
    const { until, source } = await open(context, server);
    await until(() => true);
    server.put(POLICIES, make('AuthPolicy', 'one', { request: [{ name: 'x', quantumProof: {} }] }));
    await until(r => r.kept.length === 1);
    const [object] = source.acknowledgement().objects.filter(({ kind }) => kind === 'AuthPolicy');
    assert.deepEqual([object?.state, object?.generation], ['Unsupported', 2]);
    assert.match(object?.problem ?? '', /quantumProof: is not a known field/);
  });

  it('waits for the controller where something is named, says what for, and starts when both fit', async context => {
    const server = await openObjectServer(context);
    for (const [path, object] of withCredential) server.put(path, object);
    const { source, until, published } = await open(context, server, { graceMs: 5 });
    await server.called(7 - 1);
    await eventually(() => source.problems('').every(problem => problem.startsWith('ControllerUnavailable')));
    assert.deepEqual(source.problems('not connected yet'), [
      'ControllerUnavailable: waiting for Secret shop/apim (not connected yet)',
    ]);
    assert.equal(published.length, 0);
    source.takeMaterial(material({ secrets: APIM }));
    const resources = await until(() => true);
    assert.deepEqual(resources.material.secret('shop/apim')?.get('tls.key'), new TextEncoder().encode('key'));
    assert.deepEqual(resources.namespaces.get('shop'), { 'kubernetes.io/metadata.name': 'shop' });
    assert.deepEqual(source.problems(undefined), []);
  });

  it('starts at once without a controller when nothing is named', async context => {
    const server = await openObjectServer(context);
    server.put(APIS, api());
    const { until, source } = await open(context, server);
    await until(() => true);
    assert.deepEqual(source.acknowledgement().hash, '');
  });

  it('takes an entry of null for an answer: the Secret does not exist', async context => {
    const server = await openObjectServer(context);
    for (const [path, object] of withCredential) server.put(path, object);
    const { source, until } = await open(context, server);
    source.takeMaterial(material({ secrets: { 'shop/apim': null } }));
    assert.equal((await until(() => true)).material.secret('shop/apim'), undefined);
  });

  it('leaves what is in force alone until objects and material fit again', async context => {
    const server = await openObjectServer(context);
    server.put(APIS, api());
    const { source, until, published } = await open(context, server);
    source.takeMaterial(material());
    await until(r => r.namespaces.size === 1);
    const before = published.length;
    for (const [path, object] of withCredential) server.put(path, object);
    await eventually(() => source.status().missing.length > 0);
    assert.equal(published.length, before + (names(published.at(-1) as Resources).length === 2 ? 1 : 0));
    assert.equal(published.at(-1)?.material.secret('shop/apim'), undefined);
    source.takeMaterial(material({ secrets: APIM }));
    const fit = await until(r => r.material.secret('shop/apim') !== undefined);
    assert.deepEqual(names(fit), ['Api shop/fleet@2', 'BackendCredential shop/mesh@1']);
  });

  it('starts without entries that a controller never sends, after a while', async context => {
    const server = await openObjectServer(context);
    for (const [path, object] of withCredential) server.put(path, object);
    const { source, until } = await open(context, server, { patienceMs: 30 });
    source.takeMaterial(material());
    assert.equal((await until(() => true)).material.secret('shop/apim'), undefined);
  });

  it('S6: keeps material that only the last good content of an object names', async context => {
    const server = await openObjectServer(context);
    for (const [path, object] of withCredential) server.put(path, object);
    const scene = await open(context, server);
    scene.source.takeMaterial(material({ secrets: APIM }));
    await scene.until(r => r.material.secret('shop/apim') !== undefined);
    scene.outcome = { kept: ['Api shop/fleet'], violations: [] };
    server.put(APIS, api({ app: {} }));
    scene.source.takeMaterial(material());
    const kept = await scene.until(r => names(r).includes('Api shop/fleet@2') && r.hash !== '');
    assert.ok(kept.material.secret('shop/apim') !== undefined);
    scene.source.takeMaterial(material({ secrets: { 'shop/apim': null } }));
    await scene.until(r => r.material.secret('shop/apim') === undefined);
  });

  describe('a gate', () => {
    const passed = (name: string, calls: number, generation: number) => ({
      ...policy(name, calls),
      metadata: { name, namespace: 'shop', uid: `${POLICIES}/${name}#0`, generation },
    });
    const refused = (resources: Resources): string[] => resources.invalid.map(({ kind, name }) => `${kind} ${name}`);

    it('puts what passed last in the place of newer generations and new objects, until they pass', async context => {
      const server = await openObjectServer(context);
      server.put(POLICIES, policy('one', 1));
      server.put(POLICIES, policy('one', 2));
      server.put(POLICIES, policy('new', 1));
      const { source, until } = await open(context, server, { graceMs: 0 });
      const elsewhere = make('ClusterAuthPolicy', 'base', { request: [] });
      source.takeMaterial(material({ gate: { policies: [passed('one', 1, 1), elsewhere] } }));
      await until(r => names(r).join() === 'AuthPolicy shop/one@1');
      await eventually(() => source.acknowledgement().objects.every(({ state }) => state === 'Kept'));
      server.put(POLICIES, policy('one', 3));
      server.put(CLUSTER_POLICIES, elsewhere);
      await until(r => names(r).join() === 'AuthPolicy shop/one@1,ClusterAuthPolicy base@1');
      source.takeMaterial(material({ gate: { policies: [passed('one', 3, 3), passed('new', 1, 1)] } }));
      await until(r => names(r).join() === 'AuthPolicy shop/new@1,AuthPolicy shop/one@3,ClusterAuthPolicy base@1');
    });

    it('holds a deletion back, and lets it pass', async context => {
      const server = await openObjectServer(context);
      server.put(POLICIES, policy('one', 1));
      const { source, until } = await open(context, server);
      source.takeMaterial(material({ gate: { policies: [passed('one', 1, 1)] } }));
      await until(r => r.namespaces.size === 1);
      server.remove(POLICIES, 'one');
      server.put(CLUSTER_POLICIES, make('ClusterAuthPolicy', 'base', { request: [] }));
      await until(r => names(r).join() === 'AuthPolicy shop/one@1,ClusterAuthPolicy base@1');
      source.takeMaterial(material({ gate: { policies: [] } }));
      await until(r => names(r).join() === 'ClusterAuthPolicy base@1');
    });

    it('S6: where nothing passed yet, keeps what is in force and refuses what is not', async context => {
      const server = await openObjectServer(context);
      server.put(POLICIES, policy('one', 1));
      const { source, until } = await open(context, server);
      source.takeMaterial(material());
      await until(r => r.namespaces.size === 1);
      source.takeMaterial(material({ gate: { policies: null } }));
      server.put(POLICIES, policy('one', 2));
      server.put(POLICIES, policy('new', 1));
      const resources = await until(r => r.invalid.length > 0);
      assert.deepEqual(names(resources), ['AuthPolicy shop/one@1']);
      assert.deepEqual(refused(resources), ['AuthPolicy new']);
      source.takeMaterial(material());
      await until(r => names(r).join() === 'AuthPolicy shop/new@1,AuthPolicy shop/one@2');
    });

    it('a restart of a sidecar does not turn what never passed into what is in force', async context => {
      const { store } = await makeStore(context);
      const server = await openObjectServer(context);
      server.put(POLICIES, policy('one', 1));
      const first = await open(context, server, { store });
      first.source.takeMaterial(material({ gate: { policies: null } }));
      await first.until(r => refused(r).join() === 'AuthPolicy one');
      await first.source.stop();
      server.fail(503);
      const second = await open(context, server, { store, graceMs: 10 });
      assert.deepEqual(refused(await second.until(() => true)), ['AuthPolicy one']);
      server.fail(undefined);
      second.source.takeMaterial(material({ gate: { policies: [passed('one', 1, 1)] } }));
      await second.until(r => names(r).join() === 'AuthPolicy shop/one@1');
      await second.source.stop();
    });
  });

  it('takes objects of other namespaces from the controller, and none of its own', async context => {
    const server = await openObjectServer(context);
    server.put(POLICIES, policy('one', 1));
    const { source, until } = await open(context, server);
    const foreign = make('ClientTrust', 'devices', { anchors: [{ configMapKeyRef: { name: 'ca', key: 'ca.crt' } }] });
    const at = (namespace: string) => ({ ...foreign, metadata: { name: 'devices', namespace } });
    source.takeMaterial(
      material({ objects: { 'ClientTrust pki/devices': at('pki'), 'ClientTrust shop/devices': at('shop'), x: null } }),
    );
    const resources = await until(r => r.objects.length > 1);
    assert.deepEqual(names(resources), ['AuthPolicy shop/one@1', 'ClientTrust pki/devices@1']);
  });

  it('keeps everything while the API server is away, and says since when', async context => {
    const server = await openObjectServer(context);
    server.put(POLICIES, policy('one', 1));
    const { source, until } = await open(context, server);
    await until(() => true);
    server.fail(503);
    for (const session of server.sessions) session.destroy();
    await eventually(() => !source.status().watches.some(({ connected }) => connected));
    assert.equal(source.status().from, 'live');
    assert.deepEqual(source.problems(undefined), []);
    server.fail(undefined);
    server.put(POLICIES, policy('two', 1));
    await until(r => names(r).length === 2);
  });

  it('says which kind cannot be listed, and why', async context => {
    const server = await openObjectServer(context);
    server.fail(403);
    const { source } = await open(context, server);
    await server.called(20);
    assert.match(source.problems(undefined)[0] ?? '', /^ApiServerUnavailable: ClusterAuthPolicy: the test says so$/);
  });

  it('starts after a restart with what was in force, without API server and controller', async context => {
    const { store, file } = await makeStore(context);
    const server = await openObjectServer(context);
    for (const [path, object] of withCredential) server.put(path, object);
    server.put(POLICIES, policy('bad', 0));
    const first = await open(context, server, { store });
    first.source.takeMaterial(material({ secrets: APIM }));
    const before = await first.until(r => r.material.secret('shop/apim') !== undefined);
    await first.source.stop();
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    server.fail(503);
    const second = await open(context, server, { store, graceMs: 10 });
    const after = await second.until(() => true);
    assert.equal(after.hash, before.hash);
    assert.deepEqual(names(after), names(before));
    assert.deepEqual(
      after.invalid.map(({ name }) => name),
      ['bad'],
    );
    assert.ok(after.material.secret('shop/apim') !== undefined);
    assert.equal(second.source.status().from, 'saved');
    server.fail(undefined);
    server.remove(POLICIES, 'bad');
    await second.until(r => r.invalid.length === 0);
    await eventually(() => second.source.status().from === 'live');
  });

  it('S6: knows after a restart what was good of an object that the parser or the compiler refuses', async context => {
    const { store } = await makeStore(context);
    const server = await openObjectServer(context);
    server.put(POLICIES, policy('parsed', 1));
    server.put(POLICIES, policy('compiled', 1));
    const first = await open(context, server, { store });
    await first.until(r => r.objects.length === 2);
    first.outcome = { kept: ['AuthPolicy shop/compiled'], violations: [] };
    server.put(POLICIES, policy('compiled', 2));
    server.put(POLICIES, policy('parsed', 0));
    await first.until(r => r.kept.length === 1 && names(r).includes('AuthPolicy shop/compiled@2'));
    await first.source.stop();
    const second = await open(context, server, { store });
    const after = await second.until(() => true);
    assert.deepEqual(names(second.rehearsed[0] as Resources), [
      'AuthPolicy shop/compiled@1',
      'AuthPolicy shop/parsed@1',
    ]);
    assert.deepEqual(names(after), ['AuthPolicy shop/compiled@2', 'AuthPolicy shop/parsed@1']);
    assert.deepEqual(after.kept, ['AuthPolicy shop/parsed']);
  });

  it('survives a fault while it puts a set into force, and keeps the last good one', async context => {
    const server = await openObjectServer(context);
    server.put(POLICIES, policy('one', 1));
    const errors: string[] = [];
    const log = { ...SILENT.log, error: (_: object, message: string) => void errors.push(message) };
    const scene = await open(context, server, { log });
    await scene.until(() => true);
    const { outcome } = scene;
    Object.defineProperty(scene, 'outcome', {
      configurable: true,
      get: () => {
        throw new Error('a fault of ours');
      },
    });
    server.put(POLICIES, policy('one', 2));
    await eventually(() => errors.length > 0);
    assert.match(errors[0] ?? '', /the last good one stays/);
    Object.defineProperty(scene, 'outcome', { value: outcome });
    server.put(POLICIES, policy('one', 3));
    await scene.until(r => names(r)[0] === 'AuthPolicy shop/one@3');
  });

  it('takes the newest rather than what was saved while both are there', async context => {
    const { store } = await makeStore(context);
    const server = await openObjectServer(context);
    server.put(POLICIES, policy('one', 1));
    const first = await open(context, server, { store });
    await first.until(() => true);
    await first.source.stop();
    server.put(POLICIES, policy('one', 2));
    const second = await open(context, server, { store });
    assert.deepEqual(names(await second.until(() => true)), ['AuthPolicy shop/one@2']);
    assert.equal(second.published.length, 1);
    // The compiler may refuse the newest: then it must know what was good.
    assert.deepEqual(second.rehearsed.map(names), [['AuthPolicy shop/one@1']]);
  });

  it('does without a saved state that cannot be read', async context => {
    const { store, file } = await makeStore(context);
    await store.save({ hash: 'h', savedAt: 1, labels: {}, objects: [], material: undefined });
    assert.equal((await store.load())?.hash, 'h');
    const cut = { kind: 'Api', newest: '{"kind":"Api","metadata":' };
    await store.save({ hash: 'h', savedAt: 1, labels: {}, objects: [cut as SavedObject], material: undefined });
    assert.equal(await store.load(), undefined);
    for (const text of ['', '{', '{"format":2}', (await readFile(file, 'utf8')).replace('"labels"', '"l"')]) {
      await writeFile(file, text);
      assert.equal(await store.load(), undefined);
    }
  });
});
