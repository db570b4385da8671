/**
 * `npm run bench [-- --seconds 5 --rounds 3 --only token,plain]`: CPU per request, throughput, latency, memory and start,
 * side by side in one run with nginx, HAProxy and Envoy, each configured to do the same work. Writes docs/benchmarks/.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createMaterial } from './material.ts';
import { startApp } from './peers/nginx.ts';
import { startDeviceAuth } from './device-auth.ts';
import { createBench, PEERS } from './bench.ts';
import { measureAll } from './measures.ts';
import { renderMarkdown, renderSvg } from './report.ts';
import { waitForPort } from './process.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    peers: { type: 'string', default: '' },
    'no-write': { type: 'boolean', default: false },
  },
});

const ports = { listen: 28443, health: 28191, appPlain: 28080, appTls: 28081, lookup: 28082, deviceAuth: 28083 };
const folder = mkdtempSync(join(tmpdir(), 'sallyport-bench-'));
chmodSync(folder, 0o755);
const material = createMaterial(folder);
const app = startApp(material, ports);
const deviceAuth = await startDeviceAuth(material, ports.deviceAuth);

try {
  await waitForPort(ports.appTls);
  for (const peer of PEERS) {
    const version = peer.version();
    process.stderr.write(
      version === undefined ? `${peer.name}: not here (${peer.howToGet})\n` : `${peer.name}: ${version}\n`,
    );
  }
  const bench = createBench({
    material,
    ports,
    seconds: Number(values.seconds),
    rounds: Number(values.rounds),
    ...(values.peers === '' ? {} : { peers: values.peers.split(',') }),
  });
  const rows = await measureAll(bench, values.only === '' ? undefined : values.only.split(','));
  const versions = PEERS.map(peer => `${peer.name} ${peer.version() ?? 'not measured'}`).join(', ');
  const about = [
    `${new Date().toISOString().slice(0, 10)}, ${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, Node.js ${process.versions.node}.`,
    `${versions}.`,
    `One core for the proxy, load and app on another; ${values.rounds} rounds of ${values.seconds} s for each peer in turn, the median is shown. CPU is user plus system time of the proxy’s processes.`,
    'Run it yourself: `npm run bench`. Timings of a shared machine are noisy: compare ratios of one run.',
  ];
  const markdown = renderMarkdown(rows, about);
  process.stdout.write(markdown);
  if (!values['no-write']) {
    mkdirSync('docs/benchmarks', { recursive: true });
    writeFileSync('docs/benchmarks/http1.md', `${markdown}\n![CPU time per request](http1.svg)\n`);
    writeFileSync('docs/benchmarks/http1.svg', renderSvg(rows));
  }
} finally {
  await app.stop();
  deviceAuth.close();
  rmSync(folder, { recursive: true, force: true });
}
