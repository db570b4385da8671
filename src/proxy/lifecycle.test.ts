import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { createServer } from 'node:net';
import { play, startWorld, type World } from './testing/world.ts';
import { echoHeads, openWire, Wire } from './testing/wire.ts';

const GET = 'GET /open HTTP/1.1\r\nHost: a.example\r\n\r\n';
const HEALTH = { health: { host: '127.0.0.1', port: 0 } };
const ask = (port: number, path: string): Promise<string> =>
  openWire(port).send(`GET ${path} HTTP/1.1\r\nHost: health\r\n\r\n`).takeAll();
const healthPort = ({ proxy }: World): number => proxy.healthAddress?.port ?? 0;

describe('before a policy', () => {
  test('every request is 503 PolicyNotLoaded, and the sidecar is alive and not ready', () =>
    play(
      echoHeads,
      'nothing',
      async ({ world, app }) => {
        const wire = openWire(world.port).send(GET);
        const { status, body } = await wire.takeAnswer();
        assert.equal(status, 503);
        assert.match(body, /PolicyNotLoaded/);
        assert.match(await ask(healthPort(world), '/livez'), /^HTTP\/1\.1 200 /);
        assert.match(await ask(healthPort(world), '/readyz'), /^HTTP\/1\.1 503 [^]*no policy/);
        world.publish({});
        assert.equal((await wire.send(GET).takeAnswer()).status, 200);
        assert.match(await ask(healthPort(world), '/readyz'), /^HTTP\/1\.1 200 /);
        assert.equal(app.wires.length, 1);
        wire.socket.destroy();
      },
      HEALTH,
    ));

  test('a policy without an Api for the port resets connections at accept (M1)', () =>
    play(echoHeads, 'nothing', async ({ world }) => {
      world.publish({ snapshot: { listeners: new Map() } });
      const wire = openWire(world.port);
      await wire.gone();
      assert.equal(wire.reset, true);
    }));
});

describe('drain', () => {
  test('closes each connection after its answer, goes on accepting, and is not ready', () =>
    play(
      echoHeads,
      {},
      async ({ world }) => {
        const before = openWire(world.port).send(GET);
        await before.takeAnswer();
        world.proxy.drain();
        assert.match(await before.send(GET).takeAll(), /^HTTP\/1\.1 200 [^]*Connection: close/);
        assert.match(await openWire(world.port).send(GET).takeAll(), /^HTTP\/1\.1 200 [^]*Connection: close/);
        assert.match(await ask(healthPort(world), '/readyz'), /^HTTP\/1\.1 503 [^]*draining/);
        assert.match(await ask(healthPort(world), '/livez'), /^HTTP\/1\.1 200 /);
      },
      HEALTH,
    ));
});

describe('stop', () => {
  test('lets what is in flight end, closes what is idle and accepts nobody', () =>
    play(undefined, {}, async ({ world, app }) => {
      const busy = openWire(world.port).send(GET);
      const idle = openWire(world.port);
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      const stopped = world.proxy.stop(5000);
      await idle.takeAll();
      idle.socket.destroy();
      const late = openWire(world.port);
      await late.gone();
      behind.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      assert.match(await busy.takeAll(), /^HTTP\/1\.1 200 [^]*Connection: close\r\n\r\nok$|ok$/);
      busy.socket.end();
      await stopped;
    }));

  test('ends streams when its time is over', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(GET);
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      behind.send('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n');
      await wire.take(/data: 1/);
      await world.proxy.stop(50);
      await wire.gone();
      assert.equal(wire.reset, true);
    }));
});

describe('the admin socket', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-'));
  const path = join(folder, 'admin.sock');
  const call = (method: string, target: string, body = ''): Promise<string> =>
    new Wire(connect({ path, allowHalfOpen: true }))
      .send(`${method} ${target} HTTP/1.1\r\nHost: admin\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
      .takeAll();

  test('tells the status, changes the level and drains; only its owner may open it', () => {
    const levels: string[] = [];
    return play(
      echoHeads,
      {},
      async ({ world }) => {
        assert.equal(statSync(path).mode & 0o777, 0o600);
        const status = await call('GET', '/status');
        const parsed = JSON.parse(status.slice(status.indexOf('\r\n\r\n'))) as Record<string, unknown>;
        assert.equal(parsed['generation'], 1);
        assert.equal(parsed['ready'], true);
        assert.equal(parsed['keys'], 'fresh');
        assert.match(await call('POST', '/log-level', '{"level":"debug"}'), /^HTTP\/1\.1 200 /);
        assert.match(await call('POST', '/log-level', '{"level":"x"}'), /^HTTP\/1\.1 400 /);
        assert.match(await call('POST', '/log-level', '[]'), /^HTTP\/1\.1 400 /);
        assert.deepEqual(levels, ['debug']);
        assert.match(await call('GET', '/drain'), /^HTTP\/1\.1 404 /);
        assert.match(await call('POST', '/explain', '{}'), /^HTTP\/1\.1 404 /);
        assert.equal(world.proxy.status()['draining'], false);
        assert.match(await call('POST', '/drain'), /^HTTP\/1\.1 200 /);
        assert.equal(world.proxy.status()['draining'], true);
      },
      {
        adminSocket: path,
        describe: () => ({ keys: 'fresh' }),
        setLogLevel: level => {
          if (level === 'debug') levels.push(level);
          return level === 'debug';
        },
      },
    );
  });

  test('a file left behind is replaced; the socket of a living sidecar is not', async () => {
    const left = createServer().listen(path);
    await new Promise(resolve => left.once('listening', resolve));
    await assert.rejects(startWorld(1, {}, { adminSocket: path }), { code: 'EADDRINUSE' });
    // Closed without removing its file, as by SIGKILL.
    const handle: unknown = Reflect.get(left, '_handle');
    assert.ok(handle);
    left.close();
    const world = await startWorld(1, {}, { adminSocket: path });
    await world.stop();
    rmSync(folder, { recursive: true });
  });
});

describe('overload', () => {
  test('above 95 % of the memory new requests are 503 and new connections refused; below 90 % all is well', () => {
    let resident = 50;
    return play(
      echoHeads,
      {},
      async ({ world }) => {
        const wire = openWire(world.port).send(GET);
        assert.equal((await wire.takeAnswer()).status, 200);
        resident = 96;
        world.publish({});
        const { status, body } = await wire.send(GET).takeAnswer();
        assert.equal(status, 503);
        assert.match(body, /Overloaded/);
        const refused = openWire(world.port);
        await refused.gone();
        resident = 92;
        world.publish({});
        assert.equal((await wire.send(GET).takeAnswer()).status, 503);
        resident = 80;
        world.publish({});
        assert.equal((await wire.send(GET).takeAnswer()).status, 200);
        wire.socket.destroy();
      },
      {
        maxMemoryBytes: 100,
        memory: { resident: () => resident, needed: () => resident, collect: () => undefined },
      },
    );
  });

  test('a port takes no more than its connections, and no more than so many of one peer', () =>
    play(echoHeads, { limits: { connections: 3, perPeerConnections: 2 } }, async ({ world }) => {
      const first = openWire(world.port).send(GET);
      const second = openWire(world.port).send(GET);
      await Promise.all([first.takeAnswer(), second.takeAnswer()]);
      const third = openWire(world.port);
      await third.gone();
      first.socket.destroy();
      await first.gone();
      const fourth = openWire(world.port).send(GET);
      assert.equal((await fourth.takeAnswer()).status, 200);
      for (const wire of [second, fourth]) wire.socket.destroy();
    }));
});
