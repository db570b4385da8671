/** HTTP hooks of a container's life: performed once by way of the sidecar, and what fails fails as it does without one. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { describeBarePod, isInjected, isReady, listPods, waitForPods } from '../support/installation-pods.ts';
import { render } from '../support/installation-scene.ts';
import { type GetInstalled, PLAIN, ZOO } from '../support/installed.ts';
import type { ClusterNode } from '../support/node.ts';
import type { Manifest } from '../../support/manifests.ts';

const WITHIN_MS = 60_000;
const SLEEP = ['node', '-e', 'setInterval(() => {}, 1e6); process.on("SIGTERM", () => process.exit())'];
/** The kubelet starts the next container when this has ended. */
const LISTENS = `const look = () => fetch('http://127.0.0.1:8080/healthz').catch(() => setTimeout(look, 20)); look()`;

interface Hooks {
  readonly postStart?: string;
  readonly preStop?: string;
}

/** Two containers: the app, and one whose postStart hook asks the app. */
function describePod(namespace: string, name: string, { postStart, preStop }: Hooks): Manifest {
  const ask = (path: string): object => ({ httpGet: { path, port: 8080 } });
  const pod = describeBarePod({
    ...{ namespace, name },
    container: {
      lifecycle: {
        postStart: { exec: { command: ['node', '-e', LISTENS] } },
        ...(preStop === undefined ? {} : { preStop: ask(preStop) }),
      },
    },
  });
  const { containers } = pod['spec'] as { containers: readonly object[] };
  const second = {
    ...{ name: 'second', image: 'localhost/app:test', imagePullPolicy: 'Never', command: SLEEP },
    ...(postStart === undefined
      ? {}
      : { lifecycle: { postStart: ask(postStart), preStop: { sleep: { seconds: 0 } } } }),
  };
  const spec = { ...(pod['spec'] as object), terminationGracePeriodSeconds: 5, containers: [...containers, second] };
  return { ...pod, spec };
}

export function testHooks(get: GetInstalled): void {
  describe('hooks of containers', { concurrency: 1 }, () => {
    let node: ClusterNode;
    before(() => {
      ({ node } = get());
    });

    const remove = (namespace: string, name: string): Promise<unknown> =>
      node.kubectl(['-n', namespace, 'delete', 'pod', name]);

    const awaitEvent = (namespace: string, name: string, reason: string): Promise<unknown> =>
      node.waitFor(
        `${reason} of ${namespace}/${name}`,
        async () => {
          const about = `involvedObject.name=${name},reason=${reason}`;
          const { stdout } = await node.kubectl([
            '-n',
            namespace,
            'get',
            'events',
            '--field-selector',
            about,
            '-o',
            'name',
          ]);
          return stdout.trim() !== '';
        },
        WITHIN_MS,
      );

    test('postStart and preStop by HTTP reach the app once each, from its sidecar', async () => {
      const name = 'hooked';
      await node.apply(render([describePod(ZOO, name, { postStart: '/hello', preStop: '/bye' })]));
      const [pod] = await waitForPods(node, ZOO, name);
      assert.ok(pod !== undefined && isInjected(pod));
      const following = node.kubectl(['-n', ZOO, 'logs', '-f', name, '-c', 'app']);
      await remove(ZOO, name);
      const { stdout } = await following;
      const lines = stdout.split('\n');
      const count = (path: string): number => lines.filter(line => line.includes(`"url":"${path}"`)).length;
      assert.deepEqual([count('/hello'), count('/bye')], [1, 1]);
      assert.ok(lines.findIndex(line => line.includes('SIGTERM')) > lines.findIndex(line => line.includes('/bye')));
    });

    test('a postStart hook that the app answers with 500 is no failure to the kubelet, with a sidecar or without', async () => {
      const name = 'answers-500';
      for (const namespace of [ZOO, PLAIN]) {
        await node.apply(render([describePod(namespace, name, { postStart: '/status/500' })]));
      }
      for (const namespace of [ZOO, PLAIN]) {
        await waitForPods(node, namespace, name);
        await remove(namespace, name);
      }
    });

    test('a postStart hook that gets no answer: its container is ended and tried again, as without a sidecar', async () => {
      const [name, path] = ['hangs-up', '/hang-up'];
      for (const namespace of [ZOO, PLAIN]) {
        await node.apply(render([describePod(namespace, name, { postStart: path })]));
      }
      for (const namespace of [ZOO, PLAIN]) {
        await awaitEvent(namespace, name, 'FailedPostStartHook');
        const tried = await node.waitFor(
          'another try',
          async () => {
            const [pod] = await listPods(node, namespace, name);
            const second = pod?.status.containerStatuses?.find(status => status.name === 'second');
            return pod !== undefined && (second?.restartCount ?? 0) > 0 && pod;
          },
          WITHIN_MS,
        );
        assert.equal(isReady(tried), false, namespace);
        await remove(namespace, name);
      }
    });

    test('a preStop hook that fails: an Event says so and the pod ends, as without a sidecar', async () => {
      const name = 'bad-end';
      for (const namespace of [ZOO, PLAIN]) {
        await node.apply(render([describePod(namespace, name, { preStop: '/hang-up' })]));
      }
      for (const namespace of [ZOO, PLAIN]) {
        await waitForPods(node, namespace, name);
        await remove(namespace, name);
        await awaitEvent(namespace, name, 'FailedPreStopHook');
      }
    });
  });
}
