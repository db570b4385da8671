import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startWorld, type World } from './testing/world.ts';
import { echoHeads, openWire, startApp, type App } from './testing/wire.ts';

describe('a permitted request', () => {
  let app: App;
  let world: World;
  before(async () => {
    app = await startApp(echoHeads);
    world = await startWorld(app.port);
  });
  after(async () => {
    await world.stop();
    await app.stop();
  });

  test('reaches the app, and the answer comes back', async () => {
    const wire = openWire(world.port).send('GET /open?x=1 HTTP/1.1\r\nHost: fleet.example.com\r\nX-A: b\r\n\r\n');
    const { status, body } = await wire.takeAnswer();
    assert.equal(status, 200);
    assert.match(body, /^GET \/open\?x=1 HTTP\/1\.1\r\nHost: fleet\.example\.com\r\nX-A: b\r\n/);
    assert.match(body, /X-Forwarded-For: 127\.0\.0\.1\r\nX-Forwarded-Proto: http\r\n/);
    wire.socket.destroy();
  });

  test('of HTTP/1.0 without Host reaches the app under its own authority, never under an empty one', async () => {
    const body = await openWire(world.port).send('GET /open HTTP/1.0\r\n\r\n').takeAll();
    assert.match(body, new RegExp(`GET /open HTTP/1\\.1\r\nHost: 127\\.0\\.0\\.1:${app.port}\r\n`));
    assert.doesNotMatch(body, /X-Forwarded-Host/i);
  });
});
