import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { play, type Stage } from './testing/world.ts';
import { openWire, type Wire } from './testing/wire.ts';

const request = (method: string, more = '', body = ''): string =>
  `${method} /open HTTP/1.1\r\nHost: a.example\r\n${more}\r\n${body}`;
const GET = request('GET');
const answer = (more = ''): string => `HTTP/1.1 200 OK\r\n${more}Content-Length: 2\r\n\r\nok`;

/** One exchange on a new client connection; answers which app connection served it. */
async function exchange({ world, app }: Stage, count: number, reply = answer()): Promise<Wire> {
  const client = openWire(world.port).send(GET);
  const behind = await app.connection(count);
  await behind.take(/\r\n\r\n/);
  behind.send(reply);
  assert.equal((await client.takeAnswer()).status, 200);
  client.socket.destroy();
  return behind;
}
const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

describe('the pool of connections to the app', () => {
  test('an idle connection serves the next request, of another client too', () =>
    play(undefined, {}, async stage => {
      await exchange(stage, 0);
      await exchange(stage, 0);
      assert.equal(stage.app.wires.length, 1);
    }));

  test('after poolIdle it is closed', () =>
    play(undefined, {}, async stage => {
      const behind = await exchange(stage, 0);
      stage.world.advance(4100);
      await behind.gone();
    }));

  test('Keep-Alive: timeout of the app less a second is what counts, where it is told', () =>
    play(undefined, {}, async stage => {
      const behind = await exchange(stage, 0, answer('Keep-Alive: timeout=3\r\n'));
      stage.world.advance(1000);
      await pause(300);
      assert.equal(behind.closed, false);
      stage.world.advance(1000);
      await behind.gone();
    }));

  test('Connection: close of the app ends it', () =>
    play(undefined, {}, async stage => {
      await (await exchange(stage, 0, answer('Connection: close\r\n'))).gone();
      await exchange(stage, 1);
    }));

  const DIRTY: readonly (readonly [string, string])[] = [
    ['bytes after the answer', `${answer()}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`],
    ['one byte after the answer', `${answer()}\n`],
    ['a second answer after one without a body', 'HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n'],
    [
      'bytes after the last chunk',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
    ],
  ];
  for (const [sentence, reply] of DIRTY) {
    test(`with ${sentence} is never used again: nobody gets what another was sent`, () =>
      play(undefined, {}, async stage => {
        const client = openWire(stage.world.port).send(GET);
        const behind = await stage.app.connection(0);
        await behind.take(/\r\n\r\n/);
        behind.send(reply);
        await client.take(/\r\n\r\n/);
        await behind.gone();
        assert.doesNotMatch(client.received, /evil|HTTP\/1\.1/);
        client.socket.destroy();
        await exchange(stage, 1);
      }));
  }

  test('data on an idle connection closes it', () =>
    play(undefined, {}, async stage => {
      const behind = await exchange(stage, 0);
      await pause(20);
      behind.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil');
      await behind.gone();
      await exchange(stage, 1);
    }));

  for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']) {
    test(`${method} is repeated once on a new connection when a used one turns out closed`, () =>
      play(undefined, {}, async stage => {
        const { world, app } = stage;
        const behind = await exchange(stage, 0);
        const client = openWire(world.port).send(request(method, method === 'PUT' ? 'Content-Length: 0\r\n' : ''));
        await behind.take(/\r\n\r\n/);
        behind.socket.destroy();
        const second = await app.connection(1);
        await second.take(/\r\n\r\n/);
        second.send('HTTP/1.1 204 No Content\r\n\r\n');
        assert.equal((await client.takeAnswer()).status, 204);
        client.socket.destroy();
      }));
  }

  const ONCE: readonly (readonly [string, string])[] = [
    ['POST', request('POST', 'Content-Length: 0\r\n')],
    ['PATCH', request('PATCH', 'Content-Length: 0\r\n')],
    ['PUT with a body', request('PUT', 'Content-Length: 2\r\n', 'ab')],
    ['DELETE with an empty chunked body', request('DELETE', 'Transfer-Encoding: chunked\r\n', '0\r\n\r\n')],
  ];
  for (const [sentence, text] of ONCE) {
    test(`${sentence} is not repeated: 502`, () =>
      play(undefined, {}, async stage => {
        const { world, app } = stage;
        const behind = await exchange(stage, 0);
        const client = openWire(world.port).send(text);
        await behind.take(/\r\n\r\n/);
        behind.socket.destroy();
        assert.equal((await client.takeAnswer()).status, 502);
        assert.equal(app.wires.length, 1);
        client.socket.destroy();
      }));
  }

  test('nothing is repeated when the connection was new', () =>
    play(
      wire => void wire.take(/\r\n\r\n/).then(() => wire.socket.destroy()),
      {},
      async ({ world, app }) => {
        const client = openWire(world.port).send(GET);
        assert.equal((await client.takeAnswer()).status, 502);
        assert.equal(app.wires.length, 1);
        client.socket.destroy();
      },
    ));

  test('nothing is repeated once a byte of the answer came', () =>
    play(undefined, {}, async stage => {
      const { world, app } = stage;
      const behind = await exchange(stage, 0);
      const client = openWire(world.port).send(GET);
      await behind.take(/\r\n\r\n/);
      behind.socket.end('H');
      assert.equal((await client.takeAnswer()).status, 502);
      assert.equal(app.wires.length, 1);
      client.socket.destroy();
    }));

  test('the second attempt is the last', () =>
    play(undefined, {}, async stage => {
      const { world, app } = stage;
      const behind = await exchange(stage, 0);
      const client = openWire(world.port).send(GET);
      await behind.take(/\r\n\r\n/);
      behind.socket.destroy();
      const second = await app.connection(1);
      await second.take(/\r\n\r\n/);
      second.socket.destroy();
      assert.equal((await client.takeAnswer()).status, 502);
      assert.equal(app.wires.length, 2);
      client.socket.destroy();
    }));

  for (const scheme of ['NTLM', 'Negotiate']) {
    test(`${scheme} ties a connection to its client: nobody else gets it`, () =>
      play(undefined, {}, async ({ world, app }) => {
        const alice = openWire(world.port).send(GET);
        const tied = await app.connection(0);
        await tied.take(/\r\n\r\n/);
        tied.send(`HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: ${scheme} abc\r\nContent-Length: 0\r\n\r\n`);
        await alice.takeAnswer();
        const bob = openWire(world.port).send(GET);
        const other = await app.connection(1);
        await other.take(/\r\n\r\n/);
        other.send(answer());
        await bob.takeAnswer();
        alice.send(GET);
        await tied.take(/\r\n\r\n/);
        tied.send(answer());
        await alice.takeAnswer();
        bob.send(GET);
        await other.take(/\r\n\r\n/);
        other.send(answer());
        await bob.takeAnswer();
        alice.socket.destroy();
        await tied.gone();
        bob.socket.destroy();
      }));
  }

  test('an app that cannot be reached is 502 AppUnavailable, and says nothing of it', () =>
    play(undefined, {}, async ({ world, app }) => {
      await app.stop();
      const client = openWire(world.port).send(GET);
      const { status, body } = await client.takeAnswer();
      assert.equal(status, 502);
      assert.match(body, /AppUnavailable/);
      assert.doesNotMatch(body, /ECONN|127\.0\.0\.1/);
      client.socket.destroy();
    }));

  test('an app that does not answer in time is 504 AppTimeout', () =>
    play(undefined, {}, async ({ world, app }) => {
      const client = openWire(world.port).send(GET);
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      world.advance(61_000);
      const { status, body } = await client.takeAnswer();
      assert.equal(status, 504);
      assert.match(body, /AppTimeout/);
      await behind.gone();
      client.socket.destroy();
    }));

  test('an answer that falls silent for longer than idle is cut', () =>
    play(undefined, {}, async ({ world, app }) => {
      const client = openWire(world.port).send(GET);
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      behind.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc');
      await client.take(/abc/);
      world.advance(301_000);
      await client.gone();
      await behind.gone();
    }));
});
