/** What a proxy adds to the latency of requests at a steady rate: with it, less without it, in the same run. */
import { measure, pick, planLoad, writeTokenHeads, type Bench } from './bench.ts';
import { APP_NAME } from './material.ts';
import { runLoad } from './process.ts';
import type { Row } from './report.ts';

const LOAD = { rate: 1000, connections: 32 };
const within = (bound: number) => ({ bound, direction: 'at most' as const });

export async function measureLatency(bench: Bench): Promise<Row[]> {
  const headsFile = writeTokenHeads(bench.material, 'latency', [bench.material.mintToken()]);
  const direct = [await measureDirect(bench, headsFile)];
  const samples = await measure(bench, { mode: 'token', headsFile, load: LOAD });
  direct.push(await measureDirect(bench, headsFile));
  const added = (field: 'p50Ms' | 'p99Ms'): Map<string, number> => {
    const without = direct.reduce((sum, each) => sum + each[field], 0) / direct.length;
    return new Map([...pick(samples, field)].map(([peer, value]) => [peer, value - without]));
  };
  return [
    {
      measure: 'Added latency at 1,000 requests/s with token, median',
      values: added('p50Ms'),
      unit: 'ms',
      goals: [within(0.3)],
    },
    {
      measure: 'Added latency at 1,000 requests/s with token, 99th percentile',
      values: added('p99Ms'),
      unit: 'ms',
      goals: [within(3)],
    },
  ];
}

/** The same requests straight to the app, over the mutual TLS that the proxies use. */
async function measureDirect(bench: Bench, headsFile: string) {
  const { material, ports } = bench;
  const plan = planLoad(bench, { mode: 'token', headsFile, load: LOAD });
  const tls = { ca: material.ca, serverName: APP_NAME, ...material.mesh };
  await runLoad({ ...plan, port: ports.appTls, tls, seconds: 1 });
  return runLoad({ ...plan, port: ports.appTls, tls });
}
