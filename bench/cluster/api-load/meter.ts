/** What the API server, etcd, the controller and the sidecars' connections cost over a span of time. */
import { spawnSync } from 'node:child_process';
import { readCpuMicroseconds, readResidentMiB } from '../../process.ts';

export interface Meter {
  /** Runs the work, and says in a few lines what it cost. */
  over(title: string, work: () => Promise<void>): Promise<string>;
}

export interface MeterOptions {
  /** Process ids; the API server’s changes when it is started anew, and what it counted begins at nothing. */
  readonly apiServer: () => number;
  readonly etcd: number;
  readonly controller: number;
  readonly sidecars: () => readonly number[];
  readonly apiPort: number;
  readonly materialPort: number;
  /** The API server’s own metrics. */
  readonly readMetrics: () => Promise<string>;
}

interface Reading {
  readonly at: number;
  readonly apiServer: number;
  readonly cpu: Readonly<Record<Program, number>>;
  readonly requests: ReadonlyMap<string, number>;
  readonly watches: number;
  readonly apiBytes: Traffic;
  readonly materialBytes: Traffic;
}

interface Traffic {
  readonly toSidecars: number;
  readonly fromSidecars: number;
  readonly connections: number;
}

const PROGRAMS = ['apiServer', 'etcd', 'controller', 'sidecars'] as const;
type Program = (typeof PROGRAMS)[number];

export function createMeter(options: MeterOptions): Meter {
  const { readMetrics, apiPort, materialPort, sidecars } = options;
  const pidsOf = (program: Program): readonly number[] =>
    program === 'sidecars' ? sidecars() : [program === 'apiServer' ? options.apiServer() : options[program]];
  const sum = (program: Program, read: (pid: number) => number): number =>
    pidsOf(program).reduce((total, pid) => total + read(pid), 0);

  async function read(): Promise<Reading> {
    const metrics = await readMetrics();
    return {
      at: performance.now(),
      apiServer: options.apiServer(),
      cpu: {
        apiServer: sum('apiServer', readCpuMicroseconds),
        etcd: sum('etcd', readCpuMicroseconds),
        controller: sum('controller', readCpuMicroseconds),
        sidecars: sum('sidecars', readCpuMicroseconds),
      },
      requests: readRequests(metrics),
      watches: sumOf(metrics, /^apiserver_longrunning_requests\{.*group="sallyport\.dev".*verb="WATCH".*\} (\S+)$/gm),
      apiBytes: readTraffic(apiPort, sidecars()),
      materialBytes: readTraffic(materialPort, sidecars()),
    };
  }

  return {
    async over(title, work) {
      const first = await read();
      await work();
      const workedMs = performance.now() - first.at;
      const after = await read();
      const before = first.apiServer === after.apiServer ? first : startAnew(first);
      return [
        `${title}: ${(workedMs / 1000).toFixed(1)} s`,
        `    CPU, seconds (share of a core): ${PROGRAMS.map(name => describeCpu(name, before, after)).join('; ')}`,
        `    resident, MiB: ${PROGRAMS.map(name => `${name} ${sum(name, readResidentMiB).toFixed(0)}`).join('; ')}`,
        `    requests: ${describeRequests(before, after)}; ${after.watches} watches of our kinds`,
        `    bytes: API server ${describeTraffic(before.apiBytes, after.apiBytes, workedMs)}; ` +
          `material ${describeTraffic(before.materialBytes, after.materialBytes, workedMs)}`,
      ].join('\n');
    },
  };
}

const startAnew = (reading: Reading): Reading => ({
  ...reading,
  cpu: { ...reading.cpu, apiServer: 0 },
  requests: new Map(),
  apiBytes: { toSidecars: 0, fromSidecars: 0, connections: 0 },
});

function describeCpu(name: Program, before: Reading, after: Reading): string {
  const seconds = (after.cpu[name] - before.cpu[name]) / 1e6;
  return `${name} ${seconds.toFixed(1)} (${((seconds / (after.at - before.at)) * 1e5).toFixed(1)} %)`;
}

/** By who asks and what: `WATCH sallyport.dev`. */
function readRequests(metrics: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const [, labels = '', value] of metrics.matchAll(/^apiserver_request_total\{(.*)\} (\S+)$/gm)) {
    const of = (name: string): string => new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(labels)?.[1] ?? '';
    const resource = of('resource');
    if (resource === '') continue;
    const group = of('group') === 'sallyport.dev' ? 'sallyport.dev' : resource;
    const key = `${of('verb')} ${group}${of('subresource') === '' ? '' : `/${of('subresource')}`} ${of('code')}`;
    found.set(key, (found.get(key) ?? 0) + Number(value));
  }
  return found;
}

function describeRequests(before: Reading, after: Reading): string {
  const seconds = (after.at - before.at) / 1000;
  const changed = [...after.requests]
    .map(([key, count]) => [key, count - (before.requests.get(key) ?? 0)] as const)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a);
  const total = changed.reduce((sum, [, count]) => sum + count, 0);
  const most = changed.slice(0, 6).map(([key, count]) => `${key} ${count}`);
  return `${total} (${(total / seconds).toFixed(1)}/s): ${most.join(', ')}`;
}

function sumOf(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].reduce((sum, [, value]) => sum + Number(value), 0);
}

/** What the kernel counted on the open connections of these processes to a port: bytes of TCP's payload, TLS included. */
function readTraffic(port: number, pids: readonly number[]): Traffic {
  const { stdout } = spawnSync('ss', ['-tinpHO', `dport = :${port}`], { encoding: 'utf8', maxBuffer: 64 * 2 ** 20 });
  const own = stdout.split('\n').filter(line => pids.includes(Number(/pid=(\d+)/.exec(line)?.[1])));
  const sum = (pattern: RegExp): number => own.reduce((total, line) => total + Number(pattern.exec(line)?.[1] ?? 0), 0);
  return {
    toSidecars: sum(/bytes_received:(\d+)/),
    fromSidecars: sum(/bytes_sent:(\d+)/),
    connections: own.length,
  };
}

function describeTraffic(before: Traffic, after: Traffic, ms: number): string {
  const describe = (bytes: number): string =>
    `${(bytes / 1024).toFixed(0)} KiB (${(bytes / 1024 / (ms / 1000)).toFixed(1)} KiB/s)`;
  return (
    `to sidecars ${describe(after.toSidecars - before.toSidecars)}, ` +
    `from them ${describe(after.fromSidecars - before.fromSidecars)}, ${after.connections} connections`
  );
}
