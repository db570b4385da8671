import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { createHealthHandler } from './health.ts';
import { asText, createServicePort, type ServiceHandler, type ServiceOptions } from './service-port.ts';
import { openWire, type Wire } from './testing/wire.ts';

const health = createHealthHandler({ problems: () => [], exposition: () => Promise.resolve('# EOF\n') });
const HEALTH: ServiceOptions = { takesBodies: false, patienceMs: 5000 };

async function open(t: TestContext, options: ServiceOptions, handle: ServiceHandler = health): Promise<Wire> {
  const service = createServicePort(handle, options);
  const { server } = service;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const wire = openWire((server.address() as AddressInfo).port);
  t.after(() => {
    wire.socket.destroy();
    service.close();
  });
  await accepted;
  return wire;
}

describe('the health port', () => {
  const requests: Record<string, [number, string]> = {
    'a request whose body never comes': [405, 'POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n'],
    'a request whose body never ends': [
      405,
      'POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
    ],
    'a GET with a body': [200, 'GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n'],
  };
  for (const [name, [status, text]] of Object.entries(requests)) {
    test(`answers ${name} at once, and closes`, async t => {
      const wire = await open(t, HEALTH);
      const all = await wire.send(text).takeAll();
      assert.match(all, new RegExp(`^HTTP/1\\.1 ${status} `));
    });
  }

  test('closes a connection whose request takes 5 s', async t => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const wire = await open(t, HEALTH);
    wire.send('GET /livez HTTP/1.1\r\n');
    t.mock.timers.tick(4999);
    wire.send('Host: x\r\n\r\n');
    assert.match(await wire.takeAll(), /^HTTP\/1\.1 200 /);
    const slow = await open(t, HEALTH);
    slow.send('GET /livez HTTP/1.1\r\n');
    t.mock.timers.tick(5000);
    assert.equal(await slow.takeAll(), '');
  });
});

test('the admin port waits for the body', async t => {
  const echo: ServiceHandler = ({ body }) => asText(200, body);
  const wire = await open(t, { takesBodies: true, patienceMs: 10_000 }, echo);
  wire.send('POST /explain HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab');
  assert.match(await wire.send('cd').takeAll(), /\r\n\r\nabcd$/);
});

describe('a service port full of connections', () => {
  test('lets the one go that has said nothing for the longest time, so that probes still get through', async t => {
    const service = createServicePort(health, HEALTH);
    service.server.listen(0, '127.0.0.1');
    await once(service.server, 'listening');
    t.after(() => service.close());
    const { port } = service.server.address() as AddressInfo;
    const silent = await Promise.all(Array.from({ length: 64 }, () => connectSilently(t, port)));
    const probe = openWire(port);
    t.after(() => probe.socket.destroy());
    probe.send('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n');
    const [first] = silent;
    assert.ok(first !== undefined);
    await Promise.all([once(first, 'close'), probe.takeAnswer().then(({ status }) => assert.equal(status, 200))]);
    assert.equal(silent.filter(({ destroyed }) => destroyed).length, 1);
  });

  test('turns away who comes while all others are being answered', async t => {
    const [released, complete] = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
    let count = 0;
    const service = createServicePort(async () => {
      count += 1;
      if (count === 64) complete.resolve(undefined);
      await released.promise;
      return asText(200, 'late\n');
    }, HEALTH);
    service.server.listen(0, '127.0.0.1');
    await once(service.server, 'listening');
    t.after(() => service.close());
    const { port } = service.server.address() as AddressInfo;
    const waiting = Array.from({ length: 64 }, () => openWire(port));
    t.after(() => waiting.forEach(({ socket }) => socket.destroy()));
    for (const wire of waiting) wire.send('GET /a HTTP/1.1\r\nHost: x\r\n\r\n');
    await complete.promise;
    const late = await connectSilently(t, port);
    if (!late.destroyed) await once(late, 'close');
    released.resolve(undefined);
    for (const wire of waiting) assert.equal((await wire.takeAnswer()).body, 'late\n');
  });
});

async function connectSilently(t: TestContext, port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.resume();
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}
