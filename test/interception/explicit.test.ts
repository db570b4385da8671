/** Explicit interception: no rules, the sidecar at the addresses of the pod, the app on loopback. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { api, authPolicy, OPEN, type Manifest } from '../support/manifests.ts';
import { whyNoNetwork } from '../support/network.ts';
import type { Files } from '../support/sidecar.ts';
import { until } from '../support/until.ts';
import type { Outcome } from './testing/client.ts';
import { openPod, type Pod } from './testing/pod.ts';

const skip = whyNoNetwork() ?? false;

const policy = authPolicy('open', { request: [OPEN] });
const serving = (...ports: readonly number[]): Files => ({
  'a.yaml': [...ports.map((port): Manifest => api(`port-${port}`, { port })), policy],
});
const told = (outcomes: readonly Outcome[]): readonly unknown[] => outcomes.map(({ status, error }) => error ?? status);
const explicit = (pod: Pod): string[] => [
  ...['--interception', 'explicit'],
  ...['--pod-ips', `${pod.host.ipv4},${pod.host.ipv6}`],
];

async function openServed(t: TestContext, files: Files, ...apps: readonly string[]): Promise<Pod> {
  const pod = await openPod(t, files);
  await pod.startApp(...apps);
  await pod.startSidecar(explicit(pod));
  return pod;
}

describe('explicit interception', { skip }, () => {
  it('serves the ports of the Apis at every address of the pod, and nothing else is open', async t => {
    const pod = await openServed(t, serving(8080), '127.0.0.1:8080', '127.0.0.1:9090');
    assert.deepEqual(await pod.ask(...pod.both(8080)), [
      { status: 200, body: `app at 127.0.0.1:8080 for ${pod.client.ipv4}\n` },
      { status: 200, body: `app at 127.0.0.1:8080 for ${pod.client.ipv6}\n` },
    ]);
    assert.deepEqual(told(await pod.ask(...pod.both(9090))), ['ECONNREFUSED', 'ECONNREFUSED']);
    const status = await pod.status();
    const addresses = (status['listeners'] as { address: string }[]).map(({ address }) => address);
    assert.deepEqual(addresses, ['10.77.0.2:8080', '[fd77::2]:8080']);
    assert.deepEqual(status['appExposed'], []);
    // The health port is everybody's, over both families.
    assert.deepEqual(told(await pod.ask(...pod.both(15191, '/livez'))), [200, 200]);
  });

  it('opens and closes ports with the Apis', async t => {
    const pod = await openServed(t, serving(8080), '127.0.0.1:8080', '127.0.0.1:9090');
    await pod.apply(serving(8080, 9090));
    const both = [...pod.both(8080), ...pod.both(9090)];
    await until('port 9090', async () => told(await pod.ask(...both)).every(outcome => outcome === 200));
    await pod.apply(serving(9090));
    assert.deepEqual(told(await pod.ask(...both)), ['ECONNREFUSED', 'ECONNREFUSED', 200, 200]);
    await pod.apply(serving());
    assert.deepEqual(told(await pod.ask(...both)), Array<string>(4).fill('ECONNREFUSED'));
    assert.equal((await pod.status())['ready'], true);
  });

  it('is not ready while the app holds the port on every address, says what to change, and takes it as soon as it is free', async t => {
    const pod = await openPod(t, serving(8080));
    const app = await pod.startApp('0.0.0.0:8080', '127.0.0.1:9090');
    await pod.startSidecar(explicit(pod), 'listening');
    const problem =
      '10.77.0.2:8080 cannot be bound: the app listens on more than 127.0.0.1; let it listen on 127.0.0.1:8080 alone';
    const status = await pod.status();
    assert.deepEqual(status['notReady'], [problem]);
    assert.deepEqual(status['appExposed'], [8080]);
    await until('the line', () => pod.lines.find(({ level, msg }) => level === 'error' && msg === problem));
    assert.match(await pod.metrics(), /sallyport_app_exposed_ports 1/);
    app.kill('SIGKILL');
    await pod.startApp('127.0.0.1:8080');
    await until('the port', async () => (await pod.status())['ready'] === true);
    assert.deepEqual(told(await pod.ask(...pod.both(8080))), [200, 200]);
    await until('the line', () => pod.lines.find(({ msg }) => msg === 'bound at last'));
  });

  it('finds an app that others reach past the sidecar, and tells of it once', async t => {
    const pod = await openServed(t, serving(8080), '127.0.0.1:8080', '9090', '[::1]:7070', '10.77.0.2:6060');
    const status = await pod.status();
    assert.deepEqual(status['appExposed'], [6060, 9090]);
    assert.equal(status['ready'], true);
    const isAbout = ({ msg }: Pod['lines'][number]): boolean =>
      String(msg).startsWith('the app listens on more than 127.0.0.1');
    const line = await until('the line', () => pod.lines.find(isAbout));
    assert.deepEqual([line['level'], line['ports']], ['warn', [6060, 9090]]);
  });

  it('names an address that the pod does not have', async t => {
    const pod = await openPod(t, serving(8080));
    await pod.startApp('127.0.0.1:8080');
    await pod.startSidecar(['--interception', 'explicit', '--pod-ips', '10.77.0.2,10.77.0.99'], 'listening');
    assert.deepEqual((await pod.status())['notReady'], [
      '10.77.0.99:8080 cannot be bound: the pod has no such address; mend --pod-ips',
    ]);
    assert.deepEqual(told(await pod.ask(...pod.both(8080).slice(0, 1))), [200]);
  });
});
