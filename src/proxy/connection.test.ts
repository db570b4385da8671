import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { play } from './testing/world.ts';
import { echoHeads, openWire } from './testing/wire.ts';

const get = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: a.example\r\n${more}\r\n`;
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

describe('a connection', () => {
  test('serves one request after another, on one connection to the app', () =>
    play(echoHeads, {}, async ({ world, app }) => {
      const wire = openWire(world.port);
      for (let i = 0; i < 5; i += 1) {
        assert.match((await wire.send(get(`/open/${i}`)).takeAnswer()).body, new RegExp(`^GET /open/${i} `));
      }
      assert.equal(app.wires.length, 1);
      wire.socket.destroy();
    }));

  test('serves pipelined requests in order, one at a time', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(get('/open/1') + get('/open/2') + get('/closed') + get('/open/3'));
      const behind = await app.connection(0);
      assert.match(await behind.take(/\r\n\r\n/), /^GET \/open\/1 /);
      await new Promise(resolve => setTimeout(resolve, 20));
      assert.equal(behind.received, '');
      behind.send(OK);
      assert.match(await behind.take(/\r\n\r\n/), /^GET \/open\/2 /);
      behind.send(OK);
      assert.match(await behind.take(/\r\n\r\n/), /^GET \/open\/3 /);
      behind.send(OK);
      const statuses: number[] = [];
      for (let i = 0; i < 4; i += 1) statuses.push((await wire.takeAnswer()).status);
      assert.deepEqual(statuses, [200, 200, 401, 200]);
      wire.socket.destroy();
    }));

  test('a thousand pipelined denials are answered without growing the stack', () =>
    play(undefined, {}, async ({ world }) => {
      const wire = openWire(world.port).send(get('/closed').repeat(1000));
      for (let i = 0; i < 1000; i += 1) assert.equal((await wire.takeAnswer()).status, 401);
      wire.socket.destroy();
    }));

  test('takes no more than its bound of what is pipelined', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(get('/open'));
      await (await app.connection(0)).take(/\r\n\r\n/);
      const piece = Buffer.from(get('/open').repeat(1000));
      for (let i = 0; i < 400; i += 1) wire.socket.write(piece);
      await new Promise(resolve => setTimeout(resolve, 200));
      assert.ok(wire.socket.writableLength > 4 * 1024 * 1024, 'the proxy took it all');
      wire.socket.destroy();
    }));

  test('the head may come in pieces of one byte', () =>
    play(echoHeads, {}, async ({ world }) => {
      const wire = openWire(world.port);
      for (const byte of get('/open')) wire.socket.write(byte);
      assert.equal((await wire.takeAnswer()).status, 200);
      wire.socket.destroy();
    }));

  test('Connection: close is obeyed', () =>
    play(echoHeads, {}, async ({ world }) => {
      const all = await openWire(world.port).send(get('/open', 'Connection: close\r\n')).takeAll();
      assert.match(all, /^HTTP\/1\.1 200 [^]*\r\nConnection: close\r\n\r\nGET/);
    }));

  test('HTTP/1.0 keeps its connection only on request', () =>
    play(echoHeads, {}, async ({ world }) => {
      assert.match(await openWire(world.port).send('GET /open HTTP/1.0\r\n\r\n').takeAll(), /Connection: close/);
      const kept = openWire(world.port);
      for (let i = 0; i < 2; i += 1) {
        const { head } = await kept
          .send('GET /open HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n')
          .takeAnswer();
        assert.match(head, /Connection: keep-alive\r\n/);
      }
      kept.socket.destroy();
    }));

  test('a FIN after a whole request is no abort: the answer still comes', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(get('/open'));
      wire.socket.end();
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      await new Promise(resolve => setTimeout(resolve, 30));
      behind.send(OK);
      assert.match(await wire.takeAll(), /^HTTP\/1\.1 200 [^]*ok$/);
      await wire.gone();
    }));

  test('a FIN after pipelined requests: all of them are answered', () =>
    play(echoHeads, {}, async ({ world }) => {
      const wire = openWire(world.port).send(get('/open/1') + get('/open/2') + get('/open/3'));
      wire.socket.end();
      assert.equal((await wire.takeAll()).split('HTTP/1.1 200 OK').length, 4);
    }));

  test('a client that resets ends the exchange with the app', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(get('/open'));
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      wire.socket.resetAndDestroy();
      await behind.gone();
      const [record] = await world.recorded(1);
      assert.equal(record?.status, 499);
    }));

  test('a head that is not whole in time is 408; the clock is of the whole head', () =>
    play(undefined, { limits: { headTimeout: 1000 } }, async ({ world }) => {
      const wire = openWire(world.port).send('GET /open HTTP/1.1\r\n');
      await new Promise(resolve => setTimeout(resolve, 30));
      world.advance(600);
      wire.send('Host: a\r\n');
      await new Promise(resolve => setTimeout(resolve, 30));
      world.advance(600);
      assert.match(await wire.takeAll(), /^HTTP\/1\.1 408 [^]*Connection: close[^]*RequestTimeout/);
    }));

  test('a connection on which nothing is said ends with the clock of the first head', () =>
    play(undefined, { limits: { headTimeout: 1000 } }, async ({ world }) => {
      const wire = openWire(world.port);
      await new Promise(resolve => setTimeout(resolve, 30));
      world.advance(1100);
      assert.equal(await wire.takeAll(), '');
    }));

  test('an idle connection is kept for clientIdle and no longer', () =>
    play(echoHeads, { limits: { clientIdle: 600_000 } }, async ({ world }) => {
      const wire = openWire(world.port).send(get('/open'));
      await wire.takeAnswer();
      world.advance(599_000);
      await new Promise(resolve => setTimeout(resolve, 300));
      assert.equal((await wire.send(get('/open')).takeAnswer()).status, 200);
      world.advance(601_000);
      assert.equal(await wire.takeAll(), '');
    }));
});

describe('a denial with the body unread', () => {
  const upload = (length: number): string =>
    `POST /closed HTTP/1.1\r\nHost: a.example\r\nContent-Length: ${length}\r\n\r\n`;

  test('that is already here is dropped, and the connection stays', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(`${upload(5)}hello`);
      assert.equal((await wire.takeAnswer()).status, 401);
      wire.send(`${upload(5)}world${get('/closed')}`);
      assert.equal((await wire.takeAnswer()).status, 401);
      assert.equal((await wire.takeAnswer()).status, 401);
      assert.equal(app.wires.length, 0);
      wire.socket.destroy();
    }));

  test('that is still to come: the answer says close, and is not lost to a reset', () =>
    play(undefined, {}, async ({ world }) => {
      const wire = openWire(world.port).send(upload(200_000));
      wire.socket.write(Buffer.alloc(100_000));
      const all = await wire.takeAll();
      assert.match(all, /^HTTP\/1\.1 401 [^]*Connection: close/);
      wire.socket.write(Buffer.alloc(100_000));
      await new Promise(resolve => setTimeout(resolve, 50));
      assert.equal(wire.reset, false);
      wire.socket.destroy();
    }));

  test('no more than 256 KiB of it is discarded', () =>
    play(undefined, {}, async ({ world }) => {
      const wire = openWire(world.port).send(upload(10_000_000));
      await wire.takeAll();
      wire.socket.write(Buffer.alloc(1_000_000));
      const more = setInterval(() => wire.socket.write('x'), 20);
      await wire.gone();
      clearInterval(more);
    }));

  test('the discarding ends after two seconds', () =>
    play(undefined, {}, async ({ world }) => {
      const wire = openWire(world.port).send(upload(10_000));
      await wire.takeAll();
      world.advance(2100);
      await new Promise(resolve => setTimeout(resolve, 300));
      // Closed on the other side: what is sent now is answered by a reset.
      wire.send('x');
      await new Promise(resolve => setTimeout(resolve, 20));
      wire.send('x');
      await wire.gone();
    }));
});

describe('what is malformed is refused, the connection ends, and nothing reaches the app', () => {
  const CASES: readonly (readonly [string, string, number])[] = [
    ['a bare line feed', 'GET /open HTTP/1.1\nHost: a\n\n', 400],
    ['a space before the colon', 'GET /open HTTP/1.1\r\nHost : a\r\n\r\n', 400],
    ['a folded header', 'GET /open HTTP/1.1\r\nHost: a\r\n b\r\n\r\n', 400],
    ['no Host', 'GET /open HTTP/1.1\r\n\r\n', 400],
    ['two Hosts', 'GET /open HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n', 400],
    ['a NUL', 'GET /open HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n', 400],
    ['an absolute target for another host', 'GET http://b/open HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['CONNECT', 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n', 405],
    ['HTTP/2 prior knowledge that is none', 'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n', 505],
    ['an encoded slash', 'GET /open%2f..%2fclosed HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['a fragment', 'GET /open#x HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['_method in the query', 'POST /open?_method=DELETE HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['both lengths', 'POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
    ['two lengths', 'POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello', 400],
    ['another transfer coding', 'POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n', 501],
    ['a head of 70 KiB', `GET /open HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(70 * 1024)}\r\n\r\n`, 431],
    ['101 headers', `GET /open HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(101)}\r\n`, 431],
    ['a target of 17 KiB', `GET /open/${'x'.repeat(17 * 1024)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414],
    ['TLS on a plaintext port', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', 400],
  ];
  for (const [sentence, text, status] of CASES) {
    test(`${sentence}: ${status}`, () =>
      play(echoHeads, {}, async ({ world, app }) => {
        const all = await openWire(world.port).send(`${text}GET /open/smuggled HTTP/1.1\r\nHost: a\r\n\r\n`).takeAll();
        assert.equal(all.slice(0, 12), `HTTP/1.1 ${status}`);
        assert.equal(all.split('HTTP/1.1 ').length, 2, 'one answer');
        assert.match(all, /Connection: close/);
        assert.equal(app.wires.length, 0);
      }));
  }

  test('Upgrade: h2c is not passed on: no tunnel past the policy', () =>
    play(echoHeads, {}, async ({ world }) => {
      const more = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n';
      const wire = openWire(world.port).send(get('/open', more));
      const { status, body } = await wire.takeAnswer();
      assert.equal(status, 200);
      assert.doesNotMatch(body, /upgrade|h2c|http2-settings/i);
      wire.socket.destroy();
    }));

  test('OPTIONS * is 404', () =>
    play(echoHeads, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send('OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n');
      assert.equal((await wire.takeAnswer()).status, 404);
      assert.equal(app.wires.length, 0);
      wire.socket.destroy();
    }));
});

describe('what throws where it should not', () => {
  test('is 500 and the end of the connection; nothing is forwarded and the proxy goes on', () =>
    play(
      echoHeads,
      {
        plan: {
          match: (_, __, path) => {
            if (path === '/boom') throw new TypeError('secret');
            return { kind: 'refused', reason: 'OperationNotFound', errors: NO_ERRORS };
          },
        },
      },
      async ({ world, app }) => {
        const all = await openWire(world.port).send(get('/boom')).takeAll();
        assert.match(all, /^HTTP\/1\.1 500 [^]*Connection: close/);
        assert.doesNotMatch(all, /secret/);
        const wire = openWire(world.port).send(get('/other'));
        assert.equal((await wire.takeAnswer()).status, 404);
        assert.equal(app.wires.length, 0);
        wire.socket.destroy();
      },
    ));
});

const NO_ERRORS = {
  format: 'Problem',
  includeReason: true,
  includePolicy: false,
  headers: [],
  overrides: new Map(),
} as const;
