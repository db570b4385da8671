/** The end of a sidecar: what is in flight ends in order, nobody is cut off who need not be. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { type Connection, openPlain } from '../support/connection.ts';
import * as made from '../support/manifests.ts';
import { RecordingApp } from '../support/servers.ts';
import { type Sidecar, startSidecar } from '../support/sidecar.ts';
import { until } from '../support/until.ts';

interface Stage {
  readonly sidecar: Sidecar;
  readonly app: RecordingApp;
  /** Answers that the app has not given yet, in the order of their requests. */
  readonly held: readonly ServerResponse[];
  readonly open: () => Promise<Connection>;
}

async function openStage(t: TestContext, ...args: readonly string[]): Promise<Stage> {
  const held: ServerResponse[] = [];
  const app = await new RecordingApp(({ path }, response) => {
    if (path === '/held') held.push(response);
    else if (path === '/stream') response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n');
    else response.end('ok');
  }).start();
  t.after(() => app.stop());
  const manifests = { 'all.yaml': [made.api('fleet'), made.authPolicy('open', { request: [made.OPEN] })] };
  const sidecar = await startSidecar({ manifests, app: app.port, args });
  t.after(() => sidecar.close());
  const open = async (): Promise<Connection> => {
    const connection = await openPlain(sidecar.port);
    t.after(() => connection.close());
    return connection;
  };
  return { sidecar, app, held, open };
}

const terminate = async (sidecar: Sidecar): Promise<void> => {
  sidecar.signal('SIGTERM');
  await sidecar.line('the signal', ({ msg }) => String(msg).startsWith('stopping'));
};
const refuses = (sidecar: Sidecar): Promise<boolean> =>
  openPlain(sidecar.port).then(
    connection => {
      connection.close();
      return false;
    },
    () => true,
  );
const upgrade =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';

async function openWebSocket({ app, open }: Stage): Promise<[Connection, Duplex]> {
  const { promise, resolve } = Promise.withResolvers<Duplex>();
  app.onUpgrade((_, socket) => {
    socket.on('error', () => undefined);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    socket.pipe(socket);
    resolve(socket);
  });
  const connection = await open();
  connection.send(`GET /socket HTTP/1.1\r\nHost: fleet.example.com\r\n${upgrade}\r\n\r\n`);
  assert.equal((await connection.readHead()).status, 101);
  return [connection, await promise];
}

test('SIGTERM: requests in flight are answered with Connection: close, then the process ends with 0', async t => {
  const { sidecar, held, open } = await openStage(t, '--drain-timeout', '20s');
  const connections = await Promise.all(Array.from({ length: 10 }, open));
  const answers = connections.map(connection => connection.ask({ path: '/held' }));
  await until('all requests to be with the app', () => held.length === connections.length);
  await terminate(sidecar);
  assert.equal(await refuses(sidecar), true, 'nothing new is accepted');
  assert.equal(sidecar.running, true);
  for (const response of held) response.end('late');
  for (const answer of await Promise.all(answers)) {
    assert.deepEqual([answer.status, answer.body], [200, 'late']);
    assert.deepEqual(answer.headers.get('connection'), ['close']);
  }
  assert.equal(await sidecar.ended(), 0);
});

test('SIGTERM: an upload in flight is taken to its end', async t => {
  const { sidecar, app, open } = await openStage(t, '--drain-timeout', '20s');
  const [counted, chunked] = await Promise.all([open(), open()]);
  counted.send('POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234');
  chunked.send('POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n');
  // Begun for certain: an exchange of its own has gone through after them.
  await (await open()).ask({ path: '/now' });
  await terminate(sidecar);
  counted.send('56789');
  chunked.send('5\r\n56789\r\n0\r\n\r\n');
  for (const answer of await Promise.all([counted.readAnswer(), chunked.readAnswer()])) {
    assert.deepEqual([answer.status, answer.headers.get('connection')], [200, ['close']]);
  }
  assert.deepEqual(
    app.seen.filter(({ path }) => path === '/up').map(({ body }) => body),
    ['0123456789', '0123456789'],
  );
  assert.equal(await sidecar.ended(), 0);
});

test('SIGTERM: idle connections end at once, and a download goes on to its end', async t => {
  const { sidecar, held, open } = await openStage(t, '--drain-timeout', '20s');
  const [idle, download] = await Promise.all([open(), open()]);
  assert.equal((await idle.ask({ path: '/now' })).status, 200);
  download.send('GET /held HTTP/1.1\r\nHost: a\r\n\r\n');
  const response = await until('the download to begin', () => held[0]);
  response.write('first ');
  await download.readHead();
  await terminate(sidecar);
  assert.equal(await idle.wire.takeAll(), '', 'a FIN, no reset, no answer');
  response.end('last');
  assert.match(await download.wire.takeAll(), /first[^]*last[^]*\r\n0\r\n\r\n$/);
  assert.equal(await sidecar.ended(), 0);
});

test('SIGTERM: WebSockets and streams end when the drain time is over, and the exit code is still 0', async t => {
  const stage = await openStage(t, '--drain-timeout', '1s');
  const [socket, atApp] = await openWebSocket(stage);
  const stream = await stage.open();
  stream.send('GET /stream HTTP/1.1\r\nHost: a\r\n\r\n');
  await stream.wire.take(/data: 1/);
  const closedAtApp = once(atApp, 'close');
  await terminate(stage.sidecar);
  await socket.send('still open').wire.take(/still open/);
  await Promise.all([socket.wire.gone(), stream.wire.gone(), closedAtApp]);
  assert.equal(await stage.sidecar.ended(), 0);
});

test('SIGTERM with nothing in flight ends at once, with 0, and leaves no admin socket', async t => {
  const { sidecar } = await openStage(t, '--drain-timeout', '600s');
  sidecar.signal('SIGTERM');
  assert.equal(await sidecar.ended(), 0);
  const status = await sidecar.command('status');
  assert.notEqual(status.code, 0);
});

test('SIGTERM before a policy was ever loaded ends with 0', async t => {
  const sidecar = await startSidecar({ manifests: { 'bad.yaml': 'kind: [' }, app: 9, until: 'listening' });
  t.after(() => sidecar.close());
  sidecar.signal('SIGTERM');
  assert.equal(await sidecar.ended(), 0);
});

test('`sallyport drain`: not ready, every answer closes its connection, but everything is still served', async t => {
  const { sidecar, held, open } = await openStage(t);
  const [early, flying] = await Promise.all([open(), open()]);
  assert.equal((await early.ask({ path: '/now' })).headers.has('connection'), false);
  const late = flying.ask({ path: '/held' });
  await until('a request to be in flight', () => held.length === 1);
  assert.equal((await sidecar.readyz()).status, 200);
  const drained = await sidecar.command('drain');
  assert.deepEqual([drained.code, drained.stdout], [0, 'draining\n']);
  const ready = await sidecar.readyz();
  assert.deepEqual([ready.status, ready.body], [503, 'draining\n']);
  assert.equal((await sidecar.livez()).status, 200);
  const status = await sidecar.status();
  assert.deepEqual([status['draining'], status['ready']], [true, false]);

  held[0]?.end('late');
  const answers = [await late, await early.ask({ path: '/now' }), await (await open()).ask({ path: '/now' })];
  for (const answer of answers) {
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.headers.get('connection'), ['close']);
  }
  assert.equal(sidecar.running, true);
  await sidecar.apply({ 'more.yaml': [made.authPolicy('more', { request: [{ name: 'a', removeHeaders: ['X-A'] }] })] });
  assert.equal((await (await open()).ask({ path: '/now' })).status, 200, 'it goes on for as long as it is left');
  sidecar.signal('SIGTERM');
  assert.equal(await sidecar.ended(), 0);
});
