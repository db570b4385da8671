/** Explicit interception on loopback: 127.0.0.2 plays the pod’s address. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { SILENT } from '../telemetry/telemetry.ts';
import { createProxy } from './proxy.ts';
import { startApp, echoHeads, Wire } from './testing/wire.ts';
import { makeGeneration, OPEN, startWorld, type World } from './testing/world.ts';
import { createRefusedPorts } from './refused-ports.ts';

const POD = '127.0.0.2';
const GET = 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n';
const PARTS = { routes: [['/', [OPEN]]] } as const;

const explicit = (readFile: (path: string) => Promise<string> = () => Promise.resolve('')) => ({
  listen: [],
  apps: [],
  interception: { mode: 'explicit', podAddresses: [POD], readFile } as const,
});
const dial = (port: number): Wire => new Wire(connect({ port, host: POD, allowHalfOpen: true }));
const notReady = ({ proxy }: World): unknown => proxy.status()['notReady'];

async function retryUntilReady(world: World): Promise<void> {
  while ((notReady(world) as readonly string[]).length > 0) {
    world.advance(5000);
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

describe('explicit interception', () => {
  test('listens at the pod’s address on the Api’s port, and finds the app on loopback at the same', async () => {
    const app = await startApp(echoHeads);
    const world = await startWorld(app.port, 'nothing', explicit());
    try {
      assert.deepEqual(world.proxy.addresses(), []);
      world.proxy.publish(makeGeneration(PARTS, 1, app.port));
      await retryUntilReady(world);
      const wire = dial(app.port).send(GET);
      assert.equal((await wire.takeAnswer()).status, 200);
      assert.deepEqual(world.proxy.addresses(), [{ address: POD, family: 'IPv4', port: app.port }]);
      wire.socket.destroy();
      world.publish({ snapshot: { listeners: new Map() } });
      assert.deepEqual(world.proxy.addresses(), []);
      const refused = dial(app.port);
      await refused.gone();
      assert.equal(refused.reset, true);
    } finally {
      await world.stop();
      await app.stop();
    }
  });

  test('is not ready while somebody else has the port, and takes it when it is free', async () => {
    const app = await startApp(echoHeads);
    const other = createServer().listen(app.port, POD);
    await once(other, 'listening');
    const world = await startWorld(app.port, 'nothing', explicit());
    try {
      world.proxy.publish(makeGeneration(PARTS, 1, app.port));
      const sentence = `${POD}:${app.port} cannot be bound: the app listens on more than 127.0.0.1`;
      while (!String(notReady(world)).startsWith(sentence)) await new Promise(resolve => setImmediate(resolve));
      other.close();
      await once(other, 'close');
      await retryUntilReady(world);
      const wire = dial(app.port).send(GET);
      assert.equal((await wire.takeAnswer()).status, 200);
      wire.socket.destroy();
    } finally {
      other.close();
      await world.stop();
      await app.stop();
    }
  });

  test('shows the ports that are reached past it, and not its own', async () => {
    const free = createServer().listen(0, POD);
    await once(free, 'listening');
    const { port } = free.address() as AddressInfo;
    free.close();
    const hex = (number: number): string => number.toString(16).toUpperCase().padStart(4, '0');
    const row = (address: string, at: number): string => `   0: ${address}:${hex(at)} 00000000:0000 0A 0\n`;
    const table = row('0200007F', port) + row('00000000', 9090);
    // The test’s own pod address is a loopback one, so its row would count as loopback in any case.
    const proxy = createProxy({
      ...explicit(path => (path === '/proc/net/tcp' ? Promise.resolve(table) : Promise.reject(new Error('ENOENT')))),
      resolve: [],
      telemetry: SILENT,
      exposition: () => Promise.resolve(''),
      clock: () => 0,
      monotonic: () => performance.now(),
      randomBytes: size => new Uint8Array(size),
      memory: { resident: () => 0, needed: () => 0, collect: () => undefined },
    });
    proxy.publish(makeGeneration(PARTS, 1, port));
    await proxy.start();
    try {
      assert.deepEqual(proxy.exposedPorts(), [9090]);
      assert.deepEqual(proxy.status()['appExposed'], [9090]);
    } finally {
      await proxy.stop(0);
    }
  });
});

test('a refusal without a port is told once', () => {
  const lines: string[] = [];
  const ports = createRefusedPorts({ ...SILENT.log, warn: (_, message) => lines.push(message) }, () => undefined);
  const socket = (): Parameters<typeof ports.refuse>[0] => connect({ port: 9, host: '127.0.0.1' });
  for (let i = 0; i < 3; i++) ports.refuse(socket(), 'NoOriginalDestination');
  assert.equal(lines.length, 1);
  assert.deepEqual(ports.list(), []);
});
