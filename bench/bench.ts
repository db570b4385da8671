/** One measurement: start a peer, warm it up, load it, read its CPU time and memory, stop it; peers take turns. */
import type { LoadPlan, LoadResult } from './load-generator.ts';
import { renderHead, writeHeads, HOST, type Material } from './material.ts';
import { envoy, envoyWithCache } from './peers/envoy.ts';
import { haproxy } from './peers/haproxy.ts';
import { nginx } from './peers/nginx.ts';
import { sallyport } from './peers/sallyport.ts';
import { isPlain, type Mode, type Peer, type Ports } from './peers/peer.ts';
import { readCpuMicroseconds, readResidentMiB, runLoad, waitForPort, type Running } from './process.ts';

export const PEERS: readonly Peer[] = [sallyport, haproxy, envoy, envoyWithCache, nginx];

export interface Bench {
  readonly material: Material;
  readonly ports: Ports;
  readonly seconds: number;
  readonly rounds: number;
  /** Only these peers; absent: all that are on this machine. */
  readonly peers?: readonly string[];
}

export const createBench = (bench: Bench): Bench => bench;

export interface Case {
  readonly mode: Mode;
  /** JSON file of heads. */
  readonly headsFile: string;
  readonly load?: Partial<LoadPlan>;
  /** Seconds of load before the measurement; 0: none, so that the first request counts. */
  readonly warmUp?: number;
  readonly peers?: readonly string[];
}

export interface Sample extends LoadResult {
  readonly cpuPerRequest: number;
  readonly residentMiB: number;
  readonly megabytesPerSecond: number;
}

/** Samples by peer, one for each round; peers that are not on this machine are left out. */
export async function measure(bench: Bench, each: Case): Promise<Map<string, Sample[]>> {
  const samples = new Map<string, Sample[]>();
  const peers = PEERS.filter(
    peer =>
      peer.modes.includes(each.mode) &&
      peer.version() !== undefined &&
      (each.peers?.includes(peer.name) ?? true) &&
      (bench.peers?.includes(peer.name) ?? true),
  );
  for (let round = 0; round < bench.rounds; round += 1) {
    for (const peer of peers) {
      const running = peer.start({ material: bench.material, ports: bench.ports, mode: each.mode });
      try {
        const sample = await sampleOnce(bench, each, running);
        if (sample.failures > 0)
          process.stderr.write(`${peer.name}: ${sample.failures} failures, first: ${sample.firstFailure ?? ''}\n`);
        samples.set(peer.name, [...(samples.get(peer.name) ?? []), sample]);
      } finally {
        await running.stop();
      }
    }
  }
  return samples;
}

async function sampleOnce(bench: Bench, each: Case, running: Running): Promise<Sample> {
  await waitForPort(bench.ports.listen);
  const plan = planLoad(bench, each);
  const warmUp = each.warmUp ?? 1.5;
  if (warmUp > 0) await runLoad({ ...plan, seconds: warmUp });
  const before = readCpuMicroseconds(running.pid);
  const result = await runLoad(plan);
  const after = readCpuMicroseconds(running.pid);
  return {
    ...result,
    cpuPerRequest: (after - before) / Math.max(1, result.requests),
    residentMiB: readResidentMiB(running.pid),
    megabytesPerSecond: result.bytes / 1e6 / result.seconds,
  };
}

export function planLoad(bench: Bench, each: Case): LoadPlan {
  const { material, ports } = bench;
  return {
    port: ports.listen,
    connections: 64,
    seconds: bench.seconds,
    headsFile: each.headsFile,
    ...(isPlain(each.mode)
      ? {}
      : { tls: { ca: material.ca, serverName: HOST, ...(each.mode === 'certificate' ? material.device : {}) } }),
    ...each.load,
  };
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
};

export const pick = (samples: ReadonlyMap<string, readonly Sample[]>, field: keyof Sample): Map<string, number> =>
  new Map([...samples].map(([peer, list]) => [peer, median(list.map(sample => Number(sample[field])))]));

/** A file with one head, or with a token in each of many. */
export function writeTokenHeads(material: Material, name: string, tokens: readonly string[]): string {
  return writeHeads(
    material,
    name,
    tokens.map(token => renderHead('/v1/items', { Authorization: `Bearer ${token}` })),
  );
}
