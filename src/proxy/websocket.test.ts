import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { play } from './testing/world.ts';
import { openWire } from './testing/wire.ts';

const ASK =
  'GET /open/socket HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
const ACCEPT =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';

describe('a WebSocket', () => {
  test('passes as a stream both ways once the app has accepted it', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(ASK);
      const behind = await app.connection(0);
      assert.match(await behind.take(/\r\n\r\n/), /\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n$/);
      behind.send(`${ACCEPT}first`);
      const head = await wire.take(/\r\n\r\n/);
      assert.match(head, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
      assert.match(head, /Sec-WebSocket-Accept: s3pP/);
      assert.match(head, /Connection: Upgrade\r\nUpgrade: websocket\r\n/);
      await wire.take(/^first/);
      wire.send('\x81\x85abcdefghi');
      await behind.take(/\x81\x85abcdefghi/);
      behind.send('\x81\x02ok');
      await wire.take(/\x81\x02ok/);
      wire.socket.destroy();
      await behind.gone();
    }));

  test('frames are opaque: whatever they say of themselves, the very bytes pass (CVE-2024-37890, CVE-2026-1526)', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(ASK);
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      behind.send(ACCEPT);
      await wire.take(/\r\n\r\n/);
      const frames = [
        '\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff', // reserved bits and opcode, a length of 2^64 - 1
        '\x81\x05hello', // not masked
        '\xc1\x8a\0\0\0\0\x4a\x4c\x1c\x05\0\0\0\xff\xff\x03', // compressed, with no end
        '\x89\xfe\xff\xff', // a ping longer than a ping may be
        'GET /closed HTTP/1.1\r\nHost: a\r\n\r\n',
      ].join('');
      wire.send(frames);
      behind.send(frames);
      const whole = new RegExp(`[^]{${frames.length}}`);
      assert.equal(await behind.take(whole), frames);
      assert.equal(await wire.take(whole), frames);
      wire.socket.destroy();
      await behind.gone();
    }));

  test('bytes of the client wait for 101 (CVE-2026-73548)', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(`${ASK}early`);
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      wire.send(' bytes');
      await new Promise(resolve => setTimeout(resolve, 30));
      assert.equal(behind.received, '');
      behind.send(ACCEPT);
      await behind.take(/^early bytes/);
      wire.socket.destroy();
    }));

  test('a smuggled request behind a refused upgrade is never served', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(`${ASK}GET /open/smuggled HTTP/1.1\r\nHost: a\r\n\r\n`);
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      behind.send('HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno');
      const all = await wire.takeAll();
      assert.match(all, /^HTTP\/1\.1 426 [^]*Connection: close\r\n\r\nno$/);
      await new Promise(resolve => setTimeout(resolve, 30));
      assert.equal(app.wires.length, 1);
      assert.equal(behind.received, '');
    }));

  test('that is denied ends its connection', () =>
    play(undefined, {}, async ({ world, app }) => {
      const all = await openWire(world.port).send(ASK.replace('/open', '/closed')).takeAll();
      assert.match(all, /^HTTP\/1\.1 401 [^]*Connection: close/);
      assert.equal(app.wires.length, 0);
    }));

  test('with a body is refused', () =>
    play(undefined, {}, async ({ world, app }) => {
      const text = ASK.replace('Upgrade: w', 'Content-Length: 5\r\nUpgrade: w');
      assert.match(await openWire(world.port).send(`${text}hello`).takeAll(), /^HTTP\/1\.1 400 /);
      assert.equal(app.wires.length, 0);
    }));

  test('101 without websocket is 502', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(ASK);
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      behind.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n');
      assert.match(await wire.takeAll(), /^HTTP\/1\.1 502 /);
    }));

  test('a half-close passes on', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(ASK);
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      behind.send(ACCEPT);
      await wire.take(/\r\n\r\n/);
      wire.send('bye');
      wire.socket.end();
      assert.equal(await behind.takeAll(), 'bye');
      assert.equal(await wire.takeAll(), '');
    }));

  test('a reset of the app reaches the client', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(ASK);
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      behind.send(ACCEPT);
      await wire.take(/\r\n\r\n/);
      behind.socket.resetAndDestroy();
      await wire.gone();
    }));

  test('silent both ways for longer than idle ends', () =>
    play(undefined, {}, async ({ world, app }) => {
      const wire = openWire(world.port).send(ASK);
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      behind.send(ACCEPT);
      await wire.take(/\r\n\r\n/);
      world.advance(301_000);
      await wire.gone();
      await behind.gone();
    }));
});
