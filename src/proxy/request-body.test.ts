import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { step } from '../decision/testing/fakes.ts';
import { OPEN, play } from './testing/world.ts';
import { openWire, type Wire } from './testing/wire.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** Reads whole requests with bodies and answers with what it got. */
function echoBodies(wire: Wire): void {
  void (async () => {
    for (;;) {
      const head = await wire.take(/\r\n\r\n/);
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      const body = /chunked/i.test(head)
        ? await wire.take(/(?:^|\r\n)0\r\n[^]*?\r\n$/)
        : await wire.take(new RegExp(`^[^]{${length}}`));
      const text = head + body;
      wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
    }
  })().catch(() => undefined);
}

const POST = 'POST /open HTTP/1.1\r\nHost: a.example\r\n';

describe('the body of a request', () => {
  test('of a counted length reaches the app, in one piece with the head or after it', () =>
    play(echoBodies, {}, async ({ world }) => {
      const wire = openWire(world.port).send(`${POST}Content-Length: 5\r\n\r\nhello`);
      assert.match((await wire.takeAnswer()).body, /Content-Length: 5\r\n[^]*\r\n\r\nhello$/);
      wire.send(`${POST}Content-Length: 5\r\n\r\n`);
      setTimeout(() => wire.send('he'), 10);
      setTimeout(() => wire.send('llo'), 20);
      assert.match((await wire.takeAnswer()).body, /\r\n\r\nhello$/);
      wire.socket.destroy();
    }));

  test('in chunks is framed afresh: extensions and forbidden trailers do not pass', () =>
    play(echoBodies, { snapshot: { reservedHeaders: new Set(['x-device']) } }, async ({ world }) => {
      const wire = openWire(world.port);
      wire.send(`${POST}Transfer-Encoding: chunked\r\n\r\n3;a="b"\r\nabc\r\n`);
      setTimeout(
        () =>
          wire.send('2\r\nde\r\n0\r\nX-Sum: 1\r\nX_Device: forged\r\nAuthorization: x\r\nContent-Length: 4\r\n\r\n'),
        10,
      );
      const { body } = await wire.takeAnswer();
      assert.match(body, /\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n$/);
      wire.socket.destroy();
    }));

  test('takes no trailer along that is named like a credential or the trace, in any spelling', () =>
    play(
      echoBodies,
      {
        pipeline: { barredTrailers: new Set(['ocp-apim-subscription-key']) },
        routes: [['/', [OPEN, step({ type: 'removeHeaders', removeHeaders: ['x-internal'] })]]],
      },
      async ({ world }) => {
        const names = ['Ocp-Apim-Subscription-Key', 'Ocp_Apim.Subscription_Key', 'traceparent', 'X_Internal'];
        const trailers = [...names.map(name => `${name}: forged`), 'X-Sum: 1'].join('\r\n');
        const wire = openWire(world.port);
        wire.send(`${POST}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n${trailers}\r\n\r\n`);
        assert.match((await wire.takeAnswer()).body, /\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n$/);
        wire.socket.destroy();
      },
    ));

  test('of many sizes arrives byte for byte', () =>
    play(
      wire => {
        void (async () => {
          for (;;) {
            const head = await wire.take(/\r\n\r\n/);
            const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
            for (let left = length; left > 0; left -= (await wire.take(/^y+/)).length);
            wire.send(OK);
          }
        })().catch(() => undefined);
      },
      {},
      async ({ world }) => {
        for (const size of [1, 16 * 1024, 16 * 1024 + 1, 65_536, 1_000_000, 16 * 1024 * 1024]) {
          const wire = openWire(world.port).send(`${POST}Content-Length: ${size}\r\nConnection: close\r\n\r\n`);
          wire.socket.write(Buffer.alloc(size, 'y'));
          assert.equal((await wire.takeAnswer()).status, 200);
          wire.socket.destroy();
        }
      },
    ));

  test('larger than bodyBytes is 413 by its length, and nothing reaches the app', () =>
    play(echoBodies, { api: { bodyBytes: 4 } }, async ({ world, app }) => {
      const all = await openWire(world.port).send(`${POST}Content-Length: 5\r\n\r\n`).takeAll();
      assert.match(all, /^HTTP\/1\.1 413 [^]*Connection: close[^]*BodyTooLarge/);
      assert.equal(app.wires.length, 0);
    }));

  test('larger than bodyBytes in chunks is 413, and the app never sees its end', () =>
    play(undefined, { api: { bodyBytes: 4 } }, async ({ world, app }) => {
      const wire = openWire(world.port).send(`${POST}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`);
      const behind = await app.connection(0);
      await behind.take(/abc/);
      assert.match(await wire.send('3\r\ndef\r\n0\r\n\r\n').takeAll(), /^HTTP\/1\.1 413 /);
      await behind.gone();
      assert.doesNotMatch(behind.received, /def|0\r\n\r\n/);
    }));

  test('with broken chunks is 400, and the app never sees its end', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(`${POST}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`);
      const behind = await app.connection(0);
      await behind.take(/abc/);
      assert.match(await wire.send('zz\r\n').takeAll(), /^HTTP\/1\.1 400 [^]*MalformedRequest/);
      await behind.gone();
      assert.doesNotMatch(behind.received, /0\r\n\r\n/);
    }));

  test('that falls silent for longer than bodyIdle is 408', () =>
    play(undefined, { api: { bodyIdleMs: 1000 } }, async ({ world, app }) => {
      const wire = openWire(world.port).send(`${POST}Content-Length: 5\r\n\r\nhe`);
      await (await app.connection(0)).take(/he$/);
      world.advance(1500);
      assert.match(await wire.takeAll(), /^HTTP\/1\.1 408 [^]*RequestTimeout/);
    }));

  test('that the client gives up ends the exchange with the app', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(`${POST}Content-Length: 5\r\n\r\nhe`);
      const behind = await app.connection(0);
      await behind.take(/he$/);
      wire.socket.end();
      await behind.gone();
    }));

  test('an app that does not read stops the client', () =>
    play(
      wire => void wire.socket.pause(),
      {},
      async ({ world }) => {
        const wire = openWire(world.port).send(`${POST}Content-Length: 67108864\r\n\r\n`);
        const piece = Buffer.alloc(64 * 1024);
        let sent = 0;
        while (sent < 64 && wire.socket.write(piece)) sent += 1;
        for (; sent < 1024; sent += 1) wire.socket.write(piece);
        await new Promise(resolve => setTimeout(resolve, 200));
        assert.ok(wire.socket.writableLength > 32 * 1024 * 1024, 'the proxy took it all');
        wire.socket.destroy();
      },
    ));
});

describe('Expect: 100-continue', () => {
  const EXPECTING = 'HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n';

  test('is decided first: a denial comes without 100', () =>
    play(undefined, {}, async ({ world, app }) => {
      const all = await openWire(world.port).send(`POST /closed ${EXPECTING}`).takeAll();
      assert.match(all, /^HTTP\/1\.1 401 /);
      assert.equal(app.wires.length, 0);
    }));

  test('is forwarded; the 100 of the app is relayed, then the body flows', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(`POST /open ${EXPECTING}`);
      const behind = await app.connection(0);
      assert.match(await behind.take(/\r\n\r\n/), /Expect: 100-continue\r\n/);
      behind.send('HTTP/1.1 100 Continue\r\n\r\n');
      assert.equal(await wire.take(/\r\n\r\n/), 'HTTP/1.1 100 Continue\r\n\r\n');
      wire.send('hello');
      await behind.take(/^hello/);
      behind.send(OK);
      assert.equal((await wire.takeAnswer()).body, 'ok');
      wire.socket.destroy();
    }));

  test('a final answer of the app comes through instead, and the connection ends', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(`POST /open ${EXPECTING}`);
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      behind.send('HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n');
      assert.match(await wire.takeAll(), /^HTTP\/1\.1 417 [^]*Connection: close/);
      await behind.gone();
    }));

  test('once a final answer has begun nothing is asked for any more', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(`POST /open ${EXPECTING}`);
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      behind.send('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc');
      await wire.take(/abc/);
      world.advance(1100);
      await new Promise(resolve => setTimeout(resolve, 300));
      behind.send('def');
      assert.equal(await wire.takeAll(), 'def');
    }));

  test('after a second of silence the body is asked for', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(`POST /open ${EXPECTING}`);
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      world.advance(1100);
      assert.equal(await wire.take(/\r\n\r\n/), 'HTTP/1.1 100 Continue\r\n\r\n');
      wire.send('hello');
      await behind.take(/^hello/);
      behind.send(`HTTP/1.1 100 Continue\r\n\r\n${OK}`);
      assert.match(await wire.take(/ok$/), /^HTTP\/1\.1 200/);
      wire.socket.destroy();
    }));

  test('a body that comes without waiting is held for a second, then sent', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(`POST /open ${EXPECTING}hello`);
      const behind = await app.connection(0);
      assert.match(await behind.take(/\r\n\r\n/), /Expect/);
      assert.equal(behind.received, '');
      world.advance(1100);
      await behind.take(/^hello/);
      behind.send(OK);
      assert.match(await wire.take(/ok$/), /^HTTP\/1\.1 200/);
      wire.socket.destroy();
    }));

  test('any other expectation is 417', () =>
    play(undefined, {}, async ({ world }) => {
      const all = await openWire(world.port)
        .send('POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: tea\r\n\r\n')
        .takeAll();
      assert.match(all, /^HTTP\/1\.1 417 [^]*ExpectationFailed/);
    }));
});
