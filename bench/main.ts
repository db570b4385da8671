/**
 * `npm run bench [-- --seconds 5 --rounds 3 --only token,plain]`: CPU per request, throughput, latency, memory and start,
 * side by side in one run with nginx, HAProxy and Envoy, each configured to do the same work. Writes docs/benchmarks/.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMaterial } from './material.ts';
import { startApp } from './peers/nginx.ts';
import { startDeviceAuth } from './device-auth.ts';
import { createBench, PEERS } from './bench.ts';
import { measureAll, MEASURE_NAMES, type Page } from './measures.ts';
import { readOptions, renderUsage, type BenchOptions } from './options.ts';
import { renderMarkdown, renderSvg, type Row } from './report.ts';
import { findBusyPorts, killDescendants, OTHER_CORE, start, waitForPort } from './process.ts';

const USAGE = 64;
const UNAVAILABLE = 69;
const INTERNAL = 70;
const PORTS = {
  listen: 28443,
  health: 28191,
  appPlain: 28080,
  appTls: 28081,
  appGrpc: 28084,
  lookup: 28082,
  deviceAuth: 28083,
};

const TITLES: Readonly<Record<Page, string>> = { http1: 'Benchmark', steps: 'Cost of each step, and of many' };
const SAID: Readonly<Record<Page, readonly string[]>> = {
  http1: [],
  steps: [
    'A step’s cost is what a request over plain HTTP takes with it, less what the same request takes without it, in turns of a tenth of a second on one process that has all of these steps. Below one microsecond it is noise. HAProxy and Envoy do the same thing where they have it without Lua.',
  ],
};

process.exit(await run());

async function run(): Promise<number> {
  const choices = { measures: MEASURE_NAMES, peers: PEERS.map(({ name }) => name) };
  const options = readOptions(process.argv.slice(2), choices);
  if ('problems' in options) {
    for (const problem of options.problems) process.stderr.write(`bench: ${problem}\n`);
    process.stderr.write(renderUsage(choices));
    return USAGE;
  }
  const busy = await findBusyPorts(Object.values(PORTS));
  if (busy.length > 0) {
    process.stderr.write(`bench: somebody listens at 127.0.0.1:${busy.join(', ')}; end it, these ports are needed\n`);
    return UNAVAILABLE;
  }
  try {
    await measureInto(options, openFolder());
    return 0;
  } catch (error) {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : 'failed'}\n`);
    return INTERNAL;
  }
}

/** A folder that is gone when this process ends, with everything that was started, however it ends but by SIGKILL. */
function openFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-bench-'));
  chmodSync(folder, 0o755); // nginx's worker is nobody
  process.once('exit', () => {
    killDescendants();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => process.exit(128 + constants.signals[signal]));
  }
  return folder;
}

async function measureInto(options: BenchOptions, folder: string): Promise<void> {
  const material = createMaterial(folder);
  startApp(material, PORTS);
  start(OTHER_CORE, process.execPath, [new URL('grpc-app.ts', import.meta.url).pathname, String(PORTS.appGrpc)]);
  await startDeviceAuth(material, PORTS.deviceAuth);
  await waitForPort(PORTS.appTls);
  await waitForPort(PORTS.appGrpc);
  for (const peer of PEERS) {
    const version = peer.version();
    process.stderr.write(
      version === undefined ? `${peer.name}: not here (${peer.howToGet})\n` : `${peer.name}: ${version}\n`,
    );
  }
  const { seconds, rounds, only, peers } = options;
  const bench = createBench({ material, ports: PORTS, seconds, rounds, ...(peers && { peers }) });
  for (const [page, rows] of await measureAll(bench, only)) report(page, rows, options);
}

function report(page: Page, rows: readonly Row[], { seconds, rounds, write }: BenchOptions): void {
  const versions = PEERS.map(peer => `${peer.name} ${peer.version() ?? 'not measured'}`).join(', ');
  const about = [
    `${new Date().toISOString().slice(0, 10)}, ${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, Node.js ${process.versions.node}.`,
    `${versions}.`,
    `One core for the proxy, load and app on another; ${rounds} rounds of ${seconds} s for each peer in turn, the median is shown. CPU is user plus system time of the proxy’s processes.`,
    ...SAID[page],
    'Run it yourself: `npm run bench`. Timings of a shared machine are noisy: compare ratios of one run.',
  ];
  const markdown = renderMarkdown(TITLES[page], rows, about);
  process.stdout.write(markdown);
  if (!write) return;
  mkdirSync('docs/benchmarks', { recursive: true });
  const picture = page === 'http1' ? '\n![CPU time per request](http1.svg)\n' : '';
  writeFileSync(`docs/benchmarks/${page}.md`, markdown + picture);
  if (page === 'http1') writeFileSync('docs/benchmarks/http1.svg', renderSvg(rows));
}
