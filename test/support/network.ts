/**
 * Networks of a test’s own: a pod and its clients, each in a network namespace, joined by a pair of virtual interfaces with
 * IPv4 and IPv6 addresses. Nothing of them is seen outside, and they are gone when the test ends.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';

const NEEDED = ['ip', 'nft'] as const;

/** Why such a network cannot be made here; undefined: it can. Where SALLYPORT_CLUSTER=required, it must be. */
export function whyNoNetwork(): string | undefined {
  const missing = NEEDED.filter(program => spawnSync(program, ['-V']).error !== undefined);
  const why =
    process.getuid?.() !== 0
      ? 'needs root, for network namespaces'
      : missing.length > 0
        ? `needs ${missing.join(' and ')} (apt-get install iproute2 nftables)`
        : undefined;
  if (why === undefined || process.env['SALLYPORT_CLUSTER'] === 'required') return undefined;
  process.stderr.write(`SKIPPED: interception is not tested: it ${why}\n`);
  return why;
}

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One network namespace. */
export class Host {
  readonly name: string;
  readonly ipv4: string;
  readonly ipv6: string;

  constructor(name: string, ipv4: string, ipv6: string) {
    this.name = name;
    this.ipv4 = ipv4;
    this.ipv6 = ipv6;
  }

  /** Starts a program in it. */
  spawn(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
    // Settings of the test’s own process are not the program’s.
    const own = Object.entries(process.env).filter(([name]) => !/^(SALLYPORT_|NODE_)/.test(name));
    return spawn('ip', ['netns', 'exec', this.name, program, ...args], {
      env: { ...Object.fromEntries(own), ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  }

  /** Runs a program in it to its end. */
  async run(program: string, args: readonly string[], input = ''): Promise<Finished> {
    const child = this.spawn(program, args);
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
    const [stdout, stderr, [code]] = await Promise.all([
      child.stdout === null ? '' : text(child.stdout),
      child.stderr === null ? '' : text(child.stderr),
      once(child, 'close') as Promise<[number | null]>,
    ]);
    return { code, stdout, stderr };
  }

  /** @throws what the program says when it fails. */
  async must(program: string, args: readonly string[], input = ''): Promise<string> {
    const { code, stdout, stderr } = await this.run(program, args, input);
    if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`);
    return stdout;
  }
}

export interface Network {
  readonly pod: Host;
  readonly client: Host;
}

let networks = 0;

/** Two hosts on one link. */
export async function openNetwork(t: Pick<TestContext, 'after'>): Promise<Network> {
  const name = `sp${process.pid}n${networks++}`;
  const pod = new Host(`${name}p`, '10.77.0.2', 'fd77::2');
  const client = new Host(`${name}c`, '10.77.0.1', 'fd77::1');
  t.after(() => {
    for (const host of [pod, client]) spawnSync('ip', ['netns', 'del', host.name]);
  });
  for (const host of [pod, client]) must('ip', ['netns', 'add', host.name]);
  const peer = ['peer', 'name', 'eth0', 'netns', client.name];
  must('ip', ['link', 'add', 'eth0', 'netns', pod.name, 'type', 'veth', ...peer]);
  for (const host of [pod, client]) {
    await host.must('ip', ['address', 'add', `${host.ipv4}/24`, 'dev', 'eth0']);
    await host.must('ip', ['address', 'add', `${host.ipv6}/64`, 'dev', 'eth0', 'nodad']);
    for (const device of ['lo', 'eth0']) await host.must('ip', ['link', 'set', device, 'up']);
  }
  return { pod, client };
}

function must(program: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
}
