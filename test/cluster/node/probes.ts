/**
 * Probes of each kind come from the kubelet, through the sidecar's health port, to the app as they were written: one there
 * for one here. The pods have no Api, so that nobody else reaches any of their ports.
 */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Manifest } from '../../support/manifests.ts';
import type { Clients } from '../support/installation-clients.ts';
import {
  addressesOf,
  describeOwner,
  isReady,
  listPods,
  type PodSeen,
  waitForPods,
} from '../support/installation-pods.ts';
import { render, tlsSecret } from '../support/installation-scene.ts';
import type { GetInstalled } from '../support/installed.ts';
import type { ClusterNode } from '../support/node.ts';

const NAMESPACE = 'probes';
const WITHIN_MS = 60_000;
const TYPES = ['startup', 'readiness', 'liveness'] as const;
type Type = (typeof TYPES)[number];
const TIMES = { periodSeconds: 1, timeoutSeconds: 5 };
const TCP_PORTS: Readonly<Record<Type, number>> = { startup: 7001, readiness: 7002, liveness: 7003 };
const TLS = { TLS_CERT: '/etc/tls/tls.crt', TLS_KEY: '/etc/tls/tls.key' };

/** A line of the app's log. */
interface Line {
  readonly url?: string;
  readonly headers?: readonly string[];
  readonly tcp?: number;
  readonly grpc?: string;
  readonly service?: string;
  readonly from?: string;
}

interface Kind {
  readonly probe: (type: Type) => object;
  /** Whether a line of the log is of such a probe. */
  readonly isOf: (type: Type, line: Line) => boolean;
  readonly isSecure?: boolean;
}

const http = (scheme: 'HTTP' | 'HTTPS') => (type: Type) => ({
  httpGet: { path: `/ready?of=${type}`, port: 8080, scheme, httpHeaders: [{ name: 'X-Probe', value: type }] },
});
const isHttp = (type: Type, { url, headers = [] }: Line): boolean =>
  url === `/ready?of=${type}` &&
  headers[headers.findIndex(name => name.toLowerCase() === 'x-probe') + 1] === type &&
  headers.some(value => value.startsWith('kube-probe/'));

const KINDS: Readonly<Record<string, Kind>> = {
  http: { probe: http('HTTP'), isOf: isHttp },
  https: { probe: http('HTTPS'), isOf: isHttp, isSecure: true },
  tcp: { probe: type => ({ tcpSocket: { port: TCP_PORTS[type] } }), isOf: (type, { tcp }) => tcp === TCP_PORTS[type] },
  grpc: {
    probe: type => ({ grpc: { port: 9000, service: type } }),
    isOf: (type, { grpc, service }) => grpc === '/grpc.health.v1.Health/Check' && service === type,
  },
};

export function testProbes(get: GetInstalled): void {
  describe('probes of the kubelet', { concurrency: 2 }, () => {
    let node: ClusterNode;
    let clients: Clients;
    before(async () => {
      ({ node, clients } = get());
      await node.createNamespace(NAMESPACE, { 'sallyport.dev/inject': 'enabled' });
      const { servers } = get().scene.material;
      const apps = Object.entries(KINDS).map(([name, kind]) => describeApp(name, kind));
      await node.apply(render([tlsSecret(NAMESPACE, 'tls', servers.app), ...apps]));
    });

    for (const [name, kind] of Object.entries(KINDS)) {
      test(`${name}: each reaches the app once, from its sidecar; a failure is believed, and so is its end`, async () => {
        const [pod] = await waitForPods(node, NAMESPACE, name);
        assert.ok(pod !== undefined);
        assertMoved(pod);
        await assertClosedToOthers(clients, pod);
        await assertCounted(node, pod, kind);
        await assertBelieved(node, name, kind);
      });
    }
  });
}

function describeApp(name: string, { probe, isSecure = false }: Kind): Manifest {
  const times = { startup: { ...TIMES, failureThreshold: 60 }, readiness: TIMES, liveness: TIMES };
  return describeOwner('Deployment', {
    ...{ namespace: NAMESPACE, name },
    env: { PORTS: '8080', GRPC_PORT: '9000', TCP_PORTS: '7001,7002,7003', ...(isSecure ? TLS : {}) },
    container: {
      ...Object.fromEntries(TYPES.map(type => [`${type}Probe`, { ...probe(type), ...times[type] }])),
      volumeMounts: [{ name: 'tls', mountPath: '/etc/tls' }],
    },
    spec: { volumes: [{ name: 'tls', secret: { secretName: 'tls', defaultMode: 0o444 } }] },
  });
}

/** What the kubelet was told to ask: the sidecar's health port, at a path that nobody guesses. */
function assertMoved({ spec }: PodSeen): void {
  const [app] = (spec as unknown as { containers: readonly Readonly<Record<string, unknown>>[] }).containers;
  for (const type of TYPES) {
    const { httpGet } = app?.[`${type}Probe`] as { httpGet: { path: string; port: number } };
    assert.equal(httpGet.port, 15191);
    assert.match(httpGet.path, new RegExp(`^/app-health/app/${type}/[0-9a-f]{32}$`));
  }
}

async function assertClosedToOthers(clients: Clients, pod: PodSeen): Promise<void> {
  for (const address of addressesOf(pod)) {
    for (const port of [8080, 7002, 9000]) {
      const { status, error } = await clients.ask({ address, port, path: '/ready' });
      assert.deepEqual({ port, status, error }, { port, status: 0, error: 'ECONNRESET' });
    }
    const guessed = await clients.ask({ address, port: 15191, path: `/app-health/app/readiness/${'0'.repeat(32)}` });
    assert.equal(guessed.status, 404);
  }
}

/** The kubelet's own count, before and after the app's log is read, holds that of the log between them. */
async function assertCounted(node: ClusterNode, pod: PodSeen, { isOf }: Kind): Promise<void> {
  const counted = (): Promise<Counts> => readCounts(node, pod.metadata.name);
  await node.waitFor('three probes of each', async () => {
    const { readiness, liveness } = await counted();
    return Math.min(readiness.good, liveness.good) >= 3;
  });
  const own = addressesOf(pod);
  const earlier = await counted();
  const lines = await readLog(node, pod.metadata.name);
  const later = await counted();
  for (const type of TYPES) {
    const seen = lines.filter(line => isOf(type, line));
    const [least, most] = [earlier[type].good, later[type].all + 1];
    assert.ok(least > 0 && least <= seen.length && seen.length <= most, `${type}: ${least} ≤ ${seen.length} ≤ ${most}`);
    const from = new Set(seen.map(({ from: address = '' }) => address.split(' ', 1).join('').replace('::ffff:', '')));
    assert.deepEqual(
      [...from].filter(address => !own.includes(address)),
      [],
      'every one came from the pod itself',
    );
  }
}

type Counts = Readonly<Record<Type, { good: number; all: number }>>;

/** What the kubelet says that it has done. */
async function readCounts(node: ClusterNode, pod: string): Promise<Counts> {
  const { stdout } = await node.kubectl(['get', '--raw', '/api/v1/nodes/node/proxy/metrics/probes']);
  const lines = stdout
    .split('\n')
    .filter(
      line =>
        line.startsWith('prober_probe_total{') && line.includes(`pod="${pod}"`) && line.includes('container="app"'),
    );
  const count = (type: Type): { good: number; all: number } => {
    const of = lines.filter(line => line.includes(`probe_type="${type[0]?.toUpperCase() ?? ''}${type.slice(1)}"`));
    const sum = (chosen: readonly string[]): number =>
      chosen.reduce((total, line) => total + Number(line.split(' ').at(-1)), 0);
    return { good: sum(of.filter(line => line.includes('result="successful"'))), all: sum(of) };
  };
  return { startup: count('startup'), readiness: count('readiness'), liveness: count('liveness') };
}

async function readLog(node: ClusterNode, pod: string): Promise<readonly Line[]> {
  const { stdout } = await node.kubectl(['-n', NAMESPACE, 'logs', pod, '-c', 'app']);
  return stdout
    .split('\n')
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line) as Line);
}

/** Readiness takes the pod out, liveness has its container started again, and the startup probe lets it come back. */
async function assertBelieved(node: ClusterNode, name: string, { isSecure = false }: Kind): Promise<void> {
  const script = `process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    fetch('${isSecure ? 'https' : 'http'}://127.0.0.1:8080/ready/off', { method: 'POST' }).then(r => console.log(r.status))`;
  const about = ['-n', NAMESPACE, 'exec', `deployment/${name}`, '-c', 'app', '--', 'node', '-e', script];
  assert.equal((await node.kubectl(about)).stdout.trim(), '200');
  const become = (what: string, look: (pod: PodSeen) => boolean): Promise<unknown> =>
    node.waitFor(what, async () => (await listPods(node, NAMESPACE, name)).some(look), WITHIN_MS);
  await become('a pod that is not ready', pod => !isReady(pod));
  await become(
    'a container that was started again',
    pod => isReady(pod) && pod.status.containerStatuses?.[0]?.restartCount === 1,
  );
}
