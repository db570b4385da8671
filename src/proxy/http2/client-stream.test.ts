/** HTTP/2 clients of an HTTP/1.1 app, on real sockets: bodies, early answers, streams that are cut, and judged again. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, test } from 'node:test';
import { origin, step, token } from '../../decision/testing/fakes.ts';
import { BODY } from '../../api/signed-payload.ts';
import { FLAG, FRAME, FrameWire, openFrames, REQUEST, uint32 } from '../testing/frames.ts';
import { hear, openHttp2 } from '../testing/http2-client.ts';
import { issueServer, listenerTls, material, openSecureWire, tlsSecret } from '../testing/secure.ts';
import { BEARER, play, type WorldParts } from '../testing/world.ts';
import { echoHeads, openWire, type Wire } from '../testing/wire.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const POST = { ':method': 'POST' };

describe('a body', () => {
  test('of a known length passes as it is', () =>
    play(undefined, {}, async ({ world, app }) => {
      const client = openHttp2(world.port);
      const told = client.call({ ...POST, 'content-length': '5' }, 'hello');
      const wire = await app.connection(0);
      assert.match(await wire.take(/\r\n\r\nhello/), /Content-Length: 5\r\n/);
      wire.send(OK);
      assert.equal((await told).body, 'ok');
      await client.close();
    }));
  test('of an unknown length becomes chunked, trailers pass but for credentials', () =>
    play(undefined, {}, async ({ world, app }) => {
      const client = openHttp2(world.port);
      const stream = client.session.request(
        { ':method': 'POST', ':path': '/open', ':authority': 'a.example' },
        { endStream: false, waitForTrailers: true },
      );
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '5', authorization: 'Bearer forged' }));
      const told = hear(stream);
      stream.end('hello');
      const wire = await app.connection(0);
      const text = await wire.take(/\r\n0\r\n[^]*?\r\n\r\n/);
      assert.match(text, /Transfer-Encoding: chunked\r\n[^]*5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n$/);
      assert.doesNotMatch(text, /forged/);
      wire.send(OK);
      assert.equal((await told).status, 200);
      await client.close();
    }));
  test('that the client cuts off never looks whole to the app', () =>
    play(undefined, {}, async ({ world, app }) => {
      for (const code of [0, 8]) {
        const wire = openFrames(world.port).request(
          1,
          [':method', 'POST', ':scheme', 'http', ':authority', 'a.example', ':path', '/open'],
          false,
        );
        wire.send(FRAME.data, 0, 1, Buffer.from('half'));
        const behind = await app.connection(code === 0 ? 0 : 1);
        await behind.take(/half/);
        wire.send(FRAME.reset, 0, 1, uint32(code));
        await behind.gone();
        assert.doesNotMatch(behind.received, /\r\n0\r\n\r\n/, `code ${code}`);
        wire.socket.destroy();
      }
    }));
  const OF_2 = [':method', 'POST', ...REQUEST.slice(2), 'content-length', '2'];
  for (const [sentence, frames] of [
    ['longer than its length', [['abc', 1]]],
    [
      'that grows longer than its length',
      [
        ['ab', 0],
        ['c', 0],
        ['d', 0],
        ['', 1],
      ],
    ],
    ['shorter than its length', [['a', 1]]],
  ] as const) {
    test(`${sentence} is a stream error, and never whole; its neighbours are answered (RFC 9113 section 8.1.1)`, () =>
      play(undefined, {}, async ({ world, app }) => {
        const wire = openFrames(world.port).request(1);
        const neighbour = await app.connection(0);
        await neighbour.take(/\r\n\r\n/);
        wire.request(3, OF_2, false);
        const behind = await app.connection(1);
        await behind.take(/\r\n\r\n/);
        for (const [body, flags] of frames) wire.send(FRAME.data, flags, 3, Buffer.from(body));
        assert.equal(await wire.outcome(3), 'reset 1');
        await behind.gone();
        assert.notEqual(behind.received, 'abc');
        neighbour.send(OK);
        assert.equal(await wire.outcome(1), 'status 200');
        wire.socket.destroy();
      }));
  }
  test('that nobody reads does not hide the denial', () =>
    play(echoHeads, {}, async ({ world }) => {
      const client = openHttp2(world.port);
      const stream = client.open({ ...POST, ':path': '/closed' }, false);
      const told = hear(stream);
      stream.write(Buffer.alloc(60_000));
      const { status, code } = await told;
      assert.deepEqual([status, code], [401, 0]);
      assert.equal((await client.call()).status, 200);
      await client.close();
    }));
  test('beyond limits.bodyBytes is 413', () =>
    play(undefined, { api: { bodyBytes: 10 } }, async ({ world }) => {
      const client = openHttp2(world.port);
      assert.equal((await client.call(POST, 'x'.repeat(11))).status, 413);
      await client.close();
    }));
  test('waits for 100 Continue, which the app sends', () =>
    play(undefined, {}, async ({ world, app }) => {
      const client = openHttp2(world.port);
      const stream = client.open({ ...POST, expect: '100-continue', 'content-length': '2' }, false);
      const told = hear(stream);
      stream.on('continue', () => stream.end('hi'));
      const wire = await app.connection(0);
      assert.match(await wire.take(/\r\n\r\n/), /Expect: 100-continue/);
      wire.send('HTTP/1.1 100 Continue\r\n\r\n');
      await wire.take(/hi/);
      wire.send(OK);
      assert.equal((await told).status, 200);
      await client.close();
    }));
  for (const length of [true, false]) {
    test(`is held for a signature ${length ? 'with' : 'without'} a length, and forwarded as it came (P10)`, () => {
      const key = 'a secret';
      const hook = step(
        {
          type: 'hmacSignature',
          hmacSignature: {
            scheme: {
              header: 'x-signature',
              form: 'Bare',
              prefix: '',
              encoding: 'Hex',
              algorithm: 'sha256',
              keyEncoding: 'Text',
              payload: [BODY],
            },
            id: 'orders/hook',
            keys: [{ secret: 'shop/hook', dataKey: 'key' }],
            toleranceMs: 300_000,
            maxBody: 100_000,
          },
        },
        { name: 'hook', origin: origin({ name: 'orders', audit: false }) },
      );
      const parts: WorldParts = {
        material: material({ 'shop/hook': new Map([['key', new TextEncoder().encode(key)]]) }),
        routes: [['/', [hook]]],
      };
      return play(undefined, parts, async ({ world, app }) => {
        const client = openHttp2(world.port);
        const body = 'order '.repeat(5000);
        const signature = createHmac('sha256', key).update(body).digest('hex');
        const more: Record<string, string> = length ? { 'content-length': String(body.length) } : {};
        const told = client.call({ ...POST, 'x-signature': signature, ...more }, body);
        const wire = await app.connection(0);
        const text = await wire.take(length ? /order $/ : /\r\n0\r\n\r\n/);
        assert.equal(text.match(/order /g)?.length, 5000);
        wire.send(OK);
        assert.equal((await told).status, 200);
        assert.equal(
          (await client.call({ ...POST, 'x-signature': signature, ...more }, body.toUpperCase())).status,
          401,
        );
        await client.close();
      });
    });
  }
});

describe('an answer', () => {
  test('that the app cuts off is no whole one', () =>
    play(undefined, {}, async ({ world, app }) => {
      const client = openHttp2(world.port);
      const told = client.call();
      const wire = await app.connection(0);
      await wire.take(/\r\n\r\n/);
      wire.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n');
      setTimeout(() => wire.socket.resetAndDestroy(), 50);
      assert.deepEqual([(await told).body, (await told).code], ['half', 2]);
      await client.close();
    }));
  test('has the app’s trailers, informational answers and repeated fields', () =>
    play(undefined, {}, async ({ world, app }) => {
      const client = openHttp2(world.port);
      const told = client.call();
      const wire = await app.connection(0);
      await wire.take(/\r\n\r\n/);
      wire.send('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n');
      wire.send(
        'HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n',
      );
      wire.send('Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n');
      const { informed, headers, body, trailers } = await told;
      assert.deepEqual([informed, headers['set-cookie'], body, trailers?.['x-sum']], [[103], ['a', 'b'], 'ok', '2']);
      for (const name of ['connection', 'x-hop', 'keep-alive', 'transfer-encoding'])
        assert.equal(headers[name], undefined);
      await client.close();
    }));
  test('waits for a client that grants no window, which holds up nobody else', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openFrames(world.port);
      // SETTINGS_INITIAL_WINDOW_SIZE 0.
      wire.send(FRAME.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])).request(1);
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      behind.send(`HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nunmoved..`);
      assert.equal(await wire.outcome(1), 'status 200');
      const other = openWire(world.port).send('GET /open HTTP/1.1\r\nHost: a.example\r\n\r\n');
      await behind.take(/\r\n\r\n/);
      behind.send(OK);
      assert.equal((await other.takeAnswer()).status, 200);
      assert.equal(
        wire.frames.some(({ type }) => type === FRAME.data),
        false,
      );
      wire.send(FRAME.window, 0, 1, uint32(100));
      assert.ok(await wire.find(({ type }) => type === FRAME.data));
      other.socket.destroy();
      wire.socket.destroy();
    }));
  test('that a client never takes is given up after app.timeouts.idle', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openFrames(world.port);
      wire.send(FRAME.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])).request(1);
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      behind.send(`HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nunmoved..`);
      await wire.outcome(1);
      world.advance(301_000);
      assert.ok(await wire.find(({ type, stream }) => type === FRAME.reset && stream === 1));
      const [record] = await world.recorded(1);
      assert.equal(record?.status, 200);
      wire.socket.destroy();
    }));
});

test('a window that opens byte by byte does not renew the clock of an answer that is not taken', () =>
  play(undefined, {}, async ({ world, app }) => {
    const wire = openFrames(world.port);
    wire.send(FRAME.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])).request(1);
    const behind = await app.connection(0);
    await behind.take(/\r\n\r\n/);
    behind.send(`HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n${'x'.repeat(500_000)}`);
    await wire.outcome(1);
    for (let at = 1; at <= 7; at++) {
      wire.send(FRAME.window, 0, 1, uint32(1));
      await wire.find(() => wire.frames.filter(({ type }) => type === FRAME.data).length === at);
      world.advance(40_000);
    }
    assert.equal(
      wire.frames.some(({ type }) => type === FRAME.reset),
      false,
    );
    world.advance(40_000);
    assert.ok(await wire.find(({ type, stream }) => type === FRAME.reset && stream === 1));
    await behind.gone();
    wire.socket.destroy();
  }));

describe('an open stream (M7)', () => {
  test('ends at a denial under a new policy; the other streams of its connection go on', () =>
    play(undefined, { evidence: { token: () => token() } }, async ({ world, app }) => {
      const client = openHttp2(world.port);
      const events = client.call({ ':path': '/events', authorization: 'Bearer good' });
      const wire = await app.connection(0);
      await wire.take(/\r\n\r\n/);
      wire.send('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n');
      const open = client.call();
      const other = await app.connection(1);
      await other.take(/\r\n\r\n/);
      world.publish({ evidence: { token: () => ({ state: 'refused', reason: 'TokenSignatureInvalid' }) } });
      assert.deepEqual([(await events).status, (await events).code], [200, 2]);
      await wire.gone();
      other.send(OK);
      assert.equal((await open).body, 'ok');
      const [record] = world.records;
      assert.deepEqual(
        [record?.verdict, record?.reason, record?.policy, record?.step, record?.status],
        ['Deny', 'TokenSignatureInvalid', BEARER.origin.key, BEARER.name, 200],
      );
      await client.close();
    }));
});

test('an answer that the client resets is recorded as cut off, one that it took is not', () =>
  play(undefined, {}, async ({ world, app }) => {
    const wire = openFrames(world.port).request(1);
    const behind = await app.connection(0);
    await behind.take(/\r\n\r\n/);
    behind.send(`HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n${'x'.repeat(200_000)}`);
    assert.equal(await wire.outcome(1), 'status 200');
    wire.send(FRAME.reset, 0, 1, uint32(8));
    await world.recorded(1);
    wire.send(FRAME.window, 0, 0, uint32(100)).request(3);
    const next = await app.connection(1);
    await next.take(/\r\n\r\n/);
    next.send(OK);
    const records = await world.recorded(2);
    assert.deepEqual(
      records.map(({ status, cut }) => [status, cut]),
      [
        [200, true],
        [200, undefined],
      ],
    );
    wire.socket.destroy();
  }));

describe('a client that has sent its FIN', () => {
  const large = (wire: Wire): void => {
    void wire.take(/\r\n\r\n/).then(
      () => {
        wire.send(`HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n`);
        wire.socket.write(Buffer.alloc(2_000_000));
      },
      () => undefined,
    );
  };
  /** Reads until its window is empty. */
  const exhaust = async (wire: FrameWire): Promise<void> => {
    const got = (): number =>
      wire.frames.reduce((sum, { type, payload }) => (type === FRAME.data ? sum + payload.length : sum), 0);
    await wire.find(() => got() === 65_535);
  };

  for (const [sentence, farewell] of [
    ['within an answer that is larger than its window keeps nothing for longer than 2 s', () => undefined],
    ['after GOAWAY neither', (wire: FrameWire) => wire.send(FRAME.goaway, 0, 0, uint32(0, 0))],
  ] as const) {
    test(sentence, () =>
      play(large, {}, async ({ world, app }) => {
        const wire = openFrames(world.port).request(1);
        await exhaust(wire);
        farewell(wire);
        wire.socket.end();
        await pause(300);
        world.advance(2000);
        await (await app.connection(0)).gone();
        await wire.gone();
        assert.equal((await world.recorded(1))[0]?.status, 200);
      }),
    );
  }
  test('over TLS neither', () => {
    const tls: WorldParts = {
      material: material({ 'shop/fleet-tls': tlsSecret(issueServer('fleet.example.com')) }),
      plan: { tls: listenerTls() },
    };
    return play(large, tls, async ({ world, app }) => {
      const secure = await openSecureWire(world.port, { ALPNProtocols: ['h2'] });
      const wire = new FrameWire(secure.secure).request(1);
      await exhaust(wire);
      wire.socket.end();
      await pause(300);
      world.advance(2000);
      await (await app.connection(0)).gone();
    });
  });
  test('after a whole request gets an answer that fits its window, however long the app takes', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openFrames(world.port).request(1, [':method', 'POST', ...REQUEST.slice(2)], false);
      wire.send(FRAME.data, 1, 1, Buffer.alloc(10_000, 'x'));
      wire.socket.end();
      const behind = await app.connection(0);
      await behind.take(/\r\n0\r\n\r\n/);
      await pause(300);
      world.advance(10_000);
      await pause(300);
      behind.send(`HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n${'y'.repeat(60_000)}`);
      assert.ok(await wire.find(({ type, flags }) => type === FRAME.data && (flags & FLAG.endStream) !== 0));
    }));
  test('within the body of a request has given it up', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openFrames(world.port).request(1, [':method', 'POST', ...REQUEST.slice(2)], false);
      wire.send(FRAME.data, 0, 1, Buffer.from('half'));
      const behind = await app.connection(0);
      await behind.take(/half/);
      wire.socket.end();
      await behind.gone();
      assert.doesNotMatch(behind.received, /\r\n0\r\n\r\n/);
    }));
});

const pause = (milliseconds: number): Promise<void> => new Promise(done => setTimeout(done, milliseconds));
