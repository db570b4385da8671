/**
 * The node's machine: namespaces of its own for network, mounts and processes, held by one process. When that process
 * ends, everything in them is gone: servers, containers, mounts, interfaces, rules. Nothing outside is touched.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../../support/until.ts';
import { createControlGroups } from './control-groups.ts';
import type { ClusterFolder } from './folder.ts';
import { type StartDaemon, TIED, createDaemons, readChildren, readLogTail } from './processes.ts';

/** The node's address, on the bridge that pods are plugged into. */
export const NODE_IP = '10.88.0.1';
export const NODE_IPV6 = 'fd88::1';
export const POD_RANGE = '10.88.0.0/16';
export const POD_RANGE_IPV6 = 'fd88::/64';

export interface Machine {
  /** Put before a command, it runs it inside. */
  readonly enter: readonly string[];
  /** Starts servers inside. */
  readonly start: StartDaemon;
}

/** Written to by programs that let no flag say otherwise, so that each machine has its own, in memory. */
const PRIVATE_FOLDERS = ['/var/lib/cni', '/var/log/containers'];

/** What a kubelet insists on (pkg/kubelet/cm, setupKernelTunables). It gets files to look at; the kernel's stay as they are. */
const KERNEL_SETTINGS: Readonly<Record<string, string>> = {
  'vm/overcommit_memory': '1',
  'vm/panic_on_oom': '0',
  'kernel/panic': '10',
  'kernel/panic_on_oops': '1',
  'kernel/keys/root_maxkeys': '1000000',
  'kernel/keys/root_maxbytes': '25000000',
};

/** The first process inside: it prepares the machine and then reaps what is orphaned. */
const INIT = `
set -e
folder=$1; shift
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs "$folder/memory"
for path in "$@"; do mount -t tmpfs tmpfs "$path"; done
(cd "$folder/sysctl" && find . -type f) | while read -r file; do
  mount --bind "$folder/sysctl/$file" "/proc/sys/$file"
done
ip link set lo up
ip link add cni0 type bridge
ip addr add ${NODE_IP}/16 dev cni0
ip -6 addr add ${NODE_IPV6}/64 dev cni0 nodad
ip link set cni0 up
ip route add default dev cni0
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
touch "$folder/machine-is-ready"
set +e
while :; do sleep 3600 & wait; done
`;

const READY_MS = 10_000;

/** @throws Error with what the machine's first process said when it ended. */
export async function startMachine(folder: ClusterFolder, persistent: boolean): Promise<Machine> {
  prepareFolders(folder);
  createControlGroups(folder.name);
  const start = createDaemons(folder, persistent ? [] : TIED);
  const unshare = ['unshare', '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const init = ['sh', '-c', INIT, 'init', folder.path, ...PRIVATE_FOLDERS];
  const holder = start('machine', [...unshare, '--propagation', 'private', ...init]);
  const ready = join(folder.path, 'machine-is-ready');
  await until(
    'the machine',
    () => {
      if (!holder.isRunning()) throw new Error(`the machine ended:\n${readLogTail(holder)}`);
      return existsSync(ready);
    },
    READY_MS,
  );
  const enter = describeEntrance(folder);
  return { enter, start: createDaemons(folder, enter) };
}

/** What runs a command inside. @throws Error when the cluster has no machine. */
export function describeEntrance(folder: ClusterFolder): readonly string[] {
  const [holder] = folder.readRecord().processes;
  const [first] = holder === undefined || folder.readRecord().level !== 'node' ? [] : readChildren(holder.pid);
  if (first === undefined) throw new Error(`the cluster ${folder.name} has no node`);
  return ['nsenter', `--target=${first}`, '--net', '--mount', '--pid', '--'];
}

function prepareFolders(folder: ClusterFolder): void {
  mkdirSync(join(folder.path, 'memory'));
  for (const [name, value] of Object.entries(KERNEL_SETTINGS)) {
    const file = join(folder.path, 'sysctl', name);
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, `${value}\n`);
  }
  const missing = PRIVATE_FOLDERS.filter(path => !existsSync(path));
  folder.record({ made: missing });
  for (const path of missing) mkdirSync(path, { recursive: true });
}
