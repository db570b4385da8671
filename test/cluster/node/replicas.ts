/** Two replicas of the controller, of which the leader is killed while policies change and pods start. */
import assert from 'node:assert/strict';
import { after, before, describe, test, type TestContext } from 'node:test';
import type { Clients } from '../support/installation-clients.ts';
import {
  addressesOf,
  describeBarePod,
  describeOwner,
  isInjected,
  isReady,
  killContainer,
  type PodSeen,
  waitForPods,
} from '../support/installation-pods.ts';
import { describeColor, render, type RequestOptions, type Scene, SHOP } from '../support/installation-scene.ts';
import { installSallyport, SYSTEM } from '../support/installation.ts';
import { type GetInstalled, ZOO } from '../support/installed.ts';
import type { ClusterNode } from '../support/node.ts';

const WEB: RequestOptions = { path: '/v1/devices/robot-7', token: 'web' };
const PODS = `/api/v1/namespaces/${ZOO}/pods`;
const PAUSE_MS = 100;
/** The lease lasts 15 s, and others look every 2 s. */
const LEASE_MS = 17_000;
/** kubectl, the kubelet and a machine that does other things. */
const SLACK_MS = 5000;

export function testReplicas(get: GetInstalled): void {
  describe('two replicas of the controller', () => {
    let node: ClusterNode;
    let clients: Clients;
    let scene: Scene;
    before(async () => {
      ({ node, clients, scene } = get());
      await installSallyport(node, { replicas: 2 });
    });
    after(async () => {
      await node.kubectl(['-n', SHOP, 'delete', 'authpolicy', 'color']);
      await installSallyport(node);
    });

    const readLeader = async (): Promise<string> =>
      (await node.kubectl(['-n', SYSTEM, 'get', 'lease', LEASE, '-o', 'jsonpath={.spec.holderIdentity}'])).stdout;
    /** Its pod. The upgrade ends the replica that led before: until another leads, the lease names a pod that is going or gone. */
    const waitForLeader = (): Promise<PodSeen> =>
      node.waitFor(
        'a leader that stays',
        async () => {
          const name = (await readLeader()).replace(/_[^_]*$/, '');
          const { status, body } = await node.call('GET', `/api/v1/namespaces/${SYSTEM}/pods/${name}`);
          const pod = body as PodSeen;
          return name !== '' && status === 200 && pod.metadata.deletionTimestamp === undefined && isReady(pod) && pod;
        },
        LEASE_MS + SLACK_MS,
      );
    /** `generation 3 on 2/2 pods` of an AuthPolicy of the shop. */
    const readEnforced = async (name: string): Promise<string> => {
      const path = `/apis/sallyport.dev/v1alpha1/namespaces/${SHOP}/authpolicies/${name}`;
      const { body } = await node.call('GET', path);
      const { metadata, status } = body as {
        metadata?: { generation: number };
        status?: { conditions?: readonly { type: string; message: string; observedGeneration: number }[] };
      };
      const enforced = status?.conditions?.find(({ type }) => type === 'Enforced');
      return enforced?.observedGeneration === metadata?.generation ? (enforced?.message ?? '') : '';
    };

    test('the leader is killed: changes take effect, the other leads in time, status is right, pods are injected', async t => {
      const addresses = (await waitForPods(node, SHOP, 'fleet', 2)).map(pod => addressesOf(pod)[0] ?? '');
      const doomed = await waitForLeader();
      const leader = await readLeader();
      const counts = watchCounts(t, () => readEnforced('telemetry'));
      const admission = watchAdmission(t, node);
      const load = await clients.load(scene.request(WEB));
      await killContainer(node, doomed, 'controller');
      const killedAt = Date.now();
      await node.waitFor('a change that is admitted', async () => {
        const { code } = await node.kubectl(['apply', '-f', '-'], render([describeColor('killed')]));
        return code === 0;
      });
      const admittedAt = Date.now();
      const seen = await Promise.all(
        addresses.map(address =>
          clients.observe(scene.request({ ...WEB, address, headers: { 'x-color': 'killed' } }), 403),
        ),
      );
      assert.ok(
        seen.every(each => each.seen),
        'sidecars need no leader',
      );
      await node.apply(render([describeOwner('Deployment', { namespace: ZOO, name: 'newcomer' })]));
      assert.ok((await waitForPods(node, ZOO, 'newcomer')).every(isInjected));
      await node.waitFor('another leader', async () => (await readLeader()) !== leader, LEASE_MS + SLACK_MS);
      const ledAt = Date.now();
      await node.waitFor('Enforced', async () => (await readEnforced('color')).endsWith('on 2/2 pods'), SLACK_MS);
      t.diagnostic(
        `after the kill, ms: a change admitted ${admittedAt - killedAt}, another leader ${ledAt - killedAt}, its status right ${Date.now() - killedAt}`,
      );
      const { answers, failed, failures } = await load.stop();
      assert.equal(failed, 0, JSON.stringify({ answers, failures: failures.slice(0, 5) }));
      assert.deepEqual(
        [...(await counts.stop())].filter(message => !message.endsWith('on 2/2 pods')),
        [],
      );
      const { bare, refused, admitted } = await admission.stop();
      t.diagnostic(
        `pods asked for meanwhile: ${admitted} injected, ${refused.length} refused, at ms ${refused.map(at => at - killedAt).join(' ')}`,
      );
      assert.equal(bare, 0, 'no pod without a sidecar');
      assert.ok(admitted > 20);
      assert.deepEqual(
        refused.filter(at => at - killedAt > SLACK_MS),
        [],
        'a replica answers all the while, once the Service has let go of the dead one',
      );
    });
  });
}

const LEASE = 'sallyport-controller';

/** Everything that status said of it. */
function watchCounts(t: TestContext, read: () => Promise<string>): { stop(): Promise<ReadonlySet<string>> } {
  const seen = new Set<string>();
  const ended = repeat(t, async () => void seen.add(await read()));
  return { stop: () => ended().then(() => seen) };
}

interface Admissions {
  readonly admitted: number;
  /** Without a sidecar. */
  readonly bare: number;
  /** When. */
  readonly refused: readonly number[];
}

/** Asks for pods that are not kept: what would become of them. */
function watchAdmission(t: TestContext, node: ClusterNode): { stop(): Promise<Admissions> } {
  let [admitted, bare] = [0, 0];
  const refused: number[] = [];
  const ended = repeat(t, async () => {
    const { status, body } = await node.call(
      'POST',
      `${PODS}?dryRun=All`,
      describeBarePod({ namespace: ZOO, name: 'dry' }),
    );
    if (status !== 201) refused.push(Date.now());
    else if (isInjected(body as PodSeen)) admitted += 1;
    else bare += 1;
  });
  return { stop: () => ended().then(() => ({ admitted, bare, refused })) };
}

/** Until it is asked for the end, or the test has ended for whatever cause. */
function repeat(t: TestContext, look: () => Promise<void>): () => Promise<void> {
  const stopped = new AbortController();
  const run = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      await look();
      await new Promise(resolve => setTimeout(resolve, PAUSE_MS));
    }
  };
  const running = run();
  t.after(() => {
    stopped.abort();
  });
  return () => {
    stopped.abort();
    return running;
  };
}
