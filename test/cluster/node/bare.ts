import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { type GetInstalled, PLAIN } from '../support/installed.ts';
import { isReady, listPods } from '../support/installation-pods.ts';
import type { ClusterNode } from '../support/node.ts';

const APP = 'localhost/app:test';
const SALLYPORT = 'localhost/sallyport:test';
const READY_MS = 120_000;

const HARDENED = {
  ...{ runAsNonRoot: true, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false },
  ...{ capabilities: { drop: ['ALL'] }, seccompProfile: { type: 'RuntimeDefault' } },
};

/** What the node itself does, in a namespace that nobody labelled. */
export function testBareNode(get: GetInstalled): void {
  describe('the node', { concurrency: 1 }, () => {
    let node: ClusterNode;
    before(async () => {
      ({ node } = get());
      await node.apply(JSON.stringify(describeDeployment()));
      await node.apply(JSON.stringify(describeService()));
      await node.apply(JSON.stringify(describeClient()));
      await node.waitFor('the pods', arePodsReady, READY_MS);
    });

    const arePodsReady = async (): Promise<boolean> => {
      const pods = await Promise.all(['echo', 'client'].map(app => listPods(node, PLAIN, app)));
      return pods.every(all => all.length === 1 && all.every(isReady));
    };

    const findPod = async (): Promise<string> => {
      const { stdout } = await node.kubectl(['-n', PLAIN, 'get', 'pods', '-l', 'app=echo', '-o', 'name']);
      return stdout.trim().replace('pod/', '');
    };

    /** What the app said that it saw, of a request made in the client's pod. */
    const ask = async (url: string): Promise<{ to: string; pod: string; headers: readonly string[] }> => {
      const script = `fetch(${JSON.stringify(url)}).then(r => r.text()).then(t => console.log(t))`;
      const { code, stdout, stderr } = await node.kubectl(['-n', PLAIN, 'exec', 'client', '--', 'node', '-e', script]);
      assert.equal(code, 0, stderr);
      return JSON.parse(stdout) as { to: string; pod: string; headers: string[] };
    };

    test('brings a request for the pod’s own port to the sidecar, by the rules that the init container wrote', async () => {
      const [ip] = await node.podIps(PLAIN, await findPod());
      const seen = await ask(`http://${ip ?? ''}:8080/`);
      assert.match(seen.to, / 15190$/);
    });

    test('resolves the name of a Service, and brings its traffic to a pod of it', async () => {
      const seen = await ask('http://echo.plain.svc.cluster.local/named');
      assert.equal(seen.pod, await findPod());
      assert.ok(seen.headers.includes('echo.plain.svc.cluster.local'));
    });

    test('gives pods an IPv6 address too', async () => {
      const addresses = await node.podIps(PLAIN, await findPod());
      const ipv6 = addresses.find(address => address.includes(':')) ?? '';
      assert.match((await ask(`http://[${ipv6}]:8080/`)).to, / 15190$/);
    });

    test('reaches pods from the node', async () => {
      const [ip] = await node.podIps(PLAIN, 'client');
      const fetching = `fetch('http://${ip ?? ''}:8080/healthz').then(r => console.log(r.status))`;
      const { stdout, stderr } = await node.execInNetns([process.execPath, '-e', fetching]);
      assert.equal(stdout.trim(), '200', stderr);
    });

    test('shows what a container wrote', async () => {
      await ask('http://echo.plain.svc.cluster.local/written-to-the-log');
      const { stdout } = await node.kubectl(['-n', PLAIN, 'logs', await findPod(), '-c', 'sidecar']);
      assert.match(stdout, /"url":"\/written-to-the-log"/);
    });
  });
}

function describeDeployment(): unknown {
  const labels = { app: 'echo' };
  return {
    ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'echo', namespace: PLAIN } },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { initContainers: [RULES, SIDECAR], containers: [describeApp()] } },
    },
  };
}

const RULES = {
  ...{ name: 'rules', image: SALLYPORT, imagePullPolicy: 'Never', args: ['init', '--proxy-port', '15190'] },
  securityContext: {
    ...HARDENED,
    runAsNonRoot: false,
    runAsUser: 0,
    capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] },
  },
};

/** Stands for the sidecar: the tests' app, at the port that connections are redirected to. */
const SIDECAR = {
  ...{ name: 'sidecar', image: APP, imagePullPolicy: 'Never', restartPolicy: 'Always' },
  env: [{ name: 'PORTS', value: '15190,15191' }],
  startupProbe: { httpGet: { path: '/healthz', port: 15191 }, periodSeconds: 1, failureThreshold: 60 },
  securityContext: HARDENED,
};

function describeApp(): unknown {
  return {
    name: 'app',
    image: APP,
    imagePullPolicy: 'Never',
    ports: [{ containerPort: 8080 }],
    securityContext: HARDENED,
  };
}

function describeService(): unknown {
  return {
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { name: 'echo', namespace: PLAIN } },
    spec: { selector: { app: 'echo' }, ports: [{ port: 80, targetPort: 8080 }] },
  };
}

function describeClient(): unknown {
  return {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'client', namespace: PLAIN, labels: { app: 'client' } } },
    spec: { containers: [describeApp()], terminationGracePeriodSeconds: 1 },
  };
}
