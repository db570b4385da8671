/** The chart's dashboard and alert rules, asked of a real Prometheus that scrapes a real sidecar under real traffic. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ALERTS, PANELS } from '../../scripts/observability.ts';
import { findFreePort } from '../../src/demo/listening.ts';
import { CATALOGUE } from '../../src/telemetry/catalogue.ts';
import { DEVICE, openFleet, TELEMETRY, type Fleet } from '../support/fleet.ts';
import * as made from '../support/manifests.ts';
import { missProgram } from '../support/programs.ts';
import { until } from '../support/until.ts';

const RULES = new URL('../../charts/sallyport/files/rules.yaml', import.meta.url).pathname;
const skip = missProgram('prometheus');

interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

async function startPrometheus(t: TestContext, target: number) {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-prometheus-'));
  const port = await findFreePort();
  const configuration = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [RULES],
    scrape_configs: [
      { job_name: 'sidecar', static_configs: [{ targets: [`127.0.0.1:${target}`], labels: { namespace: 'shop' } }] },
    ],
  };
  await writeFile(join(folder, 'prometheus.yml'), JSON.stringify(configuration));
  const flags = [
    `--config.file=${folder}/prometheus.yml`,
    `--storage.tsdb.path=${folder}/data`,
    `--web.listen-address=127.0.0.1:${port}`,
  ];
  const child = spawn('prometheus', [...flags, '--log.level=error'], { stdio: 'ignore' });
  t.after(async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
    await rm(folder, { recursive: true, force: true });
  });
  const ask = async (path: string): Promise<{ data: unknown; status: string; error?: string }> => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`);
    return (await response.json()) as { data: unknown; status: string; error?: string };
  };
  return {
    async query(expr: string): Promise<readonly Sample[]> {
      const answer = await ask(`query?query=${encodeURIComponent(expr)}`);
      assert.equal(answer.status, 'success', `${answer.error ?? ''} in ${expr}`);
      return (answer.data as { result: readonly Sample[] }).result;
    },
    rules: () => ask('rules'),
    isUp: () =>
      ask('query?query=up').then(
        ({ data }) => (data as { result: readonly Sample[] }).result.some(({ value }) => value[1] === '1'),
        () => false,
      ),
  };
}

/** Something of everything that the panels show. */
async function sendTraffic(fleet: Fleet): Promise<void> {
  const token = await fleet.webToken();
  const body = '{}';
  await fleet.ask({ path: DEVICE, token });
  await fleet.ask({ path: DEVICE, token });
  await fleet.ask({ path: DEVICE });
  await fleet.ask({ method: 'POST', path: TELEMETRY, body }, 'robot-7');
  await fleet.ask({ method: 'POST', path: TELEMETRY, body }, 'robot-7');
}

const AUDIT = made.authPolicy('trial', {
  mode: 'Audit',
  request: [{ name: 'never', authorize: { deny: [{ name: 'all', expression: 'true' }] } }],
});

/** Nothing of it can happen on this stage: in a pod only. */
const ONLY_IN_A_POD = new Set(['Refused connections']);

test('every panel of the dashboard shows what happened', { skip }, async t => {
  const fleet = await openFleet(t, { files: () => ({ '95-audit.yaml': [AUDIT] }) });
  const prometheus = await startPrometheus(t, fleet.sidecar.healthPort);
  await until('Prometheus to scrape', () => prometheus.isUp());
  for (const { title, queries } of PANELS) {
    for (const { legend, expr } of queries) {
      const concrete = expr
        .replaceAll('$__rate_interval', '30s')
        .replaceAll('$job', 'sidecar')
        .replaceAll('$namespace', '.*');
      if (ONLY_IN_A_POD.has(title)) await prometheus.query(concrete);
      else if (title === 'Could not be decided (503)') continue;
      else {
        await until(`${title}, ${legend}: ${concrete}`, async () => {
          await sendTraffic(fleet);
          const samples = await prometheus.query(concrete);
          return samples.some(({ value }) => Number.isFinite(Number(value[1])));
        });
      }
    }
  }
});

test('requests that cannot be decided show in their panel and raise their alert', { skip }, async t => {
  const fleet = await openFleet(t);
  await fleet.deviceAuth.stop();
  const prometheus = await startPrometheus(t, fleet.sidecar.healthPort);
  await until('Prometheus to scrape', () => prometheus.isUp());
  const alert = ALERTS.find(({ name }) => name === 'SallyportCannotDecide');
  await until('the alert to be pending', async () => {
    const { status } = await fleet.ask({ method: 'POST', path: TELEMETRY, body: '{}' }, 'robot-7');
    assert.equal(status, 503);
    const [sample] = await prometheus.query(alert?.expr ?? '');
    return sample?.metric['reason'] === 'DeviceAuthUnavailable';
  });
});

test('the rules are rules to Prometheus, and name metrics that the sidecar has', { skip }, () => {
  const checked = spawnSync('promtool', ['check', 'rules', RULES], { encoding: 'utf8' });
  assert.equal(checked.status, 0, checked.stdout + checked.stderr);
  const inCatalogue = [...CATALOGUE.entries()].map(([name, { type }]) =>
    type === 'counter' ? name.replace(/(_total)?$/, '_total') : name,
  );
  for (const expr of [
    ...ALERTS.map(each => each.expr),
    ...PANELS.flatMap(({ queries }) => queries.map(each => each.expr)),
  ]) {
    for (const [name] of expr.matchAll(/\b(?:sallyport|process)_[a-z_]+/g)) {
      assert.ok(inCatalogue.includes(name.replace(/_bucket$/, '')), name);
    }
  }
});
