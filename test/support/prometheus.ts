/** A real Prometheus that scrapes one port, with the chart's rules. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findFreePort } from '../../src/demo/listening.ts';

export const RULES = new URL('../../charts/sallyport/files/rules.yaml', import.meta.url).pathname;

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

export interface Prometheus {
  query(expr: string): Promise<readonly Sample[]>;
  /** Names of alerts that are pending or firing. */
  alerts(): Promise<readonly string[]>;
  /** Something was scraped. */
  isUp(): Promise<boolean>;
}

/** An expression of the dashboard with Grafana's variables filled in. */
export const makeConcrete = (expr: string, job: string): string =>
  expr.replaceAll('$__rate_interval', '30s').replaceAll('$job', job).replaceAll('$namespace', '.*');

/** `targets`: ports of 127.0.0.1 by job. Ends with the test. */
export async function startPrometheus(
  t: { after(end: () => Promise<void>): void },
  targets: Readonly<Record<string, number>>,
): Promise<Prometheus> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-prometheus-'));
  const port = await findFreePort();
  const configuration = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [RULES],
    scrape_configs: Object.entries(targets).map(([job, target]) => ({
      job_name: job,
      static_configs: [{ targets: [`127.0.0.1:${target}`], labels: { namespace: 'shop' } }],
    })),
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
    async query(expr) {
      const answer = await ask(`query?query=${encodeURIComponent(expr)}`);
      assert.equal(answer.status, 'success', `${answer.error ?? ''} in ${expr}`);
      return (answer.data as { result: readonly Sample[] }).result;
    },
    async alerts() {
      const { data } = await ask('alerts');
      const { alerts } = data as { alerts: readonly { labels: Readonly<Record<string, string>> }[] };
      return alerts.map(({ labels }) => labels['alertname'] ?? '');
    },
    isUp: () =>
      ask('query?query=up').then(
        ({ data }) => (data as { result: readonly Sample[] }).result.some(({ value }) => value[1] === '1'),
        () => false,
      ),
  };
}
