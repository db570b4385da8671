/** An HTTP/2 app that hangs: its connection is given up when it answers neither a request nor a PING. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import { FRAME, encodeFrame } from '../testing/frames.ts';
import { openHttp2 } from '../testing/http2-client.ts';
import { startWorld } from '../testing/world.ts';

test('an app that answers neither a request nor the PING behind it loses its connection; the next request dials anew', async () => {
  const sockets: Socket[] = [];
  const app = createServer(socket => {
    sockets.push(socket.on('error', () => undefined).resume());
    // SETTINGS, and nothing after them.
    socket.write(encodeFrame(FRAME.settings, 0, 0));
  });
  app.listen(0, '127.0.0.1');
  await once(app, 'listening');
  const { port } = app.address() as AddressInfo;
  const timeouts = { connect: 1000, response: 200, idle: 60_000, poolIdle: 60_000 };
  const world = await startWorld(port, { app: { protocol: 'HTTP2', timeouts } });
  const client = openHttp2(world.port);
  try {
    assert.equal((await client.call()).status, 504);
    const [first] = sockets;
    assert.equal(first?.destroyed, false);
    const closed = once(first, 'close');
    world.advance(6000);
    await closed;
    assert.equal((await client.call()).status, 504);
    assert.equal(sockets.length, 2);
  } finally {
    await client.close();
    await world.stop();
    for (const socket of sockets) socket.destroy();
    app.close();
  }
});
