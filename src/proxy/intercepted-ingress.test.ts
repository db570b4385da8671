/** Transparent interception without a kernel’s rules: what a connection wanted is said by the test. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Found } from '../interception/original-destination.ts';
import { SILENT } from '../telemetry/telemetry.ts';
import type { AllowancePlan } from '../policy/model.ts';
import type { ProxyDeps } from './options.ts';
import { startApp, echoHeads, openWire, type Wire } from './testing/wire.ts';
import { LIMITS, makeGeneration, OPEN, startWorld, type World, type WorldParts } from './testing/world.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n';
const PARTS: WorldParts = { routes: [['/', [OPEN]]] };
const ALLOWED: AllowancePlan = {
  policy: 'media',
  opensUnselectedPorts: true,
  excludePorts: [],
  udpPorts: [],
  privilegedContainers: false,
  until: Infinity,
};

interface Stage {
  readonly world: World;
  /** Opens a connection that wanted to go there. */
  readonly dial: (found: Found) => Wire;
  /** Labels of refused connections, and warnings. */
  readonly refused: readonly string[];
  readonly warnings: readonly string[];
  readonly appPort: number;
}

/** The Api’s port is the app’s, so that its connections reach it at the address that was dialled. */
async function play(scene: (stage: Stage) => Promise<void>, parts: WorldParts | 'nothing' = PARTS): Promise<void> {
  const app = await startApp(echoHeads);
  const wanted: Found[] = [];
  const [refused, warnings]: [string[], string[]] = [[], []];
  const telemetry: ProxyDeps['telemetry'] = {
    ...SILENT,
    log: {
      ...SILENT.log,
      warn: ({ port }, message) => warnings.push(`${typeof port === 'number' ? port : ''} ${message}`),
    },
    metrics: {
      ...SILENT.metrics,
      count: (name, labels) => {
        if (name === 'sallyport_refused_connections_total') refused.push(labels?.['reason'] ?? '');
      },
    },
  };
  const world = await startWorld(app.port, 'nothing', {
    listen: [],
    apps: [],
    telemetry,
    interception: {
      mode: 'transparent',
      port: 0,
      openDestinations: () => Promise.resolve(() => wanted.shift() ?? { why: 'NoOriginalDestination' }),
    },
  });
  if (parts !== 'nothing') world.proxy.publish(makeGeneration(parts, 1, app.port));
  const dial = (found: Found): Wire => {
    wanted.push(found);
    return openWire(world.port);
  };
  try {
    await scene({ world, dial, refused, warnings, appPort: app.port });
  } finally {
    await world.stop();
    await app.stop();
  }
}

const ends = async (wire: Wire): Promise<boolean> => {
  await wire.gone();
  return wire.reset;
};

describe('an intercepted connection', () => {
  test('is served by the Api of the port that was dialled, and forwarded to the address that was dialled', () =>
    play(async ({ dial, appPort }) => {
      const wire = dial({ host: '127.0.0.1', port: appPort }).send(GET);
      assert.equal((await wire.takeAnswer()).status, 200);
      const elsewhere = dial({ host: '127.0.0.9', port: appPort }).send(GET);
      assert.equal((await elsewhere.takeAnswer()).status, 502);
      wire.socket.destroy();
      elsewhere.socket.destroy();
    }));

  test('goes to loopback where its Api says so', () =>
    play(
      async ({ dial, appPort }) => {
        const wire = dial({ host: '127.0.0.9', port: appPort }).send(GET);
        assert.equal((await wire.takeAnswer()).status, 200);
        wire.socket.destroy();
      },
      { ...PARTS, app: { address: 'Loopback' } },
    ));

  const refusals: Readonly<Record<string, readonly [found: Found, reason: string]>> = {
    'a port without an Api': [{ host: '127.0.0.1', port: 9 }, 'NoApi'],
    'the sidecar’s own port': [{ why: 'SidecarPort' }, 'SidecarPort'],
    'an address of others': [{ why: 'ForeignDestination' }, 'ForeignDestination'],
    'nobody knows where': [{ why: 'NoOriginalDestination' }, 'NoOriginalDestination'],
  };
  for (const [where, [found, reason]] of Object.entries(refusals)) {
    test(`to ${where} is reset and counted as ${reason}`, () =>
      play(async ({ dial, refused }) => {
        assert.equal(await ends(dial(found)), true);
        assert.deepEqual(refused, [reason]);
      }));
  }

  test('to a closed port is told once for each port, and a scan of many fills neither log nor status', () =>
    play(async ({ dial, world, refused, warnings }) => {
      for (let port = 1; port <= 300; port++) await ends(dial({ host: '127.0.0.1', port }));
      await ends(dial({ host: '127.0.0.1', port: 7 }));
      assert.equal(refused.length, 301);
      const lines = warnings.filter(line => line.includes('connections to this port are reset'));
      assert.equal(lines.length, 256);
      assert.match(warnings.at(-1) ?? '', /further ones are only counted/);
      const ports = world.proxy.status()['refusedPorts'] as readonly { port: number; refused: number }[];
      assert.equal(ports.length, 256);
      assert.deepEqual(ports[6], { port: 7, refused: 2 });
      assert.deepEqual(world.proxy.closedPorts().slice(0, 3), [1, 2, 3]);
    }));

  test('before a policy is loaded is answered 503, at 256 ports at most', () =>
    play(async ({ dial, refused, world }) => {
      for (let port = 1; port <= 257; port++) {
        const wire = dial({ host: '127.0.0.1', port });
        // It counts when it is accepted.
        await new Promise(resolve => wire.socket.once('connect', resolve).once('close', resolve));
        if (port === 1) assert.match((await wire.send(GET).takeAnswer()).body, /PolicyNotLoaded/);
        if (port === 257) assert.equal(await ends(wire), true);
        wire.socket.destroy();
      }
      assert.deepEqual(refused, ['NoApi']);
      assert.deepEqual(world.proxy.status()['notReady'], ['no policy is loaded']);
    }, 'nothing'));

  test('whose port loses its Api is reset at the next request; the sidecar stays ready', () =>
    play(async ({ dial, world, appPort, warnings }) => {
      const wire = dial({ host: '127.0.0.1', port: appPort }).send(GET);
      await wire.takeAnswer();
      world.publish({ snapshot: { listeners: new Map() } });
      assert.equal(await ends(wire.send(GET)), true);
      assert.equal(world.proxy.status()['ready'], true);
      assert.ok(warnings.some(line => line.includes('no Api is served, so every port is closed')));
    }));

  test('to a port whose Apis cannot be parsed is 503, and the sidecar is not ready (S6)', () =>
    play(
      async ({ world, appPort }) => {
        assert.deepEqual(world.proxy.status()['notReady'], [`no valid Api serves port ${appPort}`]);
        await Promise.resolve();
      },
      { ...PARTS, plan: { held: true } },
    ));
});

describe('a port that an allowance opens (S9)', () => {
  const allowing = (allowance: Partial<AllowancePlan> = {}): WorldParts => ({
    snapshot: { allowances: [{ ...ALLOWED, ...allowance }], listeners: new Map() },
  });

  test('passes bytes, and says who allows it', () =>
    play(async ({ dial, world, appPort, warnings }) => {
      const wire = dial({ host: '127.0.0.1', port: appPort }).send(GET);
      assert.equal((await wire.takeAnswer()).status, 200);
      const open = { port: appPort, policy: 'media', open: 1, total: 1 };
      assert.deepEqual(world.proxy.status()['allowedPorts'], [open]);
      assert.ok(warnings.some(line => line.startsWith(`${appPort} connections to this port pass unjudged`)));
      wire.socket.end();
      await wire.takeAll();
      assert.deepEqual(world.proxy.status()['allowedPorts'], [{ ...open, open: 0 }]);
    }, allowing()));

  test('is one that no Api selects: another is judged', () =>
    play(
      async ({ dial, appPort }) => {
        const wire = dial({ host: '127.0.0.1', port: appPort }).send(GET);
        assert.equal((await wire.takeAnswer()).status, 404);
        wire.socket.destroy();
      },
      { routes: [['/elsewhere', [OPEN]]], snapshot: { allowances: [ALLOWED] } },
    ));

  for (const [what, next] of Object.entries({
    'another generation takes it back': { snapshot: { listeners: new Map<number, never>() } },
    'it only excludes ports': allowing({ opensUnselectedPorts: false, excludePorts: [9090] }),
  })) {
    test(`closes when ${what}, with what is open`, () =>
      play(async ({ dial, world, appPort }) => {
        const wire = dial({ host: '127.0.0.1', port: appPort }).send(GET);
        await wire.takeAnswer();
        world.publish(next);
        assert.equal(await ends(wire), true);
        assert.equal(await ends(dial({ host: '127.0.0.1', port: appPort })), true);
      }, allowing()));
  }

  test('closes at its time', () =>
    play(
      async ({ dial, world, appPort }) => {
        const wire = dial({ host: '127.0.0.1', port: appPort }).send(GET);
        await wire.takeAnswer();
        world.advance(3_600_000);
        assert.equal(await ends(wire), true);
      },
      allowing({ until: Date.now() + 1_800_000 }),
    ));
});

test('the limits of a port are its own', () =>
  play(
    async ({ dial, refused, appPort }) => {
      const first = dial({ host: '127.0.0.1', port: appPort }).send(GET);
      await first.takeAnswer();
      assert.equal(await ends(dial({ host: '127.0.0.1', port: appPort })), true);
      assert.deepEqual(refused, ['Connections']);
      first.socket.destroy();
    },
    { ...PARTS, limits: { ...LIMITS, connections: 1 } },
  ));
