/** What the log and status of a sidecar tell somebody who starts one for the first time. */
import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import * as made from '../support/manifests.ts';
import { type LogLine, type Sidecar, type SidecarOptions, startSidecar } from '../support/sidecar.ts';

const MANIFESTS = {
  'api.yaml': [made.api('fleet')],
  'open.yaml': [made.authPolicy('open', { ...made.onApi('fleet'), request: [made.OPEN] })],
};

async function open(t: TestContext, options: Partial<SidecarOptions> = {}): Promise<Sidecar> {
  const sidecar = await startSidecar({ manifests: MANIFESTS, app: 9, ...options });
  t.after(() => sidecar.close());
  return sidecar;
}

const says =
  (message: string) =>
  ({ msg }: LogLine): boolean =>
    msg === message;

test('at start each listener says what it serves; a change of level and draining are said', async t => {
  const sidecar = await open(t);
  const { listen, apiPort, tls, apis, app } = await sidecar.line('ready', says('ready'));
  const expected = [`127.0.0.1:${sidecar.port}`, 8443, 'None', ['shop/fleet'], '127.0.0.1:9'];
  assert.deepEqual([listen, apiPort, tls, apis, app], expected);
  await sidecar.command('log-level', 'debug');
  await sidecar.line('the level', says('log level is now debug'));
  await sidecar.command('log-level', 'error');
  await sidecar.line('the quieter level', says('log level is now error'));
  await sidecar.command('log-level', 'info');
  await sidecar.command('drain');
  await sidecar.command('drain');
  await sidecar.line('draining', says('draining'));
  assert.equal(sidecar.lines.filter(says('draining')).length, 1);
});

test('labels that fit no Api: not ready, a warning that names the flag, and status says why', async t => {
  const api = made.api('fleet', { podSelector: { matchLabels: { app: 'fleed' } } });
  const sidecar = await open(t, { until: 'listening', manifests: { ...MANIFESTS, 'api.yaml': [api] } });
  const line = await sidecar.line('the warning', ({ msg }) => String(msg).startsWith('no Api serves'));
  const name = `127.0.0.1:${sidecar.port}`;
  const why = 'Api shop/fleet has podSelector app=fleed, which does not match app=fleet';
  assert.deepEqual([line['level'], line['msg']], ['warn', `no Api serves ${name}: ${why}; mend --workload-labels`]);
  assert.deepEqual(await sidecar.readyz(), { status: 503, body: `no Api serves ${name}\n` });
  const { code, stdout } = await sidecar.command('status');
  assert.equal(code, 1);
  assert.ok(stdout.includes(`no Api serves ${name}`) && stdout.includes(why), stdout);
});

test('a change with a mistake does not look like success', async t => {
  const sidecar = await open(t);
  const before = await sidecar.status();
  const mistaken = made.authPolicy('open', { ...made.onApi('fleet'), request: [{ name: 'x', telepathy: {} }] });
  const from = sidecar.lines.length;
  await sidecar.apply({ 'open.yaml': [mistaken] });
  const line = await sidecar.line('what is kept', ({ kept }) => kept !== undefined, from);
  assert.equal(line['msg'], 'configuration read, 1 object kept at its last good content');
  assert.deepEqual(line['kept'], ['AuthPolicy shop/open']);
  const now = await sidecar.status();
  assert.deepEqual([now['generation'], now['hash']], [before['generation'], before['hash']]);
  const { stdout } = await sidecar.command('status');
  assert.match(stdout, /AuthPolicy shop\/open: its last good content stays in force/);
  assert.equal(stdout.split(String(now['hash'])).length, 2, 'the hash once');
});

/** What the sidecar says when it cannot start. */
async function failToStart(args: readonly string[]): Promise<string> {
  const failure: unknown = await startSidecar({ manifests: MANIFESTS, app: 9, args }).then(
    sidecar => sidecar.close(),
    (error: unknown) => error,
  );
  assert.ok(failure instanceof Error, 'it started');
  return failure.message;
}

test('an address that is taken is named with its flag', async t => {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await new Promise(resolve => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  assert.match(
    await failToStart(['--listen', `8444=127.0.0.1:${port}`]),
    new RegExp(`--listen 127\\.0\\.0\\.1:${port}: another process has it; name another port or stop it`),
  );
});
