/**
 * How long from applying a policy until it is enforced: a real API server, the real sidecar, a client that asks all the
 * time. `node bench/cluster/policy-change.ts [CHANGES]`; needs `npm run cluster -- build --control-plane` and `npm run build`.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { resourcePath } from '../../src/kube/objects.ts';
import { applyObject } from '../../src/kube/writes.ts';
import { SILENT } from '../../src/telemetry/telemetry.ts';
import { type Connection, openPlain } from '../../test/support/connection.ts';
import { RecordingApp } from '../../test/support/servers.ts';
import { type ControlPlane, openControlPlane } from '../../test/cluster/support/control-plane.ts';
import { createProtectedPod } from '../../test/cluster/support/protected-pod.ts';

const PLURALS = { Api: 'apis', AuthPolicy: 'authpolicies' } as const;
const changes = Number(process.argv[2] ?? 50);
const cluster = await openControlPlane();
try {
  for (const file of readdirSync('crds')) await cluster.apply(readFileSync(`crds/${file}`, 'utf8'));
  console.log(`${changes} changes each; milliseconds from the start of the request that applies a policy`);
  console.log('policies  enforced p50  p99   stored by the API server p50  p99');
  for (const policies of [1, 1000]) console.log(await measure(cluster, policies));
} finally {
  await cluster.close();
}

async function measure(plane: ControlPlane, policies: number): Promise<string> {
  const namespace = `change-${policies}`;
  const client = createKubeClient(plane.adminConnection, { log: SILENT.log, clock: Date.now, random: Math.random });
  const app = await new RecordingApp().start();
  const pod = await createProtectedPod(plane, namespace, { app: 'fleet' });
  await apply(client, namespace, 'Api', 'fleet', { podSelector: { matchLabels: { app: 'fleet' } }, port: 8443 });
  for (let i = 1; i < policies; i++)
    await apply(client, namespace, 'AuthPolicy', `other-${i}`, describe(`other-${i}`, i));
  await apply(client, namespace, 'AuthPolicy', 'door', describe('fleet', 0));
  const sidecar = await pod.start({ app: app.port });
  const connection = await openPlain(sidecar.port);
  const enforced: number[] = [];
  const stored: number[] = [];
  for (let version = 1; version <= changes; version++) {
    const startedAt = performance.now();
    const applied = apply(client, namespace, 'AuthPolicy', 'door', describe('fleet', version)).then(() =>
      stored.push(performance.now() - startedAt),
    );
    while ((await ask(connection, version)) !== 200);
    enforced.push(performance.now() - startedAt);
    await applied;
    // Somebody who changes a policy once, not a storm.
    await new Promise(resolve => setTimeout(resolve, 500));
  }
  connection.close();
  await sidecar.close();
  await app.stop();
  await pod.remove();
  await client.close();
  const row = [
    percentile(enforced, 0.5),
    percentile(enforced, 0.99),
    percentile(stored, 0.5),
    percentile(stored, 0.99),
  ];
  return `${String(policies).padEnd(10)}${row.map(ms => ms.toFixed(0).padEnd(14)).join('')}`;
}

async function ask(connection: Connection, version: number): Promise<number> {
  return (await connection.ask({ path: '/', headers: [['x-version', String(version)]] })).status;
}

async function apply(client: KubeClient, namespace: string, kind: keyof typeof PLURALS, name: string, spec: unknown) {
  const address = { group: 'sallyport.dev', version: 'v1alpha1', resource: PLURALS[kind], namespace, name };
  const object = { apiVersion: 'sallyport.dev/v1alpha1', kind, metadata: { name, namespace }, spec };
  await applyObject(client, resourcePath(address), object, { fieldManager: 'bench' });
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

function describe(api: string, version: number): unknown {
  return {
    targetRefs: [{ kind: 'Api', name: api }],
    request: [
      { name: 'anyone', anyOf: [{ anonymous: {} }] },
      { name: 'v', authorize: { allow: [{ name: 'v', expression: `request.headers['x-version'] == '${version}'` }] } },
    ],
  };
}
