/** Transparent interception against the kernel: client, rules, sidecar and app as they are in a pod. */
import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { createDemoMaterial } from '../../src/demo/material.ts';
import { api, authPolicy, clusterAuthPolicy, OPEN, tlsSecret, type Manifest } from '../support/manifests.ts';
import { whyNoNetwork } from '../support/network.ts';
import type { Files } from '../support/sidecar.ts';
import { until } from '../support/until.ts';
import type { Outcome } from './testing/client.ts';
import { openPod, type Pod, PROGRAM } from './testing/pod.ts';

const skip = whyNoNetwork() ?? false;
const TRANSPARENT = ['--interception', 'transparent'];

const policy = authPolicy('open', { request: [OPEN] });
const on = (port: number, spec: Manifest = {}): Manifest => api(`port-${port}`, { port, ...spec });
const serving = (...apis: readonly Manifest[]): Files => ({ 'a.yaml': [...apis, policy] });

const RESET: Outcome = { error: 'ECONNRESET' };
const told = (outcomes: readonly Outcome[]): readonly unknown[] => outcomes.map(({ status, error }) => error ?? status);

async function openServed(t: TestContext, files: Files, ...apps: readonly string[]): Promise<Pod> {
  const pod = await openPod(t, files);
  await pod.init();
  await pod.startApp(...apps);
  await pod.startSidecar(TRANSPARENT);
  return pod;
}

describe('transparent interception', { skip }, () => {
  it('judges every declared port and resets every other, over IPv4 and IPv6, whatever listens there', async t => {
    const pod = await openServed(t, serving(on(8080)), '8080', '9090', '127.0.0.1:7070');
    const served = await pod.ask(...pod.both(8080));
    assert.deepEqual(served, [
      { status: 200, body: `app at 8080 for ${pod.client.ipv4}\n` },
      { status: 200, body: `app at 8080 for ${pod.client.ipv6}\n` },
    ]);
    // 9090 has an app and no Api, 7070 an app on loopback, 6060 neither: nobody can tell them apart from outside.
    for (const port of [9090, 7070, 6060]) assert.deepEqual(await pod.ask(...pod.both(port)), [RESET, RESET]);
    const status = await pod.status();
    assert.deepEqual(status['refusedPorts'], [
      { port: 6060, refused: 2 },
      { port: 7070, refused: 2 },
      { port: 9090, refused: 2 },
    ]);
    assert.match(await pod.metrics(), /sallyport_refused_connections_total\{reason="NoApi"\} 6/);
    const listTold = (): unknown[] => pod.lines.filter(({ reason }) => reason === 'NoApi').map(({ port }) => port);
    await until('the last line', () => listTold().includes(6060));
    assert.deepEqual(listTold(), [9090, 7070, 6060]);
  });

  it('resets whoever dials the sidecar’s own port, and serves its health port to everybody', async t => {
    const pod = await openServed(t, serving(on(8080)), '8080');
    assert.deepEqual(await pod.ask(...pod.both(15190)), [RESET, RESET]);
    assert.deepEqual(told(await pod.ask(...pod.both(15191, '/livez').slice(0, 1))), [200]);
    assert.match(await pod.metrics(), /sallyport_refused_connections_total\{reason="SidecarPort"\} 2/);
    // An Api may say so: the sidecar must not dial itself without end.
    await pod.apply(serving(on(8080), on(15190)));
    assert.deepEqual(await pod.ask(...pod.both(15190)), [RESET, RESET]);
  });

  it('resets connections to addresses that are none of the pod’s, and dials none', async t => {
    const pod = await openServed(t, serving(on(8080)), '8080');
    await pod.client.must('ip', ['route', 'add', '192.0.2.0/24', 'via', pod.host.ipv4]);
    await pod.client.must('ip', ['-6', 'route', 'add', '2001:db8::/32', 'via', pod.host.ipv6]);
    const outcomes = await pod.ask(
      { kind: 'get', url: 'http://192.0.2.7:8080/' },
      { kind: 'get', url: 'http://[2001:db8::7]:8080/' },
    );
    assert.deepEqual(outcomes, [RESET, RESET]);
    assert.match(await pod.metrics(), /sallyport_refused_connections_total\{reason="ForeignDestination"\} 2/);
  });

  it('leaves connections inside the pod alone', async t => {
    const pod = await openServed(t, serving(on(8080)), '8080', '9090', '127.0.0.1:7070');
    const inside = await pod.askInside(
      ...pod.both(8080),
      ...pod.both(9090),
      { kind: 'get', url: 'http://127.0.0.1:7070/' },
      { kind: 'get', url: 'http://127.0.0.1:15190/' },
    );
    assert.deepEqual(told(inside), [200, 200, 200, 200, 200, 'ECONNRESET']);
    assert.ok(inside.slice(0, 5).every(({ body }) => body?.endsWith('for nobody\n')));
  });

  it('keeps an app on loopback private, unless its Api says address: Loopback', async t => {
    const pod = await openServed(t, serving(on(7070)), '127.0.0.1:7070');
    assert.deepEqual(told(await pod.ask(...pod.both(7070))), [502, 502]);
    await pod.apply(serving(on(7070, { app: { address: 'Loopback' } })));
    assert.deepEqual(told(await pod.ask(...pod.both(7070))), [200, 200]);
  });

  it('takes ports into service and out of it without listening again', async t => {
    const pod = await openServed(t, serving(on(8080)), '8080', '9090');
    const [listener] = (await pod.status())['listeners'] as { address: string }[];
    assert.equal(listener?.address, '[::]:15190');
    await pod.apply(serving(on(8080), on(9090)));
    assert.deepEqual(told(await pod.ask(...pod.both(8080), ...pod.both(9090))), [200, 200, 200, 200]);
    await pod.apply(serving(on(9090)));
    assert.deepEqual(told(await pod.ask(...pod.both(8080), ...pod.both(9090))), ['ECONNRESET', 'ECONNRESET', 200, 200]);
    await pod.apply(serving());
    assert.deepEqual(await pod.ask(...pod.both(9090)), [RESET, RESET]);
    const isAbout = (message: unknown): boolean =>
      String(message).startsWith('no Api is served, so every port is closed');
    await until('the line', () => pod.lines.find(({ msg }) => isAbout(msg)));
    assert.equal((await pod.status())['ready'], true);
  });

  it('holds the limits of each port by itself', async t => {
    const pod = await openServed(t, serving(on(8080, { limits: { connections: 3 } }), on(9090)), '8080', '9090');
    const hold = { kind: 'hold', host: pod.host.ipv4, connections: 10 } as const;
    assert.deepEqual(await pod.ask({ ...hold, port: 8080 }, { ...hold, port: 9090 }), [{ ok: 3 }, { ok: 10 }]);
    await pod.apply(serving(on(8080, { limits: { perPeerConnections: 4 } })));
    assert.deepEqual(await pod.ask({ ...hold, port: 8080 }), [{ ok: 4 }]);
  });

  it('speaks TLS, plaintext or both as the Api of the dialled port says', async t => {
    const { servers } = createDemoMaterial();
    const tls = { certificate: { secretName: 'cert' } };
    const files = {
      'a.yaml': [
        on(8080),
        on(8443, { tls }),
        on(9443, { tls: { ...tls, mode: 'Permissive' } }),
        policy,
        tlsSecret('cert', servers.public),
      ],
    };
    const pod = await openServed(t, files, '8080', '8443', '9443');
    const send = 'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n';
    const ask = (kind: 'tcp' | 'tls', port: number) => ({ kind, host: pod.host.ipv6, port, send }) as const;
    const outcomes = await pod.ask(
      ...[ask('tcp', 8080), ask('tls', 8443), ask('tls', 9443), ask('tcp', 9443), ask('tcp', 8443)],
    );
    assert.deepEqual(
      outcomes.map(({ body = '' }) => /^HTTP\/1.1 200 .*app at (\d+) /s.exec(body)?.[1]),
      ['8080', '8443', '9443', '9443', undefined],
    );
  });

  it('passes a TCP Api’s bytes unread, over plaintext and TLS, and resets what its policy denies (M6)', async t => {
    const { servers } = createDemoMaterial();
    const tcp = { protocol: 'TCP' };
    const inner = authPolicy('inner', {
      targetRefs: [{ kind: 'Api', name: 'port-7000' }],
      request: [{ name: 'inside', ipFilter: { allow: ['10.77.0.0/24'] } }],
    });
    const apis = [on(5432, tcp), on(6432, { ...tcp, tls: { certificate: { secretName: 'cert' } } }), on(7000, tcp)];
    const files = { 'a.yaml': [...apis, policy, inner, tlsSecret('cert', servers.public)] };
    const pod = await openServed(t, files, '5432', '6432', '7000');
    const send = 'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n';
    const { ipv4, ipv6 } = pod.host;
    const outcomes = await pod.ask(
      { kind: 'tcp', host: ipv6, port: 5432, send },
      { kind: 'tls', host: ipv4, port: 6432, send },
      { kind: 'tcp', host: ipv4, port: 7000, send },
      { kind: 'tcp', host: ipv6, port: 7000, send },
    );
    assert.deepEqual(
      outcomes.map(({ body = '', error }) => error ?? /app at (\d+) for nobody/.exec(body)?.[1]),
      ['5432', '6432', '7000', 'ECONNRESET'],
    );
    assert.match(
      await pod.metrics(),
      /sallyport_denials_total\{policy="shop\/inner",step="inside",reason="AddressNotAllowed"\} 1/,
    );
  });

  it('answers 503 at every port while no policy can be loaded', async t => {
    const pod = await openPod(t, { 'a.yaml': 'kind: [' });
    await pod.init();
    await pod.startApp('8080', '9090');
    await pod.startSidecar(TRANSPARENT, 'listening');
    assert.deepEqual(told(await pod.ask(...pod.both(8080), ...pod.both(9090))), [503, 503, 503, 503]);
    await pod.apply(serving(on(8080)));
    assert.deepEqual(told(await pod.ask(...pod.both(8080), ...pod.both(9090))), [200, 200, 'ECONNRESET', 'ECONNRESET']);
  });

  it('tells two connections of one client port to two ports of the pod apart', async t => {
    const pod = await openServed(t, serving(on(8080), on(9090)), '8080', '9090');
    const send = 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n';
    const from = { kind: 'tcp', host: pod.host.ipv4, send, from: 40_000 } as const;
    const outcomes = await pod.askAtOnce({ ...from, port: 8080 }, { ...from, port: 9090 });
    assert.deepEqual(
      outcomes.map(({ body = '' }) => /app at (\d+) /.exec(body)?.[1]),
      ['8080', '9090'],
    );
  });

  it('serves 500 connections that are kept, and all of them again after the sidecar was restarted', async t => {
    const pod = await openServed(t, serving(on(8080)), '8080');
    const urls = [pod.host.ipv4, `[${pod.host.ipv6}]`].map(host => `http://${host}:8080/`);
    const load = urls.map(url => ({ kind: 'load', url, connections: 250, requests: 4 }) as const);
    assert.deepEqual(await pod.ask(...load), [{ ok: 1000 }, { ok: 1000 }]);
    await pod.endSidecar('SIGTERM');
    assert.deepEqual(told(await pod.ask(...pod.both(8080))), ['ECONNREFUSED', 'ECONNREFUSED']);
    await pod.startSidecar(TRANSPARENT);
    assert.deepEqual(await pod.ask(...load), [{ ok: 1000 }, { ok: 1000 }]);
  });

  it('protects while the sidecar is dead: killed with SIGKILL, every port is refused', async t => {
    const pod = await openServed(t, serving(on(8080)), '8080', '9090');
    assert.deepEqual(told(await pod.ask(...pod.both(8080))), [200, 200]);
    await pod.endSidecar('SIGKILL');
    const outcomes = await pod.ask(...pod.both(8080), ...pod.both(9090), ...pod.both(15190));
    assert.deepEqual(told(outcomes), Array<string>(6).fill('ECONNREFUSED'));
    // And before it was ever started, since the rules come first.
    await pod.startSidecar(TRANSPARENT);
    assert.deepEqual(told(await pod.ask(...pod.both(8080))), [200, 200]);
  });

  it('drops packets that pass redirection by, as those do that conntrack takes for invalid', async t => {
    const pod = await openPod(t);
    await pod.init();
    await pod.startApp('8080');
    const untracked =
      'table inet raw { chain c { type filter hook prerouting priority -300; tcp dport 8080 notrack; }; }\n';
    await pod.host.must('nft', ['-f', '-'], untracked);
    assert.deepEqual(told(await pod.askAtOnce(...pod.both(8080))), ['timeout', 'timeout']);
    // Without the guard they reach the app.
    await pod.host.must('nft', ['flush', 'chain', 'inet', 'sallyport', 'guard']);
    await pod.host.must('nft', ['add', 'rule', 'inet', 'sallyport', 'guard', 'accept']);
    assert.deepEqual(told(await pod.askAtOnce(...pod.both(8080))), [200, 200]);
  });

  it('works from the bundle alone, in a folder of its own', async t => {
    const folder = await mkdtemp(join(tmpdir(), 'sallyport-bundle-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await cp(dirname(PROGRAM), join(folder, 'dist'), { recursive: true });
    const pod = await openPod(t, serving(on(8080)));
    await pod.host.must('chmod', ['755', folder]);
    await pod.host.must(process.execPath, [join(folder, 'dist', 'main.js'), 'init']);
    await pod.startApp('8080');
    await pod.startSidecar(TRANSPARENT, 'ready', join(folder, 'dist', 'main.js'));
    assert.deepEqual(told(await pod.ask(...pod.both(8080))), [200, 200]);
  });
});

describe('what is not TCP', { skip }, () => {
  it('is dropped on its way in, but for UDP ports that are opened, neighbour discovery and answers to the pod', async t => {
    const pod = await openPod(t);
    await pod.init('--udp-ports', '5353');
    await pod.startApp('udp:4433', 'udp:5353');
    const [v4, v6] = [pod.host.ipv4, pod.host.ipv6];
    const ask = (host: string, port: number) => ({ kind: 'udp', host, port }) as const;
    const outcomes = await pod.ask(ask(v4, 4433), ask(v6, 4433), ask(v4, 5353), ask(v6, 5353));
    assert.deepEqual(outcomes, [{ error: 'timeout' }, { error: 'timeout' }, { body: 'ping' }, { body: 'ping' }]);
    const server = pod.client.spawn(process.execPath, [new URL('testing/app.ts', import.meta.url).pathname, 'udp:53']);
    t.after(() => server.kill('SIGKILL'));
    await until('the server to listen', async () => {
      const [outcome] = await pod.askInside(ask(pod.client.ipv4, 53));
      return outcome?.body === 'ping';
    });
    assert.deepEqual(await pod.askInside(ask(v4, 4433)), [{ body: 'ping' }]);
  });
});

describe('an allowance with defaultAction: Allow (S9)', { skip }, () => {
  const until2030 = '2030-01-01T00:00:00Z';
  const allowance = (time: string): Manifest =>
    clusterAuthPolicy('media', { allowances: [{ defaultAction: 'Allow', until: time }] });

  it('opens the ports that no Api selects, and no other, and shows it', async t => {
    const closed = authPolicy('closed', { request: [{ name: 'no', authorize: { deny: [{ expression: 'true' }] } }] });
    const files = { 'a.yaml': [on(8080), closed, allowance(until2030)] };
    const pod = await openServed(t, files, '8080', '9090', '127.0.0.1:7070');
    assert.deepEqual(told(await pod.ask(...pod.both(8080), ...pod.both(9090))), [403, 403, 200, 200]);
    // Unjudged, and still no way to what listens on loopback, nor to the sidecar.
    assert.deepEqual(told(await pod.ask(...pod.both(7070), ...pod.both(15190))), Array<string>(4).fill('ECONNRESET'));
    const status = await pod.status();
    const port9090 = { port: 9090, policy: 'media', open: 0, total: 2 };
    assert.deepEqual(status['allowedPorts'], [{ ...port9090, port: 7070 }, port9090]);
    assert.match(
      JSON.stringify(status['notices']),
      /ClusterAuthPolicy media allows until 2030.*ports that no Api selects/,
    );
    const metrics = await pod.metrics();
    assert.match(metrics, /sallyport_allowances_active 1/);
    assert.match(metrics, /sallyport_allowed_connections_total\{policy="media"\} 4/);
  });

  it('ends with its policy, and what is open ends with it', async t => {
    const pod = await openServed(t, { ...serving(on(8080)), 'b.yaml': [allowance(until2030)] }, '8080', '9090');
    const open = pod.ask({ kind: 'tcp', host: pod.host.ipv4, port: 9090 });
    await until('the stream', async () => JSON.stringify((await pod.status())['allowedPorts']).includes('"open":1'));
    await pod.apply({ 'b.yaml': null });
    assert.deepEqual(await open, [{ body: '', error: 'ECONNRESET' }]);
    assert.deepEqual(await pod.ask(...pod.both(9090)), [RESET, RESET]);
  });

  it('ends at its time, and what is open ends then', async t => {
    const pod = await openServed(t, serving(on(8080)), '8080', '9090');
    // Seconds are what Kubernetes writes; below the client’s patience.
    const soon = new Date(Date.now() + 2500).toISOString().replace(/\.\d+Z/, 'Z');
    await pod.apply({ 'b.yaml': [allowance(soon)] });
    const open = await pod.ask({ kind: 'tcp', host: pod.host.ipv6, port: 9090 });
    assert.deepEqual(open, [{ body: '', error: 'ECONNRESET' }]);
    assert.deepEqual(await pod.ask(...pod.both(9090)), [RESET, RESET]);
    assert.match(await pod.metrics(), /sallyport_allowances_active 0/);
  });

  it('ends for a port that an Api selects from now on, and not for others', async t => {
    const pod = await openServed(t, { ...serving(on(8080)), 'b.yaml': [allowance(until2030)] }, '8080', '9090');
    const open = pod.ask({ kind: 'tcp', host: pod.host.ipv4, port: 9090 });
    await until('the stream', async () => JSON.stringify((await pod.status())['allowedPorts']).includes('"open":1'));
    await pod.apply(serving(on(8080), on(9090)));
    assert.deepEqual(await open, [{ body: '', error: 'ECONNRESET' }]);
    assert.deepEqual(told(await pod.ask(...pod.both(9090), ...pod.both(6060))), [200, 200, 'ECONNRESET', 'ECONNRESET']);
  });
});
