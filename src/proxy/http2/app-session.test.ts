import assert from 'node:assert/strict';
import type { ServerHttp2Stream } from 'node:http2';
import { describe, test } from 'node:test';
import { createAuthority } from '../../demo/pki.ts';
import type { AppCertificate } from '../generation.ts';
import { issueServer, material, serverAuthority } from '../testing/secure.ts';
import { startWorld, type World, type WorldParts } from '../testing/world.ts';
import { echoStream, startHttp2App, type Http2App, type Serve } from '../testing/http2-app.ts';
import { openHttp2 } from '../testing/http2-client.ts';
import { openWire } from '../testing/wire.ts';

const GET = 'GET /open HTTP/1.1\r\nHost: fleet.example.com\r\n\r\n';
const HTTP2: WorldParts = { app: { protocol: 'HTTP2' } };

interface Scene {
  readonly app: Http2App;
  readonly world: World;
}

async function withApp(
  serve: Serve,
  parts: WorldParts,
  scene: (scene: Scene) => Promise<void>,
  streams?: number,
): Promise<void> {
  const app = await startHttp2App(serve, undefined, streams);
  const world = await startWorld(app.port, parts);
  try {
    await scene({ app, world });
  } finally {
    await world.stop();
    await app.stop();
  }
}

/** node:http2 finds the fault when it writes the head, and resets the stream for a breach of protocol. */
const answerMalformed: Serve = stream => {
  stream.respond([':status', '200', 'x-a', 'b\u0000'] as never, { endStream: true });
};

/** An answer of chunks, whole, with its trailers. */
async function ask(world: World, text: string): Promise<{ head: string; rest: string }> {
  const wire = openWire(world.port).send(text);
  const head = await wire.take(/\r\n\r\n/);
  const rest = /transfer-encoding: chunked/i.test(head) ? await wire.take(/\r\n0\r\n[^]*?\r\n\r\n|^0\r\n\r\n/) : '';
  wire.socket.destroy();
  return { head, rest };
}

describe('an app that speaks HTTP/2', () => {
  test('serves HTTP/1.1 clients: Host is :authority, bodies and trailers pass', () =>
    withApp(echoStream, HTTP2, async ({ world }) => {
      const chunked =
        'Transfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n';
      const text = `POST /open/a?b=c HTTP/1.1\r\nHost: fleet.example.com\r\nX-Up: Case\r\n${chunked}`;
      const { head, rest } = await ask(world, text);
      assert.match(head, /^HTTP\/1.1 200 OK\r\n/);
      const told = JSON.parse(/\{.*\}/.exec(rest)?.[0] ?? '') as {
        headers: Record<string, string>;
        body: string;
        trailers: Record<string, string>;
      };
      assert.equal(told.headers[':authority'], 'fleet.example.com');
      assert.equal(told.headers[':path'], '/open/a?b=c');
      assert.equal(told.headers['x-up'], 'Case');
      assert.equal(told.headers['x-forwarded-for'], '127.0.0.1');
      assert.equal(told.headers['transfer-encoding'], undefined);
      assert.equal(told.body, 'abcde');
      assert.equal(told.trailers['x-sum'], '5');
      assert.match(rest, /\r\n0\r\nx-end: yes\r\n\r\n$/);
    }));
  test('serves HTTP/2 clients over one connection', () =>
    withApp(echoStream, HTTP2, async ({ world, app }) => {
      const client = openHttp2(world.port);
      const calls = Array.from({ length: 50 }, (_, at) =>
        client.call({ ':path': `/open/${at}`, ':method': 'POST' }, 'x'),
      );
      for (const [at, told] of (await Promise.all(calls)).entries()) {
        assert.equal(told.status, 200);
        assert.match(told.body, new RegExp(`"/open/${at}"`));
        assert.equal(told.trailers?.['x-end'], 'yes');
      }
      assert.equal(app.sessions.length, 1);
      await client.close();
    }));
  test('its bound on streams is honoured: more of them go over another connection', async () => {
    const streams: ServerHttp2Stream[] = [];
    await withApp(
      stream => void streams.push(stream),
      HTTP2,
      async ({ world, app }) => {
        const client = openHttp2(world.port);
        const first = client.call();
        while (streams.length < 1) await new Promise(resolve => setImmediate(resolve));
        const others = [client.call(), client.call()];
        while (streams.length < 3) await new Promise(resolve => setImmediate(resolve));
        assert.equal(app.sessions.length, 2);
        for (const stream of streams) stream.respond({ ':status': 204 }, { endStream: true });
        for (const told of await Promise.all([first, ...others])) assert.equal(told.status, 204);
        await client.close();
      },
      2,
    );
  });
  for (const [sentence, serve, status, reason] of [
    ['resets the stream', stream => stream.close(2), 502, 'AppUnavailable'],
    ['destroys its connection', stream => stream.session?.destroy(), 502, 'AppUnavailable'],
  ] as const satisfies readonly (readonly [string, Serve, number, string])[]) {
    test(`that ${sentence} is ${status} ${reason}`, () =>
      withApp(serve, HTTP2, async ({ world }) => {
        const wire = openWire(world.port).send(GET);
        const answer = await wire.takeAnswer();
        assert.equal(answer.status, status);
        assert.match(answer.body, new RegExp(reason));
        wire.socket.destroy();
      }));
  }
  test('a stream that it has not looked at is tried once more, whatever the method', async () => {
    let asked = 0;
    await withApp(
      stream => {
        if (asked++ === 0) stream.close(7);
        else stream.respond({ ':status': 200 }, { endStream: true });
      },
      HTTP2,
      async ({ world }) => {
        const client = openHttp2(world.port);
        assert.equal((await client.call({ ':method': 'POST' })).status, 200);
        assert.equal(asked, 2);
        await client.close();
      },
    );
  });
  for (const [sentence, spoil, reason] of [
    ['resets', stream => stream.close(8), 'AppUnavailable'],
    ['answers with what HTTP/2 does not allow', answerMalformed, 'AppProtocolError'],
  ] as const satisfies readonly (readonly [string, Serve, string])[]) {
    test(`a DELETE that it ${sentence} reaches it once, on a connection that has served before`, async () => {
      let asked = 0;
      await withApp(
        (stream, headers) => {
          if (headers[':method'] === 'GET') return stream.respond({ ':status': 200 }, { endStream: true });
          asked++;
          spoil(stream, headers);
        },
        HTTP2,
        async ({ world, app }) => {
          const client = openHttp2(world.port);
          assert.equal((await client.call()).status, 200);
          const { status, body } = await client.call({ ':method': 'DELETE' });
          assert.equal(status, 502);
          assert.match(body, new RegExp(reason));
          assert.deepEqual([asked, app.sessions.length], [1, 1]);
          await client.close();
        },
      );
    });
  }
  test('an answer that is cut off is no whole one', () =>
    withApp(
      stream => {
        stream.respond({ ':status': 200 });
        stream.write('half');
        // close(2) would end it in order first (cut.ts).
        setTimeout(() => stream.destroy(new Error('cut off')), 50);
      },
      HTTP2,
      async ({ world }) => {
        const client = openHttp2(world.port);
        const told = await client.call();
        assert.deepEqual([told.status, told.body, told.code], [200, 'half', 2]);
        const wire = openWire(world.port).send(GET);
        assert.doesNotMatch(await wire.takeAll(), /\r\n0\r\n\r\n$/);
        await client.close();
      },
    ));
  test('that says goodbye gets no new streams, and its last answers come', async () => {
    const streams: ServerHttp2Stream[] = [];
    await withApp(
      stream => void streams.push(stream),
      HTTP2,
      async ({ world, app }) => {
        const client = openHttp2(world.port);
        const first = client.call();
        while (streams.length < 1) await new Promise(resolve => setImmediate(resolve));
        app.sessions[0]?.close();
        await new Promise(resolve => setTimeout(resolve, 50));
        const second = client.call();
        while (streams.length < 2) await new Promise(resolve => setImmediate(resolve));
        assert.equal(app.sessions.length, 2);
        for (const stream of streams) stream.respond({ ':status': 204 }, { endStream: true });
        assert.deepEqual([(await first).status, (await second).status], [204, 204]);
        await client.close();
      },
    );
  });
  test('HEAD, 204 and 304 have no body, but the length that was told', () =>
    withApp(
      (stream, headers) => {
        if (headers[':method'] === 'HEAD')
          stream.respond({ ':status': 200, 'content-length': '5' }, { endStream: true });
        else stream.respond({ ':status': 304, etag: '"a"' }, { endStream: true });
      },
      HTTP2,
      async ({ world }) => {
        const client = openHttp2(world.port);
        const head = await client.call({ ':method': 'HEAD' });
        assert.deepEqual([head.status, head.headers['content-length'], head.body], [200, '5', '']);
        assert.equal((await client.call()).headers.etag, '"a"');
        const wire = openWire(world.port).send(GET.replace('GET', 'HEAD'));
        assert.match(await wire.take(/\r\n\r\n/), /^HTTP\/1.1 200 OK\r\n[^]*content-length: 5\r\n/i);
        wire.socket.destroy();
        await client.close();
      },
    ));
  test('that does not answer in time is 504, and one that does not answer a PING either is left', () =>
    withApp(
      () => undefined,
      { app: { protocol: 'HTTP2', timeouts: { connect: 1000, response: 200, idle: 5000, poolIdle: 4000 } } },
      async ({ world }) => {
        const client = openHttp2(world.port);
        assert.equal((await client.call()).status, 504);
        await client.close();
      },
    ));
  test('a WebSocket cannot be carried: 502', () =>
    withApp(echoStream, HTTP2, async ({ world }) => {
      const upgrade =
        'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a\r\n\r\n';
      const wire = openWire(world.port).send(`GET /open HTTP/1.1\r\nHost: a.example\r\n${upgrade}`);
      assert.equal((await wire.takeAnswer()).status, 502);
      wire.socket.destroy();
    }));
  test('a large body passes both ways with a slow reader', () =>
    withApp(
      stream => {
        stream.respond({ ':status': 200 });
        stream.pipe(stream);
      },
      HTTP2,
      async ({ world }) => {
        const client = openHttp2(world.port);
        const stream = client.open({ ':method': 'POST' }, false);
        let size = 0;
        const body = Buffer.alloc(4 * 1024 * 1024, 'a');
        stream.end(body);
        for await (const chunk of stream as AsyncIterable<Buffer>) {
          size += chunk.length;
          if (size < 300_000) await new Promise(resolve => setTimeout(resolve, 5));
        }
        assert.equal(size, body.length);
        await client.close();
      },
    ));
});

describe('HTTP/2 to the app over TLS', () => {
  const mesh = createAuthority({ name: 'mesh-ca' });
  const issue = (): AppCertificate => {
    const issued = mesh.issue({ subject: 'sidecar' });
    return { certificate: issued.chainPem, key: issued.keyPem, sha256: issued.sha256 };
  };
  const server = issueServer('fleet.shop.svc');
  const secure = { cert: server.chainPem, key: server.keyPem, ca: mesh.certificatePem, requestCert: true };
  const parts = (given: AppCertificate, protocol: 'Auto' | 'HTTP1' | 'HTTP2' = 'Auto'): WorldParts => ({
    app: {
      protocol,
      scheme: 'https',
      serverName: 'fleet.shop.svc',
      trust: { configMapKeyRef: { name: 'app-ca', key: 'ca.crt' } },
    },
    pipeline: { certificateCredential: 'shop/mesh' },
    credentials: { clientCertificate: () => given },
    material: material({}, { 'shop/app-ca': { 'ca.crt': serverAuthority.certificatePem } }),
  });
  const tell: Serve = (stream, headers) => {
    stream.respond({ ':status': 200, 'x-scheme': headers[':scheme'] ?? '' }, { endStream: true });
  };

  test('Auto speaks what ALPN says; many at once share the first connection', async () => {
    const app = await startHttp2App(tell, { ...secure, rejectUnauthorized: true });
    const world = await startWorld(app.port, parts(issue()));
    const client = openHttp2(world.port);
    const calls = await Promise.all(Array.from({ length: 20 }, () => client.call()));
    assert.deepEqual(
      calls.map(({ status, headers }) => [status, headers['x-scheme']]),
      calls.map(() => [200, 'https']),
    );
    assert.equal(app.sessions.length, 1);
    await client.close();
    await world.stop();
    await app.stop();
  });
  test('a new certificate is presented on a new connection; what is open on the old one ends in order', async () => {
    const streams: ServerHttp2Stream[] = [];
    const app = await startHttp2App(stream => void streams.push(stream), { ...secure, rejectUnauthorized: true });
    const [first, second] = [issue(), issue()];
    const world = await startWorld(app.port, parts(first));
    const client = openHttp2(world.port);
    const old = client.call();
    while (streams.length < 1) await new Promise(resolve => setImmediate(resolve));
    world.publish(parts(second));
    const fresh = client.call();
    while (streams.length < 2) await new Promise(resolve => setImmediate(resolve));
    assert.equal(app.sessions.length, 2);
    for (const stream of streams) stream.respond({ ':status': 204 }, { endStream: true });
    assert.deepEqual([(await old).status, (await fresh).status], [204, 204]);
    await client.close();
    await world.stop();
    await app.stop();
  });
  test('HTTP2 with an app that does not speak it is 502', async () => {
    const { createServer } = await import('node:tls');
    const plain = createServer({ cert: server.chainPem, key: server.keyPem }, socket =>
      socket.on('error', () => undefined),
    );
    await new Promise<void>(resolve => plain.listen(0, '127.0.0.1', resolve));
    const address = plain.address();
    const world = await startWorld(typeof address === 'object' ? (address?.port ?? 0) : 0, parts(issue(), 'HTTP2'));
    const wire = openWire(world.port).send(GET);
    const { status, body } = await wire.takeAnswer();
    assert.equal(status, 502);
    assert.match(body, /AppProtocolError/);
    wire.socket.destroy();
    await world.stop();
    plain.close();
  });
});
