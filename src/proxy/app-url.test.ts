import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { appendPath } from './forward.ts';
import { play } from './testing/world.ts';
import { echoHeads, openWire, startApp } from './testing/wire.ts';

describe('a fixed back end (M4)', () => {
  const PATHS: readonly (readonly [ofUrl: string, basePath: string, path: string, expected: string])[] = [
    ['/orders/messages', '/queue', '/queue/5', '/orders/messages/5'],
    ['/orders/messages', '/queue', '/queue', '/orders/messages'],
    ['/orders/messages', '/queue', '/queue/', '/orders/messages'],
    ['/orders/messages/', '/queue', '/queue', '/orders/messages/'],
    ['/orders/messages/', '/queue', '/queue/', '/orders/messages/'],
    ['/orders/messages/', '/queue', '/queue/5', '/orders/messages/5'],
    ['/', '/queue', '/queue', '/'],
    ['/', '/', '/x', '/x'],
    ['/', '/', '/', '/'],
    ['/base', '/', '/x/y', '/base/x/y'],
    ['/base', '/v1/', '/v1/x', '/base/x'],
  ];
  for (const [ofUrl, basePath, path, expected] of PATHS) {
    test(`${ofUrl} with basePath ${basePath}: ${path} becomes ${expected}`, () => {
      assert.equal(appendPath(ofUrl, { basePath }, path), expected);
    });
  }

  test('gets its own Host, no X-Forwarded-*, and the path appended', async () => {
    const queue = await startApp(echoHeads);
    await play(
      undefined,
      { app: { url: `http://queue.example:${queue.port}/orders` }, api: { basePath: '/open' } },
      async ({ world, app }) => {
        const text = 'GET /open/messages?a=b HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n';
        const wire = openWire(world.port).send(text);
        const { body } = await wire.takeAnswer();
        assert.match(
          body,
          new RegExp(`^GET /orders/messages\\?a=b HTTP/1\\.1\r\nHost: queue\\.example:${queue.port}\r\n`),
        );
        assert.doesNotMatch(body, /x-forwarded|a\.example/i);
        assert.match(body, /X-Request-Id: /);
        assert.equal(app.wires.length, 0);
        wire.socket.destroy();
      },
      { resolve: [{ host: 'queue.example', address: '127.0.0.1' }] },
    );
    await queue.stop();
  });

  for (const address of ['169.254.169.254', '[fd00:ec2::254]', '100.100.100.200', '0.0.0.0']) {
    test(`${address} is refused at dial`, () =>
      play(undefined, { app: { url: `http://${address}/latest` } }, async ({ world }) => {
        const wire = openWire(world.port).send('GET /open HTTP/1.1\r\nHost: a\r\n\r\n');
        const { status, body } = await wire.takeAnswer();
        assert.equal(status, 502);
        assert.match(body, /AppUnavailable/);
        wire.socket.destroy();
      }));
  }

  test('a name that leads to a metadata address is refused at dial', () =>
    play(
      undefined,
      { app: { url: 'http://queue.example/latest' } },
      async ({ world }) => {
        const wire = openWire(world.port).send('GET /open HTTP/1.1\r\nHost: a\r\n\r\n');
        assert.equal((await wire.takeAnswer()).status, 502);
        wire.socket.destroy();
      },
      { resolve: [{ host: 'queue.example', address: '169.254.169.254' }] },
    ));
});
