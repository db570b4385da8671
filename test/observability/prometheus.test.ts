/** The chart's dashboard and alert rules, asked of a real Prometheus that scrapes a real sidecar under real traffic. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { ALERTS, PANELS } from '../../scripts/observability.ts';
import { CATALOGUE } from '../../src/telemetry/catalogue.ts';
import { DEVICE, openFleet, TELEMETRY, type Fleet } from '../support/fleet.ts';
import * as made from '../support/manifests.ts';
import { missProgram } from '../support/programs.ts';
import { makeConcrete, RULES, startPrometheus } from '../support/prometheus.ts';
import { until } from '../support/until.ts';

const skip = missProgram('prometheus');

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
  const prometheus = await startPrometheus(t, { sidecar: fleet.sidecar.healthPort });
  await until('Prometheus to scrape', () => prometheus.isUp());
  for (const { title, queries } of PANELS.filter(({ about }) => about === 'sidecars')) {
    for (const { legend, expr } of queries) {
      const concrete = makeConcrete(expr, 'sidecar');
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
  const prometheus = await startPrometheus(t, { sidecar: fleet.sidecar.healthPort });
  await until('Prometheus to scrape', () => prometheus.isUp());
  const alert = ALERTS.find(({ name }) => name === 'SallyportCannotDecide');
  await until('the alert to be pending', async () => {
    const { status } = await fleet.ask({ method: 'POST', path: TELEMETRY, body: '{}' }, 'robot-7');
    assert.equal(status, 503);
    const [sample] = await prometheus.query(alert?.expr ?? '');
    return sample?.metric['reason'] === 'DeviceAuthUnavailable';
  });
});

test('the rules are rules to Prometheus, and name metrics that there are', { skip }, () => {
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
