import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { issueServer, listenerTls, material, openSecureWire, tlsSecret } from './testing/secure.ts';
import { play } from './testing/world.ts';
import { openWire, type Wire } from './testing/wire.ts';

const GET = 'GET /open HTTP/1.1\r\nHost: a.example\r\n\r\n';

/** An app that answers each request head with the same bytes. */
const says =
  (...answers: readonly string[]) =>
  (wire: Wire): void => {
    void (async () => {
      for (const answer of answers) {
        await wire.take(/\r\n\r\n/);
        wire.send(answer);
      }
    })().catch(() => undefined);
  };
const saysAndEnds =
  (answer: string) =>
  (wire: Wire): void => {
    void wire.take(/\r\n\r\n/).then(
      () => wire.socket.end(answer, 'latin1'),
      () => undefined,
    );
  };

const HINTED = 'HTTP/1.1 103 Early Hints\r\nX-A: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';

describe('the answer of the app', () => {
  test('of a counted length passes as it is', () =>
    play(says('HTTP/1.1 201 Whatever\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello'), {}, async ({ world }) => {
      const wire = openWire(world.port).send(GET);
      const answer = await wire.takeAnswer();
      assert.equal(answer.head, 'HTTP/1.1 201 Created\r\nX-A: b\r\nContent-Length: 5\r\n\r\n');
      assert.equal(answer.body, 'hello');
      wire.socket.destroy();
    }));

  test('in chunks stays chunked, without extensions, with the trailers that may pass', () =>
    play(
      says(
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nSet-Cookie: a=b\r\n\r\n',
      ),
      {},
      async ({ world }) => {
        const wire = openWire(world.port).send(GET);
        const head = await wire.take(/\r\n\r\n/);
        assert.match(head, /Transfer-Encoding: chunked\r\n/);
        assert.equal(await wire.take(/\r\n0\r\n[^]*?\r\n\r\n/), '3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n');
        wire.socket.destroy();
      },
    ));

  test('without a length ends with the connection and is chunked to HTTP/1.1 clients, which keep theirs', () =>
    play(saysAndEnds('HTTP/1.1 200 OK\r\n\r\nuntil the end'), {}, async ({ world }) => {
      const wire = openWire(world.port).send(GET);
      assert.match(await wire.take(/\r\n0\r\n\r\n/), /chunked\r\n\r\nd\r\nuntil the end\r\n0\r\n\r\n$/);
      assert.match(await wire.send(GET).take(/\r\n0\r\n\r\n/), /until the end/);
      wire.socket.destroy();
    }));

  test('without a length ends with the connection towards HTTP/1.0 clients', () =>
    play(saysAndEnds('HTTP/1.1 200 OK\r\n\r\nuntil the end'), {}, async ({ world }) => {
      const all = await openWire(world.port).send('GET /open HTTP/1.0\r\nConnection: keep-alive\r\n\r\n').takeAll();
      assert.match(all, /Connection: close\r\n\r\nuntil the end$/);
    }));

  test('in chunks is raw and ends with the connection towards HTTP/1.0 clients', () =>
    play(says('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'), {}, async ({ world }) => {
      const all = await openWire(world.port).send('GET /open HTTP/1.0\r\n\r\n').takeAll();
      assert.match(all, /Connection: close\r\n\r\nabc$/);
      assert.doesNotMatch(all, /chunked/);
    }));

  const BODILESS: readonly (readonly [string, string, string, RegExp])[] = [
    ['to HEAD has no body, but tells its length', 'HEAD', '200 OK\r\nContent-Length: 5', /Content-Length: 5\r\n/],
    ['204 has neither', 'GET', '204 No Content', /^HTTP\/1\.1 204 No Content\r\n\r\n$/],
    ['304 tells a length and has no body', 'GET', '304 Not Modified\r\nContent-Length: 5', /Content-Length: 5\r\n/],
  ];
  for (const [sentence, method, answer, expected] of BODILESS) {
    test(`${sentence}; the connection stays in use`, () =>
      play(says(`HTTP/1.1 ${answer}\r\n\r\n`, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'), {}, async stage => {
        const wire = openWire(stage.world.port).send(`${method} /open HTTP/1.1\r\nHost: a\r\n\r\n`);
        assert.match(await wire.take(/\r\n\r\n/), expected);
        assert.equal((await wire.send(GET).takeAnswer()).body, 'ok');
        assert.equal(stage.app.wires.length, 1);
        wire.socket.destroy();
      }));
  }

  const BROKEN: readonly (readonly [string, string])[] = [
    ['two different lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello'],
    ['two equal lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello'],
    ['both lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['another transfer coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
    ['a bare line feed', 'HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\nhello'],
    ['a space before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello'],
    ['another version', 'HTTP/2.0 200 OK\r\n\r\n'],
    ['no HTTP at all', 'SSH-2.0-OpenSSH_9.6\r\n\r\n'],
    [
      '101 that nobody asked for',
      'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
    ],
    ['17 informational answers', `${'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(17)}HTTP/1.1 200 OK\r\n\r\n`],
    ['a head of 200 KiB', `HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(200 * 1024)}\r\n\r\n`],
    ['100,000 headers', `HTTP/1.1 200 OK\r\n${'A: b\r\n'.repeat(100_000)}\r\n`],
  ];
  for (const [sentence, answer] of BROKEN) {
    test(`with ${sentence} is 502 AppProtocolError, and its connection is not used again`, () =>
      play(says(answer, answer), {}, async ({ world, app }) => {
        const wire = openWire(world.port).send(GET);
        const answered = await wire.take(/HTTP\/1\.1 502[^]*?\r\n\r\n[^]*?}$/);
        assert.match(answered, /AppProtocolError/);
        await (await app.connection(0)).gone();
        await wire.send(GET).take(/HTTP\/1\.1 502/);
        assert.equal(app.wires.length, 2);
        wire.socket.destroy();
      }));
  }

  test('that is reset before its end aborts the stream of the client: never a clean last chunk', () =>
    play(
      wire => {
        void wire.take(/\r\n\r\n/).then(() => {
          wire.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
          setTimeout(() => wire.socket.resetAndDestroy(), 20);
        });
      },
      {},
      async ({ world }) => {
        const wire = openWire(world.port).send(GET);
        await wire.take(/abc\r\n/);
        await wire.gone();
        assert.equal(wire.received, '');
        assert.equal(wire.reset, true);
      },
    ));

  const CUT: readonly (readonly [string, string])[] = [
    ['a counted body', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'],
    ['a chunked body', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'],
    ['a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc'],
  ];
  for (const [sentence, answer] of CUT) {
    test(`that ends within ${sentence} aborts the stream of the client`, () =>
      play(saysAndEnds(answer), {}, async ({ world }) => {
        const wire = openWire(world.port).send(GET);
        await wire.gone();
        assert.equal(wire.reset, true);
        assert.doesNotMatch(wire.received, /\r\n0\r\n\r\n/);
      }));
  }

  test('that is cut reaches an HTTP/1.0 client as a reset, not as the end of the body', () =>
    play(saysAndEnds('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'), {}, async ({ world }) => {
      const wire = openWire(world.port).send('GET /open HTTP/1.0\r\n\r\n');
      await wire.gone();
      assert.deepEqual([wire.reset, wire.ended], [true, false]);
    }));

  test('that is cut reaches a TLS client as a reset', () =>
    play(
      saysAndEnds('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'),
      {
        material: material({ 'shop/fleet-tls': tlsSecret(issueServer('fleet.example.com')) }),
        plan: { tls: listenerTls() },
      },
      async ({ world }) => {
        const wire = await openSecureWire(world.port);
        wire.send('GET /open HTTP/1.0\r\nHost: fleet.example.com\r\n\r\n');
        await wire.gone();
        assert.deepEqual([wire.reset, wire.ended], [true, false]);
      },
    ));

  test('an informational answer passes to HTTP/1.1 and not to HTTP/1.0', () =>
    play(says(HINTED, HINTED), {}, async ({ world }) => {
      const wire = openWire(world.port).send(GET);
      assert.equal(await wire.take(/\r\n\r\n/), 'HTTP/1.1 103 Early Hints\r\nX-A: b\r\n\r\n');
      assert.match(await wire.take(/\r\n\r\n/), /^HTTP\/1\.1 200 OK/);
      wire.socket.destroy();
      const old = await openWire(world.port).send('GET /open HTTP/1.0\r\n\r\n').takeAll();
      assert.doesNotMatch(old, /^HTTP\S* 103 /m);
    }));

  test('hop-by-hop headers, and those that Connection names, stay behind', () =>
    play(
      says(
        'HTTP/1.1 200 OK\r\nConnection: X-Internal, keep-alive\r\nX-Internal: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: x\r\nContent-Length: 0\r\n\r\n',
      ),
      {},
      async ({ world }) => {
        const wire = openWire(world.port).send(GET);
        assert.equal((await wire.takeAnswer()).head, 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
        wire.socket.destroy();
      },
    ));

  test('a large body passes whole, and a client that does not read stops the app', () =>
    play(
      wire => {
        void wire.take(/\r\n\r\n/).then(() => {
          const size = 64 * 1024 * 1024;
          wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
          let left = size;
          const piece = Buffer.alloc(64 * 1024, 'x');
          const pump = (): void => {
            while (left > 0) {
              left -= piece.length;
              if (!wire.socket.write(piece)) return void wire.socket.once('drain', pump);
            }
          };
          pump();
        });
      },
      {},
      async ({ world, app }) => {
        const wire = openWire(world.port);
        wire.send(GET);
        await wire.take(/\r\n\r\n/);
        wire.socket.pause();
        await new Promise(resolve => setTimeout(resolve, 200));
        const stalled = (await app.connection(0)).socket.bytesWritten;
        assert.ok(stalled < 24 * 1024 * 1024, `${stalled} bytes were taken from the app`);
        wire.socket.removeAllListeners('data');
        let received = wire.received.length;
        wire.received = '';
        await new Promise<void>(resolve => {
          wire.socket.on('data', (chunk: Buffer) => {
            received += chunk.length;
            if (received === 64 * 1024 * 1024) resolve();
          });
          wire.socket.resume();
        });
        wire.socket.destroy();
      },
    ));
});
