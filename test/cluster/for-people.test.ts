import assert from 'node:assert/strict';
import { NO_TESTS } from '../../src/controller/test-judgement.ts';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { KINDS, type KindName } from '../../src/api/kinds/index.ts';
import { FIELD_MANAGER } from '../../src/api/names.ts';
import { API_VERSION, GROUP, VERSION } from '../../src/api/object.ts';
import { isKind } from '../../src/api/parse.ts';
import { describeCluster, examineCluster } from '../../src/controller/cluster-status.ts';
import { settleConditions } from '../../src/controller/conditions.ts';
import {
  describeNamespace,
  examineNamespace,
  shareOfClusterPolicies,
  type WantedStatus,
} from '../../src/controller/namespace-status.ts';
import { readKnownObject, type KnownObject } from '../../src/controller/objects.ts';
import { readPod } from '../../src/controller/pods.ts';
import { makeState, say } from '../../src/controller/testing/scene.ts';
import { createDemoMaterial } from '../../src/demo/material.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { resourcePath } from '../../src/kube/objects.ts';
import { listPages } from '../../src/kube/paged-list.ts';
import { applyObject } from '../../src/kube/writes.ts';
import { SILENT } from '../../src/telemetry/telemetry.ts';
import { describeMaterial } from '../support/fleet.ts';
import { runInMemory } from '../support/run-in-memory.ts';
import { type ControlPlane, openControlPlane } from './support/control-plane.ts';
import { writeKubeconfig } from './support/kubeconfig.ts';
import { skipWithout } from './support/requirements.ts';
import { deployment, protectedPod } from './support/troubled.ts';

const readAll = (folder: string): string =>
  readdirSync(folder)
    .sort()
    .map(file => readFileSync(`${folder}/${file}`, 'utf8'))
    .join('\n---\n');
const LABELS = { 'sallyport.dev/inject': 'enabled' };
const { signal } = new AbortController();

describe('what people see of a cluster', { skip: skipWithout('control-plane') }, () => {
  let cluster: ControlPlane;
  let client: KubeClient;
  before(async () => {
    cluster = await openControlPlane();
    client = createKubeClient(cluster.adminConnection, { log: SILENT.log, clock: Date.now, random: Math.random });
    await cluster.apply(readAll('crds'));
    await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all']);
    await cluster.createNamespace('shop', LABELS);
    await cluster.apply(readAll('examples/fleet'));
    const more = [
      ...describeMaterial(createDemoMaterial()),
      ...['fleet-1', 'fleet-2'].map(name => protectedPod(name, 'fleet')),
      deployment('worker', 'shop'),
    ];
    await cluster.apply(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: more }));
    await cluster.waitFor('the pods of worker', async () => {
      const { stdout } = await cluster.kubectl(['-n', 'shop', 'get', 'pods', '-o', 'name']);
      return stdout.trim().split('\n').length === 4;
    });
    await writeStatus(client);
  });
  after(async () => {
    await client.close();
    await cluster.close();
  });

  const get = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await cluster.kubectl(args);
    assert.equal(code, 0, stderr);
    return stdout;
  };

  /** Rows without their age, cells apart by two spaces. */
  const rowsOf = async (...args: readonly string[]): Promise<readonly string[]> =>
    (await get(...args))
      .split('\n')
      .filter(line => line !== '')
      .map(line => line.replace(/ +\d+s$/, '').replace(/ {2,}/g, '  '));

  test('kubectl get sallyport says what is accepted, and on how many pods which generation is in force', async () => {
    assert.deepEqual(
      (await rowsOf('get', 'sallyport', '-n', 'shop')).filter(row => !row.startsWith('NAME')),
      [
        'api.sallyport.dev/fleet  8443  ["fleet.example.com"]  True  2  2',
        'authpolicy.sallyport.dev/fleet  Enforce  True  generation 1 on 2/2 pods',
        'authpolicy.sallyport.dev/gold  Enforce  True  generation 1 on 2/2 pods',
        'authpolicy.sallyport.dev/telemetry  Enforce  True  generation 1 on 2/2 pods',
        'backendcredential.sallyport.dev/mesh  2098-01-01T00:00:00Z  True',
        'clienttrust.sallyport.dev/devices  Strict  True',
        'clusterauthpolicy.sallyport.dev/baseline  Enforce  True  generation 1 on 2/2 pods',
        'deviceauthservice.sallyport.dev/devices  https://device-auth.fleet.svc:8443/check  True',
        'policytest.sallyport.dev/fleet  false',
        'tokenissuer.sallyport.dev/corp  https://login.example.com/.well-known/openid-configuration  2  false  True',
      ],
    );
  });

  test('kubectl get authpol -o wide says why, what it names, and to what it applies', async () => {
    const rows = await rowsOf('get', 'authpol', '-n', 'shop', '-o', 'wide');
    assert.deepEqual(rows.slice(0, 1).concat(rows.filter(row => row.startsWith('gold'))), [
      'NAME  MODE  ACCEPTED  ENFORCED  INHERIT  SEALED  PIPELINE  WHY  REFERENCES  PROGRAMMED  AGE',
      'gold  Enforce  True  generation 1 on 2/2 pods  Before  true  [device, files] Product gold: rate; Api fleet: caller, device, context | answers: Cluster baseline: hide [telemetry] Product gold: rate; Api fleet: caller, device, context; Operation telemetry: devices-only | answers: Cluster baseline: hide  valid; note: step rate: each pod admits 600 calls per 1m, and forgets them with a restart  everything that it names exists  applies to Api shop/fleet',
    ]);
  });

  test('kubectl get of issuers and cluster policies -o wide tells about keys and namespaces', async () => {
    const [, issuer = ''] = await rowsOf('get', 'tokenissuers', '-n', 'shop', '-o', 'wide');
    assert.match(issuer, /True {2}2 keys on 2 pods {2}valid {2}everything that it names exists$/);
    const [, policy = ''] = await rowsOf('get', 'clusterauthpolicies', '-o', 'wide');
    assert.match(policy, /applies in 1 namespace: shop$/);
  });

  test('kubectl describe has a sentence for each condition', async () => {
    const told = await get('describe', 'authpol', '-n', 'shop', 'fleet');
    const messages = told.split('\n').map(line => line.replace(/^ *Message: +/, ''));
    for (const message of [
      'everything that it names exists',
      'applies to Api shop/fleet',
      'generation 1 on 2/2 pods',
    ]) {
      assert.ok(messages.includes(message), message);
    }
  });

  const status = (...args: readonly string[]) =>
    runInMemory(['status', '--cluster', '--kubeconfig', cluster.kubeconfig, ...args]);

  test('status --cluster has a line for each workload', async () => {
    const { code, stdout, stderr } = await status('-n', 'shop');
    assert.deepEqual([code, stderr], [0, '']);
    const rows = stdout
      .trimEnd()
      .split('\n')
      .map(row => row.replace(/ {2,}/g, '  '));
    assert.deepEqual(
      rows.map(row => row.replace(/in \d+d/, 'in DAYS')),
      [
        'NAMESPACE  WORKLOAD  INJECTED  READY  PODS  GENERATION  SIDECAR  KEYS  CERTIFICATE  WARNINGS',
        'shop  deployment/worker  0  0  2  no policy  -  -  -  2 without a sidecar; no Api selects it',
        'shop  pod/fleet-1  1  0  1  1/1 on 2/2  1.4.0  60m  in DAYS  -',
        'shop  pod/fleet-2  1  0  1  1/1 on 2/2  1.4.0  60m  in DAYS  -',
      ],
    );
  });

  test('status --cluster -A -o json names every policy of a workload', async () => {
    const { stdout } = await status('-A', '-o', 'json');
    const { workloads } = JSON.parse(stdout) as {
      workloads: readonly { name: string; policies: readonly { object: string; enforcing: number }[] }[];
    };
    const fleet = workloads.find(({ name }) => name === 'fleet-1');
    assert.deepEqual(fleet?.policies.map(({ object, enforcing }) => `${object} ${enforcing}`).sort(), [
      'AuthPolicy shop/fleet 2',
      'AuthPolicy shop/gold 2',
      'AuthPolicy shop/telemetry 2',
      'ClusterAuthPolicy baseline 2',
    ]);
  });

  test('status --cluster says where nothing is selected, and what may not be read', async () => {
    const empty = await status('-n', 'default');
    assert.match(empty.stderr, /^no workload of namespace default is selected by an Api or opted in$/m);
    const { server, ca, clientCertificate: client_ } = cluster.connectAs({ user: 'nobody' });
    const file = writeKubeconfig({ file: join(cluster.folder, 'nobody'), server, ca, client: client_ });
    const { code, stderr } = await runInMemory(['status', '--cluster', '-n', 'shop', '--kubeconfig', file]);
    assert.equal(code, 0);
    assert.match(stderr, /^not known: every Pod of namespace shop: you may not list pods$/m);
  });
});

/** What the controller would write while both pods enforce everything and the keys were fetched an hour ago. */
async function writeStatus(client: KubeClient): Promise<void> {
  const objects: KnownObject[] = [];
  for (const kind of Object.keys(KINDS).filter(isKind)) {
    const path = resourcePath({ group: GROUP, version: VERSION, resource: KINDS[kind].plural });
    const { objects: listed } = await listPages({ client, path, query: {}, signal });
    for (const raw of listed.values()) objects.push(readKnownObject(kind, raw));
  }
  const path = resourcePath({ group: '', version: 'v1', resource: 'pods', namespace: 'shop' });
  const listed = await listPages({ client, path, query: {}, signal });
  const pods = [...listed.objects.values()].map(raw =>
    readPod(raw, ({ metadata }) => ({ state: metadata.name.startsWith('fleet') ? 'Protected' : 'None' })),
  );
  const issuers = [{ key: 'shop/corp', keys: 2, stale: false, fetchedAt: Date.now() - 3_600_000 }];
  const acknowledged = objects.map(object => say(object));
  const certificates = [{ credential: 'shop/mesh', notAfter: Date.UTC(2098, 0, 1, 0, 30), sha256: 'EF' }];
  const states = new Map(pods.map(pod => makeState(pod, acknowledged, { issuers, certificates })));
  const common = { namespace: 'shop', namespaceLabels: LABELS, requireLabel: false, checkData: () => [] };
  const data = { find: () => undefined };
  const facts = examineNamespace({ ...common, objects, pods, data });
  const ca = { sha1: 'AB', sha256: 'CD', notAfter: Date.UTC(2099, 0, 1) };
  const context = {
    states,
    heldBy: new Map<string, string>(),
    tests: NO_TESTS,
    describeGate: () => undefined,
    mesh: { trustDomain: 'cluster.local', ca },
  };
  const clusterInput = { objects: objects.filter(({ namespace }) => namespace === ''), data, requireLabel: false };
  const shares = new Map([['shop', shareOfClusterPolicies(facts, context)]]);
  const statuses = [
    ...describeNamespace(facts, context),
    ...describeCluster(clusterInput, examineCluster(clusterInput), { shares }),
  ];
  for (const [id, wanted] of statuses)
    await apply(
      client,
      objects.find(object => object.id === id),
      wanted,
    );
}

async function apply(
  client: KubeClient,
  object: KnownObject | undefined,
  { findings, fields }: WantedStatus,
): Promise<void> {
  assert.ok(object);
  const { kind, namespace, generation, metadata } = object;
  const place = namespace === '' ? {} : { namespace };
  const path = resourcePath({
    ...{ group: GROUP, version: VERSION, resource: KINDS[kind satisfies KindName].plural },
    ...{ name: metadata.name, subresource: 'status', ...place },
  });
  const conditions = settleConditions(findings, [], { generation, now: Date.now() });
  const body = {
    apiVersion: API_VERSION,
    kind,
    metadata: { name: metadata.name, ...place },
    status: { conditions, ...fields },
  };
  await applyObject(client, path, body, { fieldManager: FIELD_MANAGER });
}
