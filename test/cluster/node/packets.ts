/** What is neither TCP nor ICMP does not come into a protected pod: seen by raw sockets in it, and in the kernel's rules. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import type { ChildProcess } from 'node:child_process';
import { addressesOf, describeBarePod, findProcess, type PodSeen, waitForPods } from '../support/installation-pods.ts';
import { render } from '../support/installation-scene.ts';
import { type GetInstalled, PLAIN, ZOO } from '../support/installed.ts';
import type { ClusterNode } from '../support/node.ts';

const PROGRAM = join(import.meta.dirname, '..', 'support', 'raw-datagram.ts');
const NAME = 'packets';
/** IANA's numbers. */
const DROPPED = { UDP: 17, DCCP: 33, GRE: 47, SCTP: 132, 'UDP-Lite': 136 } as const;
const ICMP = 1;
const ICMPV6 = 58;
const ALL: readonly number[] = [...Object.values(DROPPED), ICMP, ICMPV6];

interface Receiver {
  readonly addresses: readonly string[];
  readonly child: ChildProcess;
  /** `132 4`: a packet of protocol 132 by IPv4. */
  readonly got: Set<string>;
}

export function testPackets(get: GetInstalled): void {
  describe('packets to a protected pod', { concurrency: 1 }, () => {
    let node: ClusterNode;
    const receivers = new Map<string, Receiver>();
    before(async () => {
      ({ node } = get());
      const env = { UDP_PORT: '5353' };
      const namespaces = [ZOO, PLAIN];
      await node.apply(render(namespaces.map(namespace => describeBarePod({ namespace, name: NAME, env }))));
      for (const namespace of namespaces) {
        const [pod] = await waitForPods(node, namespace, NAME);
        assert.ok(pod !== undefined);
        receivers.set(namespace, await openReceiver(node, pod));
      }
    });
    after(() => receivers.forEach(({ child }) => child.stdin?.end()));

    const send = async (protocol: number, addresses: readonly string[]): Promise<void> => {
      const { code, stderr } = await node.execInNetns([
        process.execPath,
        PROGRAM,
        'send',
        String(protocol),
        ...addresses,
      ]);
      assert.equal(code, 0, stderr);
    };
    const of = (namespace: string): Receiver => receivers.get(namespace) ?? assert.fail();

    for (const [name, protocol] of Object.entries(DROPPED)) {
      test(`${name} (${protocol}) is dropped, by IPv4 and IPv6, and comes to a pod without a sidecar`, async () => {
        const [shut, open] = [of(ZOO), of(PLAIN)];
        await send(protocol, [...shut.addresses, ...open.addresses]);
        await node.waitFor('the packets at the plain pod', () =>
          Promise.resolve([4, 6].every(family => open.got.has(`${protocol} ${family}`))),
        );
        // Sent after it, on the same way: whoever passes has come by then.
        await send(
          ICMP,
          shut.addresses.filter(address => !address.includes(':')),
        );
        await send(
          ICMPV6,
          shut.addresses.filter(address => address.includes(':')),
        );
        await node.waitFor('ICMP', () => Promise.resolve(shut.got.has(`${ICMP} 4`) && shut.got.has(`${ICMPV6} 6`)));
        assert.deepEqual(
          [...shut.got].filter(each => each.startsWith(`${protocol} `)),
          [],
        );
      });
    }

    test('the kernel lists rules that end in a drop', async () => {
      const [pod] = await waitForPods(node, ZOO, NAME);
      const pid = await findProcess(node, pod ?? assert.fail(), 'app');
      const list = ['nft', 'list', 'table', 'inet', 'sallyport'];
      const { stdout, stderr } = await node.execInNetns(['nsenter', `--target=${pid}`, '--net', '--', ...list]);
      assert.match(stdout, /type nat hook prerouting priority [^;]*; policy accept;[^}]*redirect to :15190/, stderr);
      assert.match(stdout, /type filter hook input priority [^;]*; policy drop;/);
      assert.doesNotMatch(stdout, /udp|sctp|17|132/);
    });
  });
}

async function openReceiver(node: ClusterNode, pod: PodSeen): Promise<Receiver> {
  const pid = await findProcess(node, pod, 'app');
  const enter = ['nsenter', `--target=${pid}`, '--net', '--'];
  const child = node.spawnInNetns([...enter, process.execPath, PROGRAM, 'receive', ...ALL.map(String)]);
  const got = new Set<string>();
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  createInterface({ input: child.stdout ?? assert.fail() }).on('line', line => {
    if (line === 'ready') resolve(undefined);
    else got.add(line.replace('got ', ''));
  });
  child.stderr?.pipe(process.stderr);
  child.once('exit', () => reject(new Error('the receiver ended')));
  await promise;
  return { addresses: addressesOf(pod), child, got };
}
