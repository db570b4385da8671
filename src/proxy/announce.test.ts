import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { route } from '../decision/testing/fakes.ts';
import { SILENT, type LogFields } from '../telemetry/telemetry.ts';
import type { ListenerPlan } from '../policy/model.ts';
import type { ProxyDeps } from './options.ts';
import { createProxy } from './proxy.ts';
import { makeGeneration, startWorld, type World } from './testing/world.ts';
import { openWire } from './testing/wire.ts';

type Line = readonly [level: string, message: string, fields: LogFields];

/** `counted` gets the labels of refused connections. */
function listen(lines: Line[], counted: unknown[] = []) {
  const write =
    (level: string) =>
    (fields: LogFields, message: string): void =>
      void lines.push([level, message, fields]);
  return {
    ...SILENT,
    log: { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') },
    metrics: {
      ...SILENT.metrics,
      count: (name: string, labels?: unknown) => {
        if (name === REFUSED) counted.push(labels);
      },
    },
  };
}

const REFUSED = 'sallyport_refused_connections_total';
const { api } = route([]);
const notReady = ({ proxy }: World): unknown => proxy.status()['notReady'];

describe('a listener that serves no Api', () => {
  const none = { listeners: new Map<number, ListenerPlan>() };

  test('is not ready and says once per generation what to change', async () => {
    const lines: Line[] = [];
    const counted: unknown[] = [];
    const world = await startWorld(1, 'nothing', { telemetry: listen(lines, counted) });
    try {
      const name = `127.0.0.1:${world.port}`;
      const generation = makeGeneration({ snapshot: none });
      const why = 'Api shop/orders is in namespace shop, this workload is in "default"; give --namespace shop';
      world.proxy.publish({ ...generation, unserved: [why] });
      assert.deepEqual(notReady(world), [`no Api serves ${name}`]);
      assert.deepEqual(
        lines.filter(([level, message]) => level === 'warn' && message.startsWith('no Api')),
        [['warn', `no Api serves ${name}: ${why}`, { listen: name }]],
      );
      const wire = openWire(world.port);
      await wire.gone();
      assert.equal(wire.reset, true);
      assert.deepEqual(counted, [{ reason: 'NoApi' }]);
      lines.length = 0;
      world.publish({ snapshot: none });
      assert.deepEqual(
        lines.map(([, message]) => message),
        [`no Api serves ${name}: the manifests hold no Api`],
      );
      world.publish({});
      assert.deepEqual(notReady(world), []);
    } finally {
      await world.stop();
    }
  });

  test('for want of PORT= names the ports that the Apis have', async () => {
    const lines: Line[] = [];
    const listening = [{ host: '127.0.0.1', port: 0, apiPort: 9 }];
    const world = await startWorld(1, {}, { telemetry: listen(lines), listen: listening });
    const name = `127.0.0.1:${world.port}`;
    await world.stop();
    const expected = `no Api serves ${name}: the Apis of this workload have port 8080; write --listen 8080=${name}`;
    assert.ok(lines.some(([level, message]) => level === 'warn' && message === expected));
  });

  test('counts a request whose port loses its Api while it is sent', async () => {
    const counted: unknown[] = [];
    const world = await startWorld(1, {}, { telemetry: listen([], counted) });
    const wire = openWire(world.port).send('GET /open HTTP/1.1\r\nHo');
    await new Promise<void>(resolve => wire.socket.once('connect', resolve));
    while (world.proxy.status()['listeners'] === undefined || !hasConnection(world)) await turn();
    world.publish({ snapshot: none });
    wire.send('st: a\r\n\r\n');
    await wire.gone();
    assert.deepEqual(counted, [{ reason: 'NoApi' }]);
    await world.stop();
  });
});

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));
const hasConnection = ({ proxy }: World): boolean =>
  (proxy.status()['listeners'] as readonly { connections: number }[])[0]?.connections === 1;

describe('at start', () => {
  /** What is published before start, as the sidecar does it; `nothing`: no policy at all. */
  const start = async (apps: ProxyDeps['apps'], app: Partial<typeof api.app> | 'nothing' = {}) => {
    const lines: Line[] = [];
    const proxy = createProxy({
      listen: [{ host: '127.0.0.1', port: 0, apiPort: 8080 }],
      apps,
      resolve: [],
      telemetry: listen(lines),
      exposition: () => Promise.resolve(''),
      clock: Date.now,
      monotonic: () => performance.now(),
      randomBytes,
      memory: { resident: () => 0, needed: () => 0, collect: () => undefined },
    });
    if (app !== 'nothing') {
      const plans = [{ ...api, key: 'shop/orders', app: { ...api.app, ...app } }];
      proxy.publish(makeGeneration({ plan: { apis: plans } }));
    }
    assert.deepEqual(lines, [], 'nothing is announced before it listens');
    await proxy.start();
    const before = lines.splice(0);
    const name = `127.0.0.1:${proxy.addresses()[0]?.port ?? 0}`;
    proxy.drain();
    proxy.drain();
    await proxy.stop(0);
    return { name, before, after: lines };
  };

  test('one line for each listener says what it serves and where the app is', async () => {
    const { name, before } = await start([{ host: '127.0.0.1', port: 3000 }]);
    const fields = { listen: name, apiPort: 8080, tls: 'None', apis: ['shop/orders'], app: '127.0.0.1:3000' };
    assert.deepEqual(before, [['info', 'ready', fields]]);
    const early = await start([], 'nothing');
    assert.deepEqual(early.before, [['warn', 'not ready: no policy is loaded', { listen: early.name }]]);
  });

  test('an Api without an app is a warning; app.url is one', async () => {
    const { before } = await start([]);
    assert.deepEqual(before[1], [
      'warn',
      'Api shop/orders has no app: it answers 502 AppUnavailable; give --app ADDRESS:PORT, or write app.url',
      { api: 'shop/orders', apiPort: 8080 },
    ]);
    const fixed = await start([], { url: 'https://orders.internal/base' });
    assert.equal(fixed.before.length, 1);
    assert.equal(fixed.before[0]?.[2]['app'], 'https://orders.internal/base');
  });

  test('draining is said once', async () => {
    const { after } = await start([]);
    assert.deepEqual(after, [['info', 'draining', {}]]);
  });
});
