import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { patch } from './patch.ts';
import type { Container, Pod } from './pod.ts';
import {
  applyOperations,
  CONFIGURATION,
  createCounter,
  expectPatched,
  findContainer,
  readFlag,
  readRecorded,
  RECORDED,
  run,
  SHOP,
  withApp,
  withMetadata,
  withSpec,
} from './testing/pods.ts';

const deployment = readRecorded('deployment');
const names = (containers: readonly Container[] = []): readonly string[] => containers.map(({ name }) => name);

describe('every recorded pod', () => {
  for (const name of RECORDED) {
    const pod = readRecorded(name);
    const { pod: patched, operations } = expectPatched(pod);

    test(`of ${name}: its operations make the pod that is returned`, () => {
      assert.deepEqual(applyOperations(pod, operations), patched);
    });

    test(`of ${name} is left alone when it comes back`, () => {
      assert.deepEqual(expectPatched(patched, { randomBytes: () => assert.fail('no new token') }).operations, []);
    });

    test(`of ${name} gets the init container and the sidecar before everything else`, () => {
      const foreign = names(pod.spec.initContainers);
      assert.deepEqual(names(patched.spec.initContainers), ['sallyport-init', 'sallyport', ...foreign]);
      assert.deepEqual(names(patched.spec.containers), names(pod.spec.containers));
    });

    test(`of ${name} carries the label by which the admission policy holds on to it`, () => {
      assert.equal(patched.metadata?.labels?.['sallyport.dev/inject'], 'enabled');
    });

    test(`of ${name}: no operation replaces a list or an object that others write to`, () => {
      const whole = [
        '/spec/containers',
        '/spec/initContainers',
        '/spec/volumes',
        '/metadata/labels',
        '/spec',
        '/metadata',
      ];
      const replaced = operations.filter(({ op, path, ...rest }) => {
        const value = 'value' in rest ? rest.value : undefined;
        const isEmpty = JSON.stringify(value) === '[]' || JSON.stringify(value) === '{}';
        return whole.includes(path) && !(op === 'add' && isEmpty);
      });
      assert.deepEqual(replaced, []);
    });
  }
});

describe('the sidecar', () => {
  const sidecar = findContainer(expectPatched(deployment).pod, 'sallyport');

  test('is native: an init container that runs on', () => {
    assert.equal(sidecar.restartPolicy, 'Always');
  });

  test('holds the app back until it is ready', () => {
    assert.deepEqual(sidecar.startupProbe?.httpGet, { path: '/readyz', port: 15191, scheme: 'HTTP' });
  });

  test('runs as a user of its own without any right', () => {
    assert.deepEqual(sidecar.securityContext, {
      allowPrivilegeEscalation: false,
      privileged: false,
      readOnlyRootFilesystem: true,
      seccompProfile: { type: 'RuntimeDefault' },
      capabilities: { drop: ['ALL'] },
      runAsUser: 15190,
      runAsGroup: 15190,
      runAsNonRoot: true,
    });
  });

  test('says what it needs and what it may take', () => {
    assert.deepEqual(sidecar.resources, CONFIGURATION.resources);
    assert.equal(readFlag(sidecar, '--max-memory'), '256Mi');
  });

  test('gets the controller’s roots and the API server’s in its arguments, where no tenant can rewrite them', () => {
    const decode = (flag: string): string => Buffer.from(readFlag(sidecar, flag) ?? '', 'base64').toString();
    assert.equal(readFlag(sidecar, '--controller'), 'https://sallyport-controller.sallyport-system.svc:15194');
    assert.equal(decode('--controller-ca'), CONFIGURATION.controllerCa);
    assert.equal(decode('--kubernetes-ca'), CONFIGURATION.kubernetesCa);
  });

  test('learns the names of container ports, those of app containers first', () => {
    assert.equal(readFlag(sidecar, '--container-ports'), 'http=8080,grpc=9000,metrics=9102');
    const clash = withSpec(deployment, {
      initContainers: [{ name: 'first', restartPolicy: 'Always', ports: [{ name: 'http', containerPort: 1 }] }],
    });
    const other = findContainer(expectPatched(clash).pod, 'sallyport');
    assert.equal(readFlag(other, '--container-ports'), 'http=8080,grpc=9000,metrics=9102');
  });

  test('gets no argument for what the pod does not have', () => {
    const bare = findContainer(expectPatched(readRecorded('bare')).pod, 'sallyport');
    assert.equal(bare.args?.includes('--probes'), false);
    assert.equal(bare.args.includes('--container-ports'), false);
  });

  test('is told to drain as soon as the pod is told to end', () => {
    const command = ['sallyport', 'drain', '--admin-socket', '/run/sallyport/admin.sock'];
    assert.deepEqual(sidecar.lifecycle?.preStop, { exec: { command } });
  });

  test('gets the configured image, pull policy, log level and further arguments', () => {
    const configuration = {
      image: 'registry.example/sallyport@sha256:abc',
      imagePullPolicy: 'Never',
      logLevel: 'debug',
      extraArguments: ['--log-permits', '1'],
    } as const;
    const other = findContainer(expectPatched(deployment, { configuration }).pod, 'sallyport');
    assert.equal(other.image, configuration.image);
    assert.equal(readFlag(other, '--log-level'), 'debug');
    assert.equal(readFlag(other, '--log-permits'), '1');
    assert.equal('imagePullPolicy' in other && other.imagePullPolicy, 'Never');
  });

  test('keeps the class Guaranteed of a pod that has it', () => {
    const requests = findContainer(expectPatched(readRecorded('stateful-set')).pod, 'sallyport').resources?.requests;
    assert.deepEqual(requests, CONFIGURATION.resources.limits);
  });
});

describe('the init container', () => {
  const init = findContainer(expectPatched(deployment).pod, 'sallyport-init');

  test('is root with NET_ADMIN and nothing else', () => {
    assert.deepEqual(init.securityContext, {
      allowPrivilegeEscalation: false,
      privileged: false,
      readOnlyRootFilesystem: true,
      seccompProfile: { type: 'RuntimeDefault' },
      capabilities: { add: ['NET_ADMIN'], drop: ['ALL'] },
      runAsUser: 0,
      runAsGroup: 0,
      runAsNonRoot: false,
    });
  });

  test('excludes the health port alone', () => {
    assert.deepEqual(init.args, [
      'init',
      '--interception',
      'transparent',
      '--proxy-port',
      '15190',
      '--exclude-ports',
      '15191',
    ]);
  });

  test('mounts nothing', () => {
    assert.equal(init.volumeMounts, undefined);
  });
});

describe('volumes', () => {
  const { pod } = expectPatched(deployment);

  test('tokens for the controller and the API server are mounted in the sidecar alone', () => {
    const mounting = [...(pod.spec.initContainers ?? []), ...pod.spec.containers]
      .filter(({ volumeMounts = [] }) => volumeMounts.some(({ name }) => name === 'sallyport-tokens'))
      .map(({ name }) => name);
    assert.deepEqual(mounting, ['sallyport']);
    const tokens = pod.spec.volumes?.find(({ name }) => name === 'sallyport-tokens')?.projected?.sources;
    assert.deepEqual(
      tokens?.map(({ serviceAccountToken }) => serviceAccountToken?.audience),
      ['sallyport.dev/controller', undefined],
    );
  });

  test('are added behind those of the user', () => {
    assert.deepEqual(names(pod.spec.volumes?.map(volume => ({ name: volume.name }))), [
      'config',
      'kube-api-access-ndtv5',
      'sallyport-run',
      'sallyport-tokens',
      'sallyport-pod',
    ]);
  });

  test('work where the pod mounts no token of its own and has no volume at all', () => {
    const bare = expectPatched(readRecorded('bare')).pod;
    assert.equal(bare.spec.volumes?.length, 3);
  });
});

describe('annotations and pull secrets', () => {
  test('kubectl looks at the app, not at the sidecar', () => {
    const key = 'kubectl.kubernetes.io/default-container';
    assert.equal(expectPatched(deployment).pod.metadata?.annotations?.[key], 'app');
    const chosen = withMetadata(deployment, { annotations: { [key]: 'exporter' } });
    assert.equal(expectPatched(chosen).pod.metadata?.annotations?.[key], 'exporter');
  });

  test('a pull secret is added once', () => {
    const pod = withSpec(deployment, { imagePullSecrets: [{ name: 'mine' }, { name: 'registry' }] });
    const { pod: patched } = expectPatched(pod, { configuration: { imagePullSecrets: ['registry', 'other'] } });
    assert.deepEqual(patched.spec.imagePullSecrets, [{ name: 'mine' }, { name: 'registry' }, { name: 'other' }]);
  });
});

describe('shutdown', () => {
  const sleep = { sleep: { seconds: 5 } };

  test('app containers without a preStop hook go on serving for five seconds, and the grace period grows by them', () => {
    const { spec } = expectPatched(deployment).pod;
    const [app, exporter] = spec.containers;
    assert.deepEqual(app?.lifecycle?.preStop, sleep);
    assert.deepEqual(exporter?.lifecycle?.preStop, { exec: { command: ['/bin/sleep', '3'] } });
    assert.equal(spec.terminationGracePeriodSeconds, 35);
  });

  test('a pod that waits by itself keeps its grace period', () => {
    const { spec } = expectPatched(readRecorded('stateful-set')).pod;
    assert.equal(spec.terminationGracePeriodSeconds, 120);
  });

  test('a pod without a grace period is not delayed', () => {
    const { spec } = expectPatched(readRecorded('bare')).pod;
    assert.equal(spec.containers[0]?.lifecycle, undefined);
    assert.equal(spec.terminationGracePeriodSeconds, 0);
  });

  test('a pod that does not say its grace period gets the usual one and the delay', () => {
    const { containers } = deployment.spec;
    assert.equal(expectPatched({ spec: { containers } }).pod.spec.terminationGracePeriodSeconds, 35);
  });

  test('can be switched off', () => {
    const { spec } = expectPatched(deployment, { configuration: { preStopSleepSeconds: 0 } }).pod;
    assert.equal(spec.containers[0]?.lifecycle?.preStop, undefined);
    assert.equal(spec.terminationGracePeriodSeconds, 30);
  });

  test('a container that another webhook inserts later is delayed too, and the grace period grows no more', () => {
    const first = expectPatched(deployment).pod;
    const added = withSpec(first, { containers: [...first.spec.containers, { name: 'late', image: 'late:1' }] });
    const { spec } = expectPatched(added).pod;
    assert.deepEqual(spec.containers[2]?.lifecycle?.preStop, sleep);
    assert.equal(spec.terminationGracePeriodSeconds, 35);
  });
});

describe('how long the sidecar may drain', () => {
  const graces: Readonly<Record<string, readonly [grace: number, drain: string]>> = {
    'is less than the grace period, which the delay has made longer': [20, '20s'],
    'is no more than 25 s': [3600, '25s'],
    'is at least a second': [1, '1s'],
  };
  for (const [sentence, [grace, drain]] of Object.entries(graces)) {
    test(sentence, () => {
      const { pod } = expectPatched(withSpec(deployment, { terminationGracePeriodSeconds: grace }));
      assert.equal(readFlag(findContainer(pod, 'sallyport'), '--drain-timeout'), drain);
      assert.deepEqual(expectPatched(pod).operations, []);
    });
  }
});

describe('reinvocation', () => {
  const first = expectPatched(deployment).pod;
  const inserted: Container = {
    name: 'vault-agent-init',
    image: 'vault:1',
    restartPolicy: 'Always',
    livenessProbe: { httpGet: { path: '/v1/sys/health', port: 8200 } },
  };

  test('puts ours first again when another webhook has inserted its own before them', () => {
    const pod = withSpec(first, { initContainers: [inserted, ...(first.spec.initContainers ?? [])] });
    const { pod: patched, operations } = expectPatched(pod);
    assert.deepEqual(names(patched.spec.initContainers), [
      'sallyport-init',
      'sallyport',
      'vault-agent-init',
      'migrate',
    ]);
    assert.deepEqual(applyOperations(pod, operations), patched);
    assert.deepEqual(expectPatched(patched).operations, []);
  });

  test('keeps the tokens of probes and adds those of new ones', () => {
    const pod = withSpec(first, { initContainers: [...(first.spec.initContainers ?? []), inserted] });
    const before = readProbes(first);
    const { pod: patched } = expectPatched(pod, { randomBytes: size => new Uint8Array(size).fill(255) });
    const added = `/app-health/vault-agent-init/liveness/${'f'.repeat(32)}`;
    const replay = { path: added, port: 8200, timeoutMs: 1000, kind: 'http', target: '/v1/sys/health' };
    // In the order of the containers.
    assert.deepEqual(readProbes(patched), [replay, ...before]);
  });

  test('restores what another webhook has changed in the sidecar', () => {
    const initContainers = (first.spec.initContainers ?? []).map(one =>
      one.name === 'sallyport' ? { ...one, env: [{ name: 'SALLYPORT_RESOLVE', value: 'x=1.2.3.4' }] } : one,
    );
    assert.deepEqual(expectPatched(withSpec(first, { initContainers })).pod, first);
  });

  test('lets be what others may add: the app’s token, resources by a LimitRange, the digest of the image', () => {
    const mount = { name: 'kube-api-access-ndtv5', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' };
    const initContainers = (first.spec.initContainers ?? []).map(one => ({
      ...one,
      image: `${one.image ?? ''}@sha256:${'0'.repeat(64)}`,
      volumeMounts: [...(one.volumeMounts ?? []), mount],
      resources: { ...one.resources, limits: { ...one.resources?.limits, 'ephemeral-storage': '1Gi' } },
    }));
    assert.deepEqual(expectPatched(withSpec(first, { initContainers })).operations, []);
  });

  test('replaces a sidecar that somebody wrote to look like ours', () => {
    const forged: Container = {
      name: 'sallyport',
      image: 'evil:1',
      command: ['sallyport'],
      args: ['sidecar', '--source', 'files'],
      restartPolicy: 'Always',
    };
    const pod = withSpec(deployment, { initContainers: [forged, ...(deployment.spec.initContainers ?? [])] });
    const { pod: patched } = expectPatched(pod);
    const honest = findContainer(first, 'sallyport');
    assert.deepEqual(findContainer(patched, 'sallyport'), honest);
    assert.deepEqual(names(patched.spec.initContainers), ['sallyport-init', 'sallyport', 'migrate']);
  });

  test('takes over no replay that no probe leads to', () => {
    const door = {
      path: `/app-health/app/liveness/${'a'.repeat(32)}`,
      kind: 'http',
      port: 8080,
      target: '/admin',
      timeoutMs: 1,
    };
    const forged: Container = {
      name: 'sallyport',
      image: 'x',
      command: ['sallyport'],
      args: ['sidecar', '--probes', Buffer.from(JSON.stringify([door])).toString('base64')],
      restartPolicy: 'Always',
    };
    const pod = withSpec(deployment, { initContainers: [forged] });
    assert.equal(
      readProbes(expectPatched(pod).pod).some(({ target }) => target === '/admin'),
      false,
    );
  });

  test('is not fooled by annotations that claim it has been done', () => {
    const annotations = { 'sallyport.dev/injected': 'true', 'sidecar.istio.io/status': '{}' };
    const { pod } = expectPatched(withMetadata(deployment, { annotations }));
    assert.deepEqual(names(pod.spec.initContainers).slice(0, 2), ['sallyport-init', 'sallyport']);
  });

  test('takes the init container out of a copy that is to run in explicit mode', () => {
    const namespace = { ...SHOP, labels: { ...SHOP.labels, 'pod-security.kubernetes.io/enforce': 'baseline' } };
    const pod = withMetadata(first, { annotations: { 'sallyport.dev/interception': 'explicit' } });
    const { pod: patched } = expectPatched(pod, { namespace });
    assert.deepEqual(names(patched.spec.initContainers), ['sallyport', 'migrate']);
  });
});

describe('pods that are left alone', () => {
  const unlabelled = { ...SHOP, labels: {} };
  const skipped: Readonly<Record<string, readonly [Pod, Parameters<typeof run>[1], RegExp]>> = {
    'of a namespace without the label, without it themselves': [
      deployment,
      { namespace: unlabelled },
      /neither the pod/,
    ],
    'of kube-system, whatever its labels': [deployment, { namespace: { ...SHOP, name: 'kube-system' } }, /kube-system/],
    'of the controller’s own namespace': [
      deployment,
      { namespace: { ...SHOP, name: 'sallyport-system' } },
      /sallyport-system/,
    ],
    'of a namespace that the installation excludes': [
      deployment,
      { configuration: { excludedNamespaces: ['shop'] } },
      /shop is never/,
    ],
    'that mirror what the kubelet runs by itself': [
      withMetadata(deployment, { annotations: { 'kubernetes.io/config.mirror': 'x' } }),
      {},
      /mirror/,
    ],
  };
  for (const [sentence, [pod, patching, why]] of Object.entries(skipped)) {
    test(sentence, () => {
      const result = run(pod, patching);
      assert.match(result.kind === 'skipped' ? result.why : result.kind, why);
    });
  }

  test('but not those with the label in a namespace without it', () => {
    expectPatched(readRecorded('bare'), { namespace: unlabelled });
  });
});

test('the pod that is given is never changed', () => {
  const before = structuredClone(deployment);
  patch(deployment, SHOP, CONFIGURATION, createCounter());
  assert.deepEqual(deployment, before);
});

test('a resolver that may not know the controller is a warning', () => {
  const { warnings } = expectPatched(withSpec(deployment, { dnsPolicy: 'None' }));
  assert.match(warnings.join(), /spec\.dnsPolicy is None/);
  assert.deepEqual(expectPatched(withApp(deployment, {})).warnings, []);
});

interface Replay {
  readonly path: string;
  readonly target?: string;
}

function readProbes(pod: Pod): readonly Replay[] {
  const text = readFlag(findContainer(pod, 'sallyport'), '--probes') ?? '';
  return JSON.parse(Buffer.from(text, 'base64').toString()) as readonly Replay[];
}
