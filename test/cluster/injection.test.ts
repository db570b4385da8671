import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import type { Container, Pod, PodSpec } from '../../src/injector/pod.ts';
import { createNodeWatch } from '../../src/injector/old-nodes.ts';
import { KubeError } from '../../src/kube/kube-error.ts';
import { SILENT } from '../../src/telemetry/telemetry.ts';
import { runInMemory } from '../support/run-in-memory.ts';
import { describeWebhook, openWebhook } from './support/foreign-webhook.ts';
import { openInjection, SYSTEM, type Injection } from './support/injection.ts';
import { skipWithout } from './support/requirements.ts';

const LABEL = 'sallyport.dev/inject';
const ENFORCE = 'pod-security.kubernetes.io/enforce';
const app = (name = 'app', more: Partial<Container> & Readonly<Record<string, unknown>> = {}): Container => ({
  name,
  image: 'localhost/none:1',
  ...more,
});
const specOf = (...containers: Container[]): PodSpec => ({
  containers: containers.length === 0 ? [app()] : containers,
});
const podOf = (
  name: string,
  spec: Partial<PodSpec> & { readonly schedulerName?: string } = {},
  metadata: object = {},
) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, ...metadata },
  spec: { ...specOf(), ...spec },
});

interface Stored extends Pod {
  readonly metadata: NonNullable<Pod['metadata']> & { readonly name: string; readonly uid: string };
  readonly status: { readonly phase: string };
}

describe('injection in a real control plane', { skip: skipWithout('control-plane') }, () => {
  let injection: Injection;
  const path = (namespace: string, name = '', sub = ''): string =>
    `/api/v1/namespaces/${namespace}/pods${name === '' ? '' : `/${name}`}${sub === '' ? '' : `/${sub}`}`;
  const make = (namespace: string, pod: object): Promise<Stored> =>
    injection.client.request<Stored>('POST', path(namespace), { body: pod });
  /** What the API server says when it refuses. */
  async function expectRefusal(attempt: () => Promise<unknown>): Promise<string> {
    try {
      await attempt();
    } catch (error) {
      if (error instanceof KubeError && error.status !== 0) return error.message;
      throw error;
    }
    return assert.fail('it was let in');
  }
  const patchPod = (namespace: string, name: string, patch: object, sub = ''): Promise<Stored> =>
    injection.client.request<Stored>('PATCH', path(namespace, name, sub), {
      body: patch,
      contentType: 'application/strategic-merge-patch+json',
    });
  const editPod = (namespace: string, name: string, operations: readonly object[], sub = ''): Promise<Stored> =>
    injection.client.request<Stored>('PATCH', path(namespace, name, sub), {
      body: operations,
      contentType: 'application/json-patch+json',
    });

  before(async () => {
    injection = await openInjection();
    await injection.createNamespace('shop', { [LABEL]: 'enabled' });
    await injection.createNamespace('plain');
    await injection.createNamespace('baseline', { [LABEL]: 'enabled', [ENFORCE]: 'baseline' });
    await injection.createNamespace('restricted', { [LABEL]: 'enabled', [ENFORCE]: 'restricted' });
    // Without the webhook, the policy alone: it takes a moment until the API server has compiled it.
    await injection.cluster.waitFor('the admission policies', async () => {
      const answer = await injection.cluster.call('POST', `${path('shop')}?dryRun=All`, podOf('early'));
      return answer.status !== 201;
    });
    await injection.setWebhooks(true);
    await injection.cluster.waitFor('the webhooks', async () => {
      const answer = await injection.cluster.call('POST', `${path('shop')}?dryRun=All`, podOf('early'));
      return answer.status === 201;
    });
  });
  after(() => injection.close());

  describe('pods', () => {
    const owners: Readonly<Record<string, object>> = {
      Deployment: { replicas: 1 },
      StatefulSet: { serviceName: 'x' },
      DaemonSet: {},
    };
    before(() =>
      injection.cluster.apply(JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-1' } })),
    );

    const findPod = (selector: string): Promise<Stored> =>
      injection.cluster.waitFor(`a pod with ${selector}`, async () => {
        const query = { labelSelector: selector };
        const { items } = await injection.client.request<{ items: Stored[] }>('GET', path('shop'), { query });
        return items[0];
      });
    const expectInjected = ({ spec, metadata }: Pod): void => {
      assert.deepEqual(spec.initContainers?.map(({ name }) => name).slice(0, 2), ['sallyport-init', 'sallyport']);
      assert.equal(spec.initContainers[1]?.restartPolicy, 'Always');
      assert.equal(metadata?.labels?.[LABEL], 'enabled');
    };

    for (const [kind, more] of Object.entries(owners)) {
      test(`of a ${kind} are injected`, async () => {
        const labels = { app: kind.toLowerCase() };
        const template = {
          metadata: { labels },
          spec: specOf(app('app', { ports: [{ name: 'http', containerPort: 8080 }] })),
        };
        const spec = { selector: { matchLabels: labels }, template, ...more };
        const owner = { apiVersion: 'apps/v1', kind, metadata: { name: kind.toLowerCase(), namespace: 'shop' }, spec };
        await injection.cluster.apply(JSON.stringify(owner));
        expectInjected(await findPod(`app=${kind.toLowerCase()}`));
      });
    }

    test('of a Job are injected', async () => {
      const spec = {
        template: { metadata: { labels: { app: 'job' } }, spec: { ...specOf(), restartPolicy: 'Never' } },
      };
      const job = { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'job', namespace: 'shop' }, spec };
      await injection.cluster.apply(JSON.stringify(job));
      expectInjected(await findPod('app=job'));
    });

    test('without an owner are injected, also where they alone carry the label', async () => {
      expectInjected(await make('shop', podOf('bare')));
      expectInjected(await make('plain', podOf('labelled', {}, { labels: { [LABEL]: 'enabled' } })));
    });

    test('elsewhere are left alone', async () => {
      assert.equal((await make('plain', podOf('alone'))).spec.initContainers, undefined);
      assert.equal(
        (await make('kube-system', podOf('system', {}, { labels: { [LABEL]: 'enabled' } }))).spec.initContainers,
        undefined,
      );
      assert.equal(
        (await make(SYSTEM, podOf('own', {}, { labels: { [LABEL]: 'enabled' } }))).spec.initContainers,
        undefined,
      );
    });

    test('are not changed again when the server asks a second time', async () => {
      const stored = await make('shop', podOf('again'));
      const { metadata, spec } = stored;
      const copy = await make('shop', { ...podOf('twin'), metadata: { name: 'twin', labels: metadata.labels }, spec });
      assert.deepEqual(copy.spec.initContainers, stored.spec.initContainers);
    });

    test('into which another webhook puts a container of its own come back, and ours go first again', async () => {
      const inserted = app('inserted', { restartPolicy: 'Always', livenessProbe: { tcpSocket: { port: 9000 } } });
      const other = await openWebhook(pod =>
        pod.spec.initContainers?.some(({ name }) => name === 'inserted') === true
          ? []
          : [{ op: 'add', path: '/spec/initContainers/0', value: inserted }],
      );
      try {
        await injection.cluster.apply(JSON.stringify(describeWebhook('zz-other', other)));
        const pod = podOf('shared', specOf(app('app', { livenessProbe: { tcpSocket: { port: 8080 } } })));
        const stored = await injection.cluster.waitFor('the other webhook', async () => {
          const { status, body } = await injection.cluster.call('POST', path('shop'), pod);
          assert.equal(status, 201, JSON.stringify(body));
          const { spec } = body as Stored;
          if (spec.initContainers?.some(({ name }) => name === 'inserted') === true) return body as Stored;
          await injection.cluster.call('DELETE', `${path('shop', 'shared')}?gracePeriodSeconds=0`);
          return undefined;
        });
        const { initContainers = [], containers } = stored.spec;
        assert.deepEqual(
          initContainers.map(({ name }) => name),
          ['sallyport-init', 'sallyport', 'inserted'],
        );
        assert.equal(initContainers[2]?.livenessProbe?.httpGet?.port, 15191);
        assert.equal(containers[0]?.livenessProbe?.httpGet?.port, 15191);
        const [first, second] = injection.answers.slice(-2);
        assert.match(JSON.stringify(first), /"op":"add","path":"\/spec\/initContainers\/1"/);
        // What the server has defaulted in our containers is no reason to write them anew, and tokens of probes stay.
        assert.deepEqual(
          second?.map(({ op, path: at }) => `${op} ${at}`),
          [
            'remove /spec/initContainers/0/livenessProbe/tcpSocket',
            'add /spec/initContainers/0/livenessProbe/httpGet',
            'remove /spec/initContainers/1',
            'add /spec/initContainers/0',
            'remove /spec/initContainers/2',
            'add /spec/initContainers/1',
          ],
        );
      } finally {
        await injection.cluster.kubectl(['delete', 'mutatingwebhookconfiguration', 'zz-other']);
        other.close();
      }
    });

    test('are refused with sentences', async () => {
      const refusal = await expectRefusal(() => make('shop', podOf('host', { hostNetwork: true })));
      assert.match(
        refusal,
        /^admission webhook "by-namespace\.inject\.sallyport\.dev" denied the request: spec\.hostNetwork: is true/,
      );
    });

    test('in a namespace at level baseline need explicit mode, which then passes Pod Security', async () => {
      const refusal = await expectRefusal(() => make('baseline', podOf('none')));
      assert.match(refusal, /write sallyport\.dev\/interception: explicit/);
      const annotations = { 'sallyport.dev/interception': 'explicit' };
      const { spec } = await make('baseline', podOf('explicit', {}, { annotations }));
      assert.deepEqual(
        spec.initContainers?.map(({ name }) => name),
        ['sallyport'],
      );
    });

    test('in explicit mode pass the level restricted with an app that does', async () => {
      const annotations = { 'sallyport.dev/interception': 'explicit' };
      const securityContext = {
        runAsNonRoot: true,
        runAsUser: 1000,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
        seccompProfile: { type: 'RuntimeDefault' },
      };
      await make('restricted', podOf('explicit', specOf(app('app', { securityContext })), { annotations }));
    });

    test('with a value of the label that does not exist are refused, and so are such namespaces', async () => {
      assert.match(
        await expectRefusal(() => make('plain', podOf('wrong', {}, { labels: { [LABEL]: 'true' } }))),
        /is "true"; write enabled, its only value/,
      );
      const { status, body } = await injection.cluster.call('POST', '/api/v1/namespaces', {
        metadata: { name: 'wrong', labels: { [LABEL]: 'yes' } },
      });
      assert.equal(status, 422);
      assert.match(JSON.stringify(body), /has the one value enabled/);
    });

    test('are printed by `sallyport inject --cluster` as the webhook makes them', async () => {
      const argv = ['inject', '-f', '-', '--cluster', '--kubeconfig', injection.cluster.kubeconfig];
      const pod = podOf('printed', {}, { namespace: 'shop' });
      const { code, stdout, stderr } = await runInMemory(argv, { stdin: () => Promise.resolve(JSON.stringify(pod)) });
      assert.deepEqual([code, stderr], [0, '']);
      const { spec } = await make('shop', podOf('made'));
      const printed = parse(stdout) as Pod;
      const args = (one: Pod | Stored): unknown => one.spec.initContainers?.map(container => container.args);
      assert.deepEqual(args(printed), args({ spec }));
      const elsewhere = await runInMemory([...argv, '--controller-namespace', 'shop'], {
        stdin: () => Promise.resolve(''),
      });
      assert.equal(elsewhere.code, 69);
      assert.match(elsewhere.stderr, /the ConfigMap shop\/sallyport-admission of the controller is not there/);
    });

    test('are kept from nodes with an old kubelet, which the controller watches', async () => {
      const { client, cluster } = injection;
      const watch = createNodeWatch({ client, log: SILENT.log, clock: Date.now, random: Math.random });
      watch.start();
      await watch.synced;
      assert.deepEqual(watch.old(), []);
      await client.request('PATCH', '/api/v1/nodes/node-1/status', {
        body: { status: { nodeInfo: { kubeletVersion: 'v1.28.4', operatingSystem: 'linux' } } },
        contentType: 'application/strategic-merge-patch+json',
      });
      const [old] = await cluster.waitFor('the old node', () => Promise.resolve(watch.old().length > 0 && watch.old()));
      assert.deepEqual([old?.name, old?.kubelet], ['node-1', 'v1.28.4']);
      await watch.stop();
    });

    test('with an exclusion are let in when an allowance grants it (S9)', async () => {
      const annotations = { 'sallyport.dev/exclude-ports': '9090', 'sallyport.dev/exclude-udp-ports': '53' };
      const pod = podOf('excluded', {}, { annotations });
      await injection.createNamespace('media', { [LABEL]: 'enabled' });
      assert.match(await expectRefusal(() => make('media', pod)), /which no allowance grants to the namespace media/);
      await injection.allow('media', { excludePorts: [9090], udpPorts: [53] });
      const stored = await injection.cluster.waitFor('the allowance', async () => {
        const { status, body } = await injection.cluster.call('POST', path('media'), pod);
        return status === 201 && (body as Stored);
      });
      assert.deepEqual(stored.spec.initContainers?.[0]?.args?.slice(-3), ['15191,9090', '--udp-ports', '53']);
    });
  });

  describe('a pod that lives keeps its protection', () => {
    before(() => make('shop', podOf('live', {}, { labels: { tier: 'a' }, finalizers: ['example.com/mine'] })));

    const attacks: Readonly<Record<string, readonly [() => Promise<unknown>, RegExp]>> = {
      'its sidecar’s image cannot be swapped': [
        () => patchPod('shop', 'live', { spec: { initContainers: [{ name: 'sallyport', image: 'evil:1' }] } }),
        /the containers sallyport-init and sallyport cannot be changed/,
      ],
      'its init container’s image cannot be swapped': [
        () => patchPod('shop', 'live', { spec: { initContainers: [{ name: 'sallyport-init', image: 'evil:1' }] } }),
        /cannot be changed in a pod that runs/,
      ],
      'its label cannot be removed': [
        () => patchPod('shop', 'live', { metadata: { labels: { [LABEL]: null } } }),
        /the label sallyport\.dev\/inject cannot be changed/,
      ],
      'its label cannot be removed by its status': [
        () => patchPod('shop', 'live', { metadata: { labels: { [LABEL]: null } } }, 'status'),
        /the label sallyport\.dev\/inject cannot be changed/,
      ],
      'its label cannot be given another value': [
        () => patchPod('shop', 'live', { metadata: { labels: { [LABEL]: 'no' } } }),
        /the label sallyport\.dev\/inject cannot be changed/,
      ],
      'its sidecar cannot be starved by a resize': [
        () =>
          patchPod(
            'shop',
            'live',
            {
              spec: {
                initContainers: [{ name: 'sallyport', resources: { limits: { cpu: '1m' }, requests: { cpu: '1m' } } }],
              },
            },
            'resize',
          ),
        /cannot be changed in a pod that runs/,
      ],
      'no ephemeral container can mount the sidecar’s tokens': [
        () => debug({ volumeMounts: [{ name: 'sallyport-tokens', mountPath: '/t' }] }),
        /mounts a volume that belongs to the sidecar alone/,
      ],
      'no ephemeral container can be privileged': [
        () => debug({ securityContext: { privileged: true } }),
        /a container is privileged/,
      ],
      'no ephemeral container can add NET_ADMIN': [
        () => debug({ securityContext: { capabilities: { add: ['NET_ADMIN'] } } }),
        /adds one of the capabilities/,
      ],
      'no ephemeral container can trace': [
        () => debug({ securityContext: { capabilities: { add: ['SYS_PTRACE'] } } }),
        /kubectl debug: --profile=baseline/,
      ],
      'no ephemeral container can run as the sidecar’s user': [
        () => debug({ securityContext: { runAsUser: 15190 } }),
        /runs as user 15190/,
      ],
      'no ephemeral container can join the sidecar’s processes': [
        () => debug({ targetContainerName: 'sallyport' }),
        /would share the processes of the sidecar/,
      ],
    };
    let count = 0;
    const debug = (more: object): Promise<unknown> => {
      count += 1;
      return patchPod(
        'shop',
        'live',
        { spec: { ephemeralContainers: [{ ...app(`debug-${count}`), ...more }] } },
        'ephemeralcontainers',
      );
    };
    for (const [sentence, [attempt, message]] of Object.entries(attacks)) {
      test(sentence, async () => assert.match(await expectRefusal(attempt), message));
    }

    const legitimate: Readonly<Record<string, () => Promise<unknown>>> = {
      'its status': () => patchPod('shop', 'live', { status: { message: 'fine', phase: 'Running' } }, 'status'),
      'labels and annotations of others': () =>
        patchPod('shop', 'live', { metadata: { labels: { tier: 'b', new: '1' }, annotations: { note: 'x' } } }),
      'its app’s image': () =>
        patchPod('shop', 'live', { spec: { containers: [{ name: 'app', image: 'localhost/none:2' }] } }),
      'an ephemeral container for its app': () => debug({ targetContainerName: 'app' }),
      'a resize of its app': () =>
        editPod('shop', 'live', [{ op: 'add', path: '/spec/containers/0/resources', value: {} }], 'resize'),
      'the binding of the scheduler': async () => {
        await make('shop', podOf('unbound', { schedulerName: 'none' }));
        const binding = {
          apiVersion: 'v1',
          kind: 'Binding',
          metadata: { name: 'unbound' },
          target: { kind: 'Node', name: 'node-1' },
        };
        await injection.client.request('POST', path('shop', 'unbound', 'binding'), { body: binding });
      },
      'its finalizers': () => editPod('shop', 'live', [{ op: 'remove', path: '/metadata/finalizers' }]),
      'its deletion': () =>
        injection.client.request('DELETE', path('shop', 'live'), { query: { gracePeriodSeconds: '0' } }),
    };
    for (const [what, attempt] of Object.entries(legitimate)) {
      test(`but ${what} may come`, async () => {
        await attempt();
      });
    }

    test('a pod without a sidecar, older than the label of its namespace, may change as ever', async () => {
      await injection.createNamespace('late');
      await make('late', podOf('old'));
      const labels = { metadata: { labels: { [LABEL]: 'enabled' } } };
      await injection.client.request('PATCH', '/api/v1/namespaces/late', {
        body: labels,
        contentType: 'application/merge-patch+json',
      });
      await patchPod('late', 'old', { metadata: { labels: { a: 'b' } } });
      await patchPod('late', 'old', { status: { message: 'fine' } }, 'status');
      const privileged = { ...app('debug'), securityContext: { privileged: true } };
      await patchPod('late', 'old', { spec: { ephemeralContainers: [privileged] } }, 'ephemeralcontainers');
      assert.match(
        await expectRefusal(() => patchPod('late', 'old', labels)),
        /the label sallyport\.dev\/inject cannot be changed on a pod that runs/,
      );
    });
  });

  describe('without the webhook the admission policy alone', () => {
    let good: Stored;
    before(async () => {
      good = await make(
        'shop',
        podOf('model', { containers: [app('app', { ports: [{ name: 'http', containerPort: 80 }] })] }),
      );
      await injection.setWebhooks(false);
      await injection.cluster.waitFor('the webhooks to go', async () => {
        const answer = await injection.cluster.call('POST', `${path('shop')}?dryRun=All`, podOf('late'));
        return /ValidatingAdmissionPolicy/.test(JSON.stringify(answer.body));
      });
    });
    after(() => injection.setWebhooks(true));

    const copy = (change: (spec: PodSpec) => Partial<PodSpec> = () => ({}), metadata: object = {}) => ({
      ...podOf('attack'),
      metadata: { name: 'attack', labels: good.metadata.labels, ...metadata },
      spec: { ...good.spec, ...change(good.spec) },
    });
    const replace = (index: number, change: (one: Container) => object) => (spec: PodSpec) => ({
      initContainers: spec.initContainers?.map((one, at) => (at === index ? { ...one, ...change(one) } : one)) ?? [],
    });
    const replaceArgument = (index: number, from: string, to: string) =>
      replace(index, ({ args = [] }) => ({ args: args.map((text, at) => (args[at - 1] === from ? to : text)) }));
    const replaceApp = (change: object) => (spec: PodSpec) => ({
      containers: spec.containers.map(one => ({ ...one, ...change })),
    });
    const addVolume = (name: string, source: object) => (spec: PodSpec) => ({
      volumes: (spec.volumes ?? []).map(one => (one.name === name ? { name, ...source } : one)),
    });

    test('lets in what the webhook has made', async () => {
      const { status } = await injection.cluster.call('POST', `${path('shop')}?dryRun=All`, copy());
      assert.equal(status, 201);
    });

    test('lets in a sidecar whose image somebody has pinned by digest, and resources that others have added', async () => {
      const pinned = (spec: PodSpec): Partial<PodSpec> => ({
        initContainers:
          spec.initContainers?.map(one => ({
            ...one,
            image: `${one.image ?? ''}@sha256:${'0'.repeat(64)}`,
            resources: { ...one.resources, limits: { ...one.resources?.limits, 'ephemeral-storage': '1Gi' } },
          })) ?? [],
      });
      const { status, body } = await injection.cluster.call('POST', `${path('shop')}?dryRun=All`, copy(pinned));
      assert.equal(status, 201, JSON.stringify(body));
    });

    const sidecar = /no unaltered sidecar/;
    const init = /not an unaltered sallyport-init/;
    const refused: Readonly<Record<string, readonly [() => object, RegExp]>> = {
      'a pod without anything': [() => podOf('attack'), /does not carry the label|no unaltered sidecar/],
      'a pod without the sidecar': [
        () => copy(({ initContainers = [] }) => ({ initContainers: initContainers.slice(0, 1) })),
        sidecar,
      ],
      'a pod without the init container': [
        () => copy(({ initContainers = [] }) => ({ initContainers: initContainers.slice(1) })),
        init,
      ],
      'a pod without the label': [() => copy(undefined, { labels: {} }), /does not carry the label/],
      'another container before ours': [
        () => copy(({ initContainers = [] }) => ({ initContainers: [app('first'), ...initContainers] })),
        init,
      ],
      'another image of the sidecar': [() => copy(replace(1, () => ({ image: 'evil:1' }))), sidecar],
      'an image that only begins like ours': [
        () => copy(replace(1, ({ image = '' }) => ({ image: `${image}-evil` }))),
        sidecar,
      ],
      'another image of the init container': [() => copy(replace(0, () => ({ image: 'evil:1' }))), init],
      'another command': [() => copy(replace(1, () => ({ command: ['sh'] }))), sidecar],
      'an init container with another command': [() => copy(replace(0, () => ({ args: ['version'] }))), init],
      'a sidecar that ends': [
        () =>
          copy(
            replace(1, () => ({
              restartPolicy: undefined,
              startupProbe: undefined,
              readinessProbe: undefined,
              lifecycle: undefined,
            })),
          ),
        sidecar,
      ],
      'a sidecar with another source': [() => copy(replaceArgument(1, '--source', 'files')), sidecar],
      'a sidecar with another controller': [
        () => copy(replaceArgument(1, '--controller', 'https://sallyport-controller.evil.svc:15194')),
        sidecar,
      ],
      'a sidecar that trusts another controller': [
        () => copy(replaceArgument(1, '--controller-ca', 'ZXZpbA==')),
        sidecar,
      ],
      'a sidecar that trusts another API server': [
        () => copy(replaceArgument(1, '--kubernetes-ca', 'ZXZpbA==')),
        sidecar,
      ],
      'a sidecar with a flag of its own': [
        () => copy(replace(1, ({ args = [] }) => ({ args: [...args, '--app', '10.0.0.1:80'] }))),
        sidecar,
      ],
      'a sidecar with a flag in one word': [
        () => copy(replace(1, ({ args = [] }) => ({ args: [...args, '--app=10.0.0.1:80'] }))),
        sidecar,
      ],
      'a sidecar with a variable of its own': [
        () =>
          copy(replace(1, ({ env = [] }) => ({ env: [...env, { name: 'SALLYPORT_RESOLVE', value: 'a=1.2.3.4' }] }))),
        sidecar,
      ],
      'a sidecar with variables from elsewhere': [
        () => copy(replace(1, () => ({ envFrom: [{ configMapRef: { name: 'x' } }] }))),
        sidecar,
      ],
      'a sidecar that believes to be another pod': [
        () =>
          copy(
            replace(1, ({ env = [] }) => ({
              env: env.map((one, at) => (at === 0 ? { name: one.name, value: 'other' } : one)),
            })),
          ),
        sidecar,
      ],
      'a sidecar with a command of its own as a probe': [
        () => copy(replace(1, () => ({ livenessProbe: { exec: { command: ['node', '-e', '1'] } } }))),
        sidecar,
      ],
      'a sidecar with a hook of its own': [
        () =>
          copy(
            replace(1, ({ lifecycle }) => ({ lifecycle: { ...lifecycle, postStart: { exec: { command: ['x'] } } } })),
          ),
        sidecar,
      ],
      'a sidecar over whose program something is mounted': [
        () =>
          copy(
            replace(1, ({ volumeMounts = [] }) => ({
              volumeMounts: [...volumeMounts, { name: 'sallyport-run', mountPath: '/usr/local/bin' }],
            })),
          ),
        sidecar,
      ],
      'a sidecar as root': [
        () =>
          copy(
            replace(1, ({ securityContext }) => ({
              securityContext: { ...securityContext, runAsUser: 0, runAsNonRoot: false },
            })),
          ),
        sidecar,
      ],
      'an init container without NET_ADMIN': [
        () =>
          copy(
            replace(0, ({ securityContext }) => ({
              securityContext: { ...securityContext, capabilities: { drop: ['ALL'] } },
            })),
          ),
        init,
      ],
      'an exclusion that no allowance grants': [() => copy(replaceArgument(0, '--exclude-ports', '15191,8080')), init],
      'open UDP ports that no allowance grants': [
        () => copy(replace(0, ({ args = [] }) => ({ args: [...args, '--udp-ports', '443'] }))),
        init,
      ],
      'explicit mode where nothing demands it': [
        () => copy(undefined, { annotations: { 'sallyport.dev/interception': 'explicit' } }),
        /which leaves ports without an Api open/,
      ],
      'state that comes from elsewhere': [
        () => copy(addVolume('sallyport-run', { hostPath: { path: '/tmp' } })),
        /volumes of the sidecar are missing or altered/,
      ],
      'tokens that come from elsewhere': [
        () => copy(addVolume('sallyport-tokens', { secret: { secretName: 'stolen' } })),
        /volumes of the sidecar are missing or altered/,
      ],
      'the sidecar’s tokens in another container': [
        () => copy(replaceApp({ volumeMounts: [{ name: 'sallyport-tokens', mountPath: '/t' }] })),
        /mounts a volume that belongs to the sidecar alone/,
      ],
      'a token of the controller’s audience in another volume': [
        () =>
          copy(({ volumes = [] }) => ({
            volumes: [
              ...volumes,
              {
                name: 'mine',
                projected: { sources: [{ serviceAccountToken: { audience: 'sallyport.dev/controller', path: 't' } }] },
              },
            ],
          })),
        /holds a token with the audience/,
      ],
      'a privileged app': [
        () => copy(replaceApp({ securityContext: { privileged: true } })),
        /a container is privileged/,
      ],
      'an app with NET_RAW': [
        () => copy(replaceApp({ securityContext: { capabilities: { add: ['NET_RAW'] } } })),
        /adds one of the capabilities/,
      ],
      'an app with every capability': [
        () => copy(replaceApp({ securityContext: { capabilities: { add: ['ALL'] } } })),
        /adds one of the capabilities/,
      ],
      'an app as the sidecar’s user': [
        () => copy(replaceApp({ securityContext: { runAsUser: 15190 } })),
        /runs as user 15190/,
      ],
      'an app as the sidecar’s user by the pod’s own setting': [
        () => copy(() => ({ securityContext: { runAsUser: 15190 } })),
        /runs as user 15190/,
      ],
      'the node’s processes': [() => copy(() => ({ hostPID: true })), /spec\.hostPID or spec\.shareProcessNamespace/],
      'shared processes': [() => copy(() => ({ shareProcessNamespace: true })), /can reach the memory and files/],
      'the node’s network': [
        () =>
          copy(({ containers, initContainers = [] }) => ({
            hostNetwork: true,
            containers: containers.map(unbind),
            initContainers: initContainers.map(unbind),
          })),
        /shares the node’s network/,
      ],
    };
    const unbind = (one: Container): Container => ({ ...one, ports: [] });
    for (const [what, [pod, message]] of Object.entries(refused)) {
      test(`refuses ${what}`, async () => assert.match(await expectRefusal(() => make('shop', pod())), message));
    }

    test('refuses a labelled pod in a namespace without the label', async () => {
      const refusal = await expectRefusal(() => make('plain', podOf('attack', {}, { labels: { [LABEL]: 'enabled' } })));
      assert.match(refusal, init);
    });

    test('lets in what an allowance lets in (S9)', async () => {
      await injection.createNamespace('trusted', { [LABEL]: 'enabled' });
      await injection.allow('trusted', { privilegedContainers: true, excludePorts: [8080] });
      const privileged = copy(replaceApp({ securityContext: { privileged: true } }));
      const excluding = copy(replaceArgument(0, '--exclude-ports', '15191,8080'));
      for (const pod of [privileged, excluding]) {
        await injection.cluster.waitFor('the allowance', async () => {
          return (await injection.cluster.call('POST', `${path('trusted')}?dryRun=All`, pod)).status === 201;
        });
      }
      assert.match(await expectRefusal(() => make('shop', privileged)), /a container is privileged/);
    });

    test('lets nothing in when nobody says what to compare with', async () => {
      const parameters = `/api/v1/namespaces/${SYSTEM}/configmaps/sallyport-admission`;
      const { body } = await injection.cluster.call('GET', parameters);
      await injection.cluster.call('DELETE', parameters);
      await injection.cluster.waitFor('nothing to be let in', async () => {
        return (await injection.cluster.call('POST', `${path('shop')}?dryRun=All`, copy())).status !== 201;
      });
      // What runs goes on, whatever is missing.
      await patchPod('shop', 'model', { status: { message: 'fine' } }, 'status');
      const { data } = body as { data: object };
      const restored = { metadata: { name: 'sallyport-admission' }, data };
      await injection.cluster.call('POST', `/api/v1/namespaces/${SYSTEM}/configmaps`, restored);
    });
  });
});
