import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Container, Pod, PodSpec } from './pod.ts';
import {
  allow,
  expectPatched,
  expectRefused,
  findContainer,
  readFlag,
  readRecorded,
  SHOP,
  withApp,
  withMetadata,
  withSpec,
  type Patching,
} from './testing/pods.ts';

const deployment = readRecorded('deployment');
const annotate = (annotations: Readonly<Record<string, string>>): Pod => withMetadata(deployment, { annotations });
const PRIVILEGED = 'or have a ClusterAuthPolicy say allowances: [{privilegedContainers: true}]';

const atLevel = (level: string): Patching => ({
  namespace: { ...SHOP, labels: { ...SHOP.labels, 'pod-security.kubernetes.io/enforce': level } },
});

describe('a pod is refused with the field and the fix', () => {
  const secured = (securityContext: NonNullable<Container['securityContext']>): Pod =>
    withApp(deployment, { securityContext });
  const spec = (change: Partial<PodSpec>): Pod => withSpec(deployment, change);
  const undo = 'with which the container can undo the interception';
  const cases: Readonly<Record<string, readonly [Pod, string]>> = {
    'on the node’s network': [
      spec({ hostNetwork: true }),
      'spec.hostNetwork: is true: the pod shares the node’s network, so interception would be the node’s; remove it, or run the pod in a namespace without the label',
    ],
    'for Windows': [
      spec({ os: { name: 'windows' } }),
      'spec.os.name: is windows: there is a sidecar for linux only; do not label it for injection',
    ],
    'for nodes with Windows': [
      spec({ nodeSelector: { 'kubernetes.io/os': 'windows' } }),
      'spec.nodeSelector: selects nodes with kubernetes.io/os: windows, and there is a sidecar for linux only; do not label it for injection',
    ],
    'with a container of our name': [
      spec({ initContainers: [{ name: 'sallyport', image: 'mine:1' }] }),
      'spec.initContainers[0].name: is sallyport, which is the name of a container that Sallyport adds; rename it',
    ],
    'with an app container of our name': [
      spec({ containers: [...deployment.spec.containers, { name: 'sallyport-init' }] }),
      'spec.containers[2].name: is sallyport-init, which is the name of a container that Sallyport adds; rename it',
    ],
    'with a volume of our name': [
      spec({ volumes: [{ name: 'sallyport-run' }] }),
      'spec.volumes[0].name: is sallyport-run, which is the name of a volume that Sallyport adds; rename it',
    ],
    'with our intercepting port': [
      withApp(deployment, { ports: [{ containerPort: 15190 }] }),
      'spec.containers[0].ports[0].containerPort: is 15190, which is a port of the sidecar; let the app listen on another port',
    ],
    'with our health port, in a native sidecar': [
      spec({ initContainers: [{ name: 'other', restartPolicy: 'Always', ports: [{ containerPort: 15191 }] }] }),
      'spec.initContainers[0].ports[0].containerPort: is 15191, which is a port of the sidecar; let the app listen on another port',
    ],
    'that mounts the sidecar’s tokens': [
      withApp(deployment, { volumeMounts: [{ name: 'sallyport-tokens', mountPath: '/t' }] }),
      'spec.containers[0].volumeMounts[0].name: is sallyport-tokens, a volume that belongs to the sidecar alone; remove the mount',
    ],
    'with a token of the controller’s audience': [
      spec({
        volumes: [
          { name: 'mine', projected: { sources: [{ serviceAccountToken: { audience: 'sallyport.dev/controller' } }] } },
        ],
      }),
      'spec.volumes[0].projected.sources: hold a token with the audience sallyport.dev/controller, which is the sidecar’s alone; remove it',
    ],
    'with a privileged container': [
      secured({ privileged: true }),
      `spec.containers[0].securityContext.privileged: is true, ${undo}; remove it, ${PRIVILEGED}`,
    ],
    'with NET_ADMIN in a container': [
      secured({ capabilities: { add: ['CHOWN', 'NET_ADMIN'] } }),
      `spec.containers[0].securityContext.capabilities.add[1]: is NET_ADMIN, ${undo}; remove it, ${PRIVILEGED}`,
    ],
    'with NET_RAW in another spelling': [
      secured({ capabilities: { add: ['cap_net_raw'] } }),
      `spec.containers[0].securityContext.capabilities.add[0]: is cap_net_raw, ${undo}; remove it, ${PRIVILEGED}`,
    ],
    'with every capability': [
      secured({ capabilities: { add: ['all'] } }),
      `spec.containers[0].securityContext.capabilities.add[0]: is all, ${undo}; remove it, ${PRIVILEGED}`,
    ],
    'with SYS_PTRACE in an init container': [
      spec({ initContainers: [{ name: 'i', securityContext: { capabilities: { add: ['SYS_PTRACE'] } } }] }),
      `spec.initContainers[0].securityContext.capabilities.add[0]: is SYS_PTRACE, ${undo}; remove it, ${PRIVILEGED}`,
    ],
    'with a container that runs as our user': [
      secured({ runAsUser: 15190 }),
      `spec.containers[0].securityContext.runAsUser: is 15190, which is the sidecar’s own user; choose another, ${PRIVILEGED}`,
    ],
    'that shares its processes': [
      spec({ shareProcessNamespace: true }),
      `spec.shareProcessNamespace: is true, so that containers can reach the memory and files of the sidecar; remove it, ${PRIVILEGED}`,
    ],
    'that sees the node’s processes': [
      spec({ hostPID: true }),
      `spec.hostPID: is true, so that containers can reach the memory and files of the sidecar; remove it, ${PRIVILEGED}`,
    ],
    'with another value of the label': [
      withMetadata(deployment, { labels: { 'sallyport.dev/inject': 'false' } }),
      'metadata.labels["sallyport.dev/inject"]: is "false"; write enabled, its only value, or remove the label',
    ],
  };
  for (const [sentence, [pod, expected]] of Object.entries(cases)) {
    test(sentence, () => assert.deepEqual(expectRefused(pod), [expected]));
  }

  test('as our user by the pod’s own setting, once for all containers', () => {
    const pod = withSpec(deployment, {
      securityContext: { runAsUser: 15190 },
      containers: [{ name: 'a' }, { name: 'b' }],
      initContainers: [],
    });
    assert.deepEqual(expectRefused(pod), [
      `spec.securityContext.runAsUser: is 15190, which is the sidecar’s own user; choose another, ${PRIVILEGED}`,
    ]);
  });

  test('with everything that is wrong at once', () => {
    const pod = withSpec(secured({ privileged: true }), { hostNetwork: true, hostPID: true });
    assert.equal(expectRefused(pod).length, 3);
  });

  test('in a namespace with another value of the label', () => {
    const namespace = { ...SHOP, labels: { 'sallyport.dev/inject': 'true' } };
    assert.deepEqual(expectRefused(deployment, { namespace }), [
      'is "true" in the label sallyport.dev/inject of the namespace shop; write enabled, its only value, or remove the label',
    ]);
  });

  test('but a UDP port with our number is nobody’s', () => {
    expectPatched(withApp(deployment, { ports: [{ containerPort: 15190, protocol: 'UDP' }] }));
  });
});

describe('an allowance for privileged containers (S9)', () => {
  const namespace = allow({ privilegedContainers: true });
  test('lets in what could undo the interception', () => {
    const pod = withSpec(withApp(deployment, { securityContext: { privileged: true } }), {
      shareProcessNamespace: true,
      hostPID: true,
    });
    expectPatched(pod, { namespace });
  });

  test('does not let in a pod on the node’s network, nor a mount of our volumes', () => {
    expectRefused(withSpec(deployment, { hostNetwork: true }), { namespace });
    expectRefused(withApp(deployment, { volumeMounts: [{ name: 'sallyport-tokens', mountPath: '/t' }] }), {
      namespace,
    });
  });
});

describe('annotations that ask for exclusions (S9)', () => {
  const ports = { 'sallyport.dev/exclude-ports': '9090, 9091' };
  const udp = { 'sallyport.dev/exclude-udp-ports': '53' };
  const initArguments = (pod: Pod, patching: Patching) => {
    const init = findContainer(expectPatched(pod, patching).pod, 'sallyport-init');
    return [readFlag(init, '--exclude-ports'), readFlag(init, '--udp-ports')];
  };

  test('are granted by an allowance', () => {
    const namespace = allow({ excludePorts: [9091, 9090], udpPorts: [53] });
    assert.deepEqual(initArguments(annotate({ ...ports, ...udp }), { namespace }), ['15191,9090,9091', '53']);
  });

  test('are granted by several allowances together', () => {
    const [first] = allow({ excludePorts: [9090] }).allowances;
    const [second] = allow({ excludePorts: [9091] }).allowances;
    assert.ok(first !== undefined && second !== undefined);
    const namespace = { ...SHOP, allowances: [first, second] };
    assert.deepEqual(initArguments(annotate(ports), { namespace }), ['15191,9090,9091', undefined]);
  });

  test('grant nothing by themselves, and an allowance grants nothing that is not asked for', () => {
    assert.deepEqual(expectRefused(annotate(ports)), [
      'metadata.annotations["sallyport.dev/exclude-ports"]: asks for TCP ports 9090, 9091, which no allowance grants to the namespace shop; remove them, or have a ClusterAuthPolicy say allowances: [{excludePorts: [9090, 9091]}]',
    ]);
    assert.deepEqual(expectRefused(annotate(udp)), [
      'metadata.annotations["sallyport.dev/exclude-udp-ports"]: asks for UDP port 53, which no allowance grants to the namespace shop; remove them, or have a ClusterAuthPolicy say allowances: [{udpPorts: [53]}]',
    ]);
    assert.deepEqual(initArguments(deployment, { namespace: allow({ excludePorts: [9090] }) }), ['15191', undefined]);
  });

  for (const text of ['x', '0', '65536', '9090,', '9090-9099', '-1', '1e3']) {
    test(`are refused when they are no ports: ${text}`, () => {
      const [refusal] = expectRefused(annotate({ 'sallyport.dev/exclude-ports': text }));
      assert.match(
        refusal ?? '',
        /^metadata\.annotations\["sallyport\.dev\/exclude-ports"\]: is ".*"; write at most 64 ports/,
      );
    });
  }

  test('cannot name the sidecar’s own ports', () => {
    const namespace = allow({ excludePorts: [15190] });
    const [refusal] = expectRefused(annotate({ 'sallyport.dev/exclude-ports': '15190' }), { namespace });
    assert.match(refusal ?? '', /names port 15190, which is the sidecar’s own; leave it out/);
  });
});

describe('how traffic is intercepted', () => {
  const explicit = annotate({ 'sallyport.dev/interception': 'explicit' });

  for (const level of ['baseline', 'restricted', 'a-level-of-next-year']) {
    test(`a namespace with the level ${level} demands explicit mode, and says how`, () => {
      const [refusal] = expectRefused(deployment, atLevel(level));
      assert.match(
        refusal ?? '',
        /^metadata\.annotations\["sallyport\.dev\/interception"\]: is missing, but the namespace shop has the Pod Security level \w+, which refuses the init container/,
      );
      assert.match(
        refusal ?? '',
        /write sallyport\.dev\/interception: explicit and let the app listen on 127\.0\.0\.1 only/,
      );
      expectRefused(annotate({ 'sallyport.dev/interception': 'transparent' }), atLevel(level));
    });

    test(`with the level ${level} explicit mode does without the init container`, () => {
      const { pod, mode } = expectPatched(explicit, atLevel(level));
      assert.equal(mode, 'explicit');
      assert.deepEqual(
        pod.spec.initContainers?.map(({ name }) => name),
        ['sallyport', 'migrate'],
      );
      assert.equal(readFlag(findContainer(pod, 'sallyport'), '--interception'), 'explicit');
      assert.deepEqual(expectPatched(pod, atLevel(level)).operations, []);
    });
  }

  test('probes are moved in explicit mode too, since the app listens on loopback', () => {
    const { pod } = expectPatched(explicit, atLevel('restricted'));
    assert.equal(findContainer(pod, 'app').livenessProbe?.httpGet?.port, 15191);
  });

  test('explicit mode is refused where nothing demands it, since it leaves ports open (S9)', () => {
    assert.match(expectRefused(explicit)[0] ?? '', /is explicit, which leaves ports without an Api open/);
    expectPatched(explicit, { configuration: { explicitAnywhere: true } });
  });

  test('the level of namespaces without a label is the installation’s to say', () => {
    const configuration = { defaultPodSecurity: 'restricted' } as const;
    expectRefused(deployment, { configuration });
    expectPatched(explicit, { configuration });
    expectPatched(deployment, { ...atLevel('privileged'), configuration });
  });

  test('another word is refused', () => {
    assert.deepEqual(expectRefused(annotate({ 'sallyport.dev/interception': 'none' })), [
      'metadata.annotations["sallyport.dev/interception"]: is "none"; write transparent or explicit',
    ]);
  });

  test('exclusions have no meaning in explicit mode', () => {
    const pod = annotate({ 'sallyport.dev/interception': 'explicit', 'sallyport.dev/exclude-ports': '9090' });
    assert.match(expectRefused(pod, atLevel('baseline'))[0] ?? '', /has no meaning in explicit mode/);
  });
});
