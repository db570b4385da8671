import assert from 'node:assert/strict';
import type { ServerHttp2Stream } from 'node:http2';
import { describe, test } from 'node:test';
import { step, token } from '../../decision/testing/fakes.ts';
import { createAddressFilter } from '../../policy/address-filter.ts';
import type { RequestRecord } from '../../telemetry/telemetry.ts';
import { FRAME, openFrames } from '../testing/frames.ts';
import { BEARER, startWorld, type World, type WorldParts } from '../testing/world.ts';
import { decodeMessages, encodeMessage, startHttp2App, type Http2App, type Serve } from '../testing/http2-app.ts';
import { hear, openHttp2, type Http2Client, type Told } from '../testing/http2-client.ts';
import { play } from '../testing/world.ts';
import { echoHeads } from '../testing/wire.ts';

const CALL = {
  ':method': 'POST',
  ':path': '/open/fleet.Orders/Place',
  'content-type': 'application/grpc+proto',
  te: 'trailers',
  'grpc-timeout': '5S',
};
const OK = { 'grpc-status': '0' };

/** Answers each message with itself in upper case, as it comes; the head says what was asked. */
const bidirectional: Serve = (stream, headers) => {
  stream.respond(
    {
      ':status': 200,
      'content-type': 'application/grpc',
      'x-timeout': headers['grpc-timeout'] ?? '',
      'x-te': headers['te'] ?? '',
    },
    { waitForTrailers: true },
  );
  stream.on('wantTrailers', () => stream.sendTrailers(OK));
  stream.on('data', (chunk: Buffer) => {
    for (const text of decodeMessages(chunk.toString('latin1'))) stream.write(encodeMessage(text.toUpperCase()));
  });
  stream.on('end', () => stream.end());
};

async function call(
  serve: Serve,
  scene: (client: Http2Client, world: World, app: Http2App) => Promise<void>,
  parts: WorldParts = {},
): Promise<void> {
  const app = await startHttp2App(serve);
  const world = await startWorld(app.port, parts);
  const client = openHttp2(world.port);
  try {
    await scene(client, world, app);
  } finally {
    await client.close();
    await world.stop();
    await app.stop();
  }
}

describe('gRPC, with app.protocol Auto on plaintext', () => {
  test('unary: message, trailers, grpc-timeout and te pass', () =>
    call(bidirectional, async client => {
      const told = await client.call(CALL, encodeMessage('order'));
      assert.deepEqual([told.status, decodeMessages(told.body)], [200, ['ORDER']]);
      assert.equal(told.trailers?.['grpc-status'], '0');
      assert.deepEqual([told.headers['x-timeout'], told.headers['x-te']], ['5S', 'trailers']);
    }));
  test('client streaming and bidirectional: each message passes as it is sent', () =>
    call(bidirectional, async client => {
      const stream = client.open(CALL, false);
      const seen: string[] = [];
      let look: (() => void) | undefined;
      stream.on('data', (chunk: Buffer) => {
        seen.push(...decodeMessages(chunk.toString('latin1')));
        look?.();
      });
      const trailers = new Promise<Record<string, unknown>>(resolve => stream.on('trailers', resolve));
      for (const text of ['a', 'b', 'c']) {
        stream.write(encodeMessage(text));
        while (seen.length === 0 || seen.at(-1) !== text.toUpperCase())
          await new Promise<void>(resolve => (look = resolve));
      }
      stream.end();
      assert.equal((await trailers)['grpc-status'], '0');
      assert.deepEqual(seen, ['A', 'B', 'C']);
    }));
  test('an app that ends a call before the client has: its trailers pass, and the client is told to stop', () =>
    call(
      stream => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '9', 'grpc-message': 'enough' }));
        stream.once('data', (chunk: Buffer) => stream.end(chunk));
      },
      async client => {
        const stream = client.open(CALL, false);
        stream.write(encodeMessage('a'));
        const { body, trailers, code } = await hear(stream);
        assert.deepEqual([decodeMessages(body), trailers?.['grpc-status'], code], [['a'], '9', 0]);
      },
    ));
  test('server streaming: many messages, in order, to a slow reader', () =>
    call(
      stream => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers(OK));
        for (let at = 0; at < 500; at++) stream.write(encodeMessage(String(at).padEnd(1000, '.')));
        stream.end();
      },
      async client => {
        const stream = client.open(CALL, false);
        stream.end(encodeMessage('go'));
        stream.pause();
        setTimeout(() => stream.resume(), 100);
        const { body, trailers } = await hear(stream);
        const numbers = decodeMessages(body).map(text => parseInt(text, 10));
        assert.deepEqual(
          numbers,
          Array.from({ length: 500 }, (_, at) => at),
        );
        assert.equal(trailers?.['grpc-status'], '0');
      },
    ));
  test('an app’s own trailers-only answer stays one', () =>
    call(
      stream =>
        stream.respond(
          { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '5', 'grpc-message': 'no such order' },
          { endStream: true },
        ),
      async client => {
        const told = await client.call(CALL, encodeMessage('order'));
        assert.deepEqual(
          [told.status, told.headers['grpc-status'], told.headers['grpc-message'], told.endedWithHead],
          [200, '5', 'no such order', true],
        );
      },
    ));
  test('a client that cancels cancels the app’s stream', async () => {
    const streams: ServerHttp2Stream[] = [];
    await call(
      stream => void streams.push(stream),
      async client => {
        const stream = client.open(CALL, false);
        stream.on('error', () => undefined);
        stream.write(encodeMessage('order'));
        while (streams.length === 0) await new Promise(resolve => setImmediate(resolve));
        const [atApp] = streams;
        const closed = new Promise(resolve => atApp?.on('close', resolve));
        stream.close(8);
        await closed;
        assert.equal(atApp?.rstCode, 8);
      },
    );
  });
});

describe('M8: a denial is trailers-only, HTTP 200', () => {
  const cases: readonly (readonly [string, string, Record<string, string>, string, string])[] = [
    ['no token', '/closed/fleet.Orders/Place', {}, '16', 'TokenNotPresent'],
    ['an ambiguous path', '/open%2fx', {}, '13', 'AmbiguousPath'],
    ['a length beyond the bound', '/open/x', { 'content-length': '100' }, '8', 'BodyTooLarge'],
  ];
  for (const [sentence, path, headers, status, message] of cases) {
    test(`${sentence}: grpc-status ${status}, ${message}`, () =>
      play(echoHeads, { api: { bodyBytes: 50 } }, async ({ world }) => {
        const client = openHttp2(world.port);
        const told = await client.call(
          { ...CALL, ':path': path, ...headers },
          headers['content-length'] === undefined ? 'x' : 'x'.repeat(100),
        );
        assert.deepEqual(
          [told.status, told.headers['content-type'], told.headers['grpc-status'], told.headers['grpc-message']],
          [200, 'application/grpc', status, message],
        );
        assert.deepEqual([told.endedWithHead, told.body], [true, '']);
        await client.close();
      }));
  }
  test('is recorded with the status that it stands for: a 200 would hide who guesses tokens', () =>
    play(echoHeads, {}, async ({ world }) => {
      const client = openHttp2(world.port);
      await client.call({ ...CALL, ':path': '/closed/fleet.Orders/Place' }, 'x');
      const [record] = await world.recorded(1);
      assert.deepEqual([record?.status, record?.reason], [401, 'TokenNotPresent']);
      await client.close();
    }));
  test('is told plainly to what is no call: GET with the content type of gRPC', () =>
    play(echoHeads, {}, async ({ world }) => {
      const client = openHttp2(world.port);
      const { status, headers } = await client.call({ ...CALL, ':method': 'GET', ':path': '/closed/x' });
      assert.deepEqual([status, headers['grpc-status']], [401, undefined]);
      await client.close();
    }));
  test('an app that cannot be reached: 14, AppUnavailable', async () => {
    const world = await startWorld(1, {});
    const client = openHttp2(world.port);
    const { headers } = await client.call(CALL, 'x');
    assert.deepEqual([headers['grpc-status'], headers['grpc-message']], ['14', 'AppUnavailable']);
    await client.close();
    await world.stop();
  });
  test('an app that does not answer: 4, AppTimeout', () =>
    call(
      () => undefined,
      async client => {
        const { headers } = await client.call(CALL, 'x');
        assert.deepEqual([headers['grpc-status'], headers['grpc-message']], ['4', 'AppTimeout']);
      },
      { app: { timeouts: { connect: 1000, response: 100, idle: 5000, poolIdle: 4000 } } },
    ));
  test('gRPC-Web is answered as plain HTTP', () =>
    play(echoHeads, {}, async ({ world }) => {
      const client = openHttp2(world.port);
      const { status } = await client.call(
        { ...CALL, ':path': '/closed', 'content-type': 'application/grpc-web' },
        'x',
      );
      assert.equal(status, 401);
      await client.close();
    }));
});

describe('an open call that is denied (M7) ends with the status of the denial', () => {
  const HEAD = { ':status': 200, 'content-type': 'application/grpc' };
  const BEARING = { ...CALL, ':path': '/fleet.Orders/Watch', authorization: 'Bearer good' };
  const good: WorldParts = { evidence: { token: () => token() } };
  const bad: WorldParts = { evidence: { token: () => ({ state: 'refused', reason: 'TokenExpired' }) } };
  const forbids = step({ type: 'ipFilter', ipFilter: createAddressFilter(undefined, ['127.0.0.1']) });

  /** What the client is told, and the code by which the app's stream ended. */
  async function revoke(
    next: WorldParts,
    head: Record<string, string | number> = HEAD,
    asked: Record<string, string> = BEARING,
    ends = true,
  ): Promise<{ told: Told; atApp: number; record: RequestRecord | undefined }> {
    const atApp: ServerHttp2Stream[] = [];
    const serve: Serve = stream => {
      atApp.push(stream);
      stream.respond(head, { waitForTrailers: true });
      stream.write(encodeMessage('one'));
    };
    let found: { told: Told; atApp: number; record: RequestRecord | undefined } | undefined;
    await call(
      serve,
      async (client, world) => {
        const stream = client.open(asked, false);
        const told = hear(stream);
        if (ends) stream.end(encodeMessage('go'));
        else stream.write(encodeMessage('go'));
        await new Promise(resolve => stream.once('data', resolve));
        const [last] = atApp;
        const closed = new Promise(resolve => last?.once('close', resolve));
        world.publish({ app: { protocol: 'HTTP2' }, ...next });
        found = { told: await told, atApp: (await closed, last?.rstCode ?? -1), record: (await world.recorded(1))[0] };
      },
      { ...good, app: { protocol: 'HTTP2' } },
    );
    assert.ok(found !== undefined);
    return found;
  }

  for (const ends of [true, false]) {
    test(`in trailers, while the app's side is reset; the client's half is ${ends ? 'ended' : 'open'}`, async () => {
      const { told, atApp, record } = await revoke(bad, HEAD, BEARING, ends);
      assert.deepEqual(
        [told.status, decodeMessages(told.body), told.code, told.trailers?.['grpc-status']],
        [200, ['one'], 0, '16'],
      );
      assert.equal(told.trailers?.['grpc-message'], 'TokenExpired');
      assert.equal(atApp, 8);
      assert.deepEqual(
        [record?.verdict, record?.reason, record?.step, record?.status, record?.bytesOut, record?.cut],
        ['Deny', 'TokenExpired', BEARER.name, 200, 8, undefined],
      );
    });
  }
  test('by the same table as a denial before it: 403 is 7', async () => {
    const { told } = await revoke({ ...good, routes: [['/', [BEARER, forbids]]] });
    assert.equal(told.trailers?.['grpc-status'], '7');
  });

  const RESET: Readonly<
    Record<string, readonly [head: Record<string, string | number>, asked?: Record<string, string>]>
  > = {
    'an answer that is none of gRPC': [{ ':status': 200, 'content-type': 'text/event-stream' }],
    'an answer to what is no call of gRPC': [HEAD, { ...BEARING, 'content-type': 'application/grpc-web' }],
    'an answer that has told its length': [{ ...HEAD, 'content-length': 1000 }],
  };
  for (const [sentence, [head, asked]] of Object.entries(RESET)) {
    test(`but a reset ends ${sentence}: it must not look whole`, async () => {
      const { told, record } = await revoke(bad, head, asked);
      assert.deepEqual([told.code, told.trailers], [2, undefined]);
      assert.deepEqual([record?.verdict, record?.reason], ['Deny', 'TokenExpired']);
    });
  }

  test('a client that does not take it has its stream reset within 2 s', () =>
    play(undefined, { ...good, app: { protocol: 'HTTP1' } }, async ({ world, app }) => {
      const wire = openFrames(world.port).request(1, [
        ':method',
        'POST',
        ':scheme',
        'http',
        ':authority',
        'fleet.example.com',
        ':path',
        '/x',
        'content-type',
        'application/grpc',
        'authorization',
        'Bearer good',
      ]);
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      behind.send('HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n');
      behind.send(`13880\r\n${'x'.repeat(80_000)}\r\n`);
      const got = (): number =>
        wire.frames.reduce((sum, { type, payload }) => (type === FRAME.data ? sum + payload.length : sum), 0);
      await wire.find(() => got() === 65_535);
      world.publish({ ...bad, app: { protocol: 'HTTP1' } });
      await behind.gone();
      assert.equal(world.records.length, 0);
      world.advance(2000);
      assert.ok(await wire.find(({ type, stream }) => type === FRAME.reset && stream === 1));
      assert.deepEqual([(await world.recorded(1))[0]?.verdict, world.records[0]?.cut], ['Deny', true]);
      wire.socket.destroy();
    }));
});
