import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
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
