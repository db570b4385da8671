/** `protocol: TCP` (M6) on real sockets: a connection is judged, passed on unread, and judged again (M7). */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { step } from '../decision/testing/fakes.ts';
import { createAddressFilter } from '../policy/address-filter.ts';
import type { RequestRecord } from '../telemetry/telemetry.ts';
import { writeLine } from './testing/proxy-headers.ts';
import { deviceAuthority, issueServer, listenerTls, material, openSecureWire, tlsSecret } from './testing/secure.ts';
import { openWire, startApp, Wire } from './testing/wire.ts';
import { BEARER, OPEN, play, startWorld, TIMEOUTS, type WorldParts } from './testing/world.ts';

const TCP = { protocol: 'TCP' } as const;
const ANYBODY: WorldParts = { plan: TCP, routes: [['/', [OPEN]]] };
const NOBODY: WorldParts = { plan: TCP, routes: [['/', [BEARER]]] };

/** Sends back what it gets, in capitals, and ends when the other side does. */
function shout(wire: Wire): void {
  wire.socket.on('data', (chunk: Buffer) => wire.socket.write(chunk.toString('latin1').toUpperCase(), 'latin1'));
}
const describeEnd = ({ method, status, verdict, reason, bytesIn, bytesOut }: RequestRecord): unknown => ({
  method,
  status,
  verdict,
  ...(reason === undefined ? {} : { reason }),
  bytes: [bytesIn, bytesOut],
});

describe('a permitted TCP connection', () => {
  test('passes bytes of any sort both ways, ends as the sides end, and is one record', () =>
    play(shout, ANYBODY, async ({ world }) => {
      const wire = openWire(world.port).send('\u0016\u0003\u0001 not http\r\n\r\n');
      assert.equal(await wire.take(/HTTP\r\n\r\n/), '\u0016\u0003\u0001 NOT HTTP\r\n\r\n');
      wire.send('bye');
      await wire.take(/BYE/);
      wire.socket.end();
      assert.equal(await wire.takeAll(), '');
      const [record] = await world.recorded(1);
      assert.deepEqual(record && describeEnd(record), { method: 'TCP', status: 0, verdict: 'Permit', bytes: [19, 19] });
      assert.equal(wire.reset, false);
    }));

  test('stays half open: the app answers after the client’s FIN', () =>
    play(undefined, ANYBODY, async ({ app, world }) => {
      const wire = openWire(world.port).send('all of it');
      wire.socket.end();
      const upstream = await app.connection(0);
      assert.equal(await upstream.takeAll(), 'all of it');
      const answer = await wire.takeAll();
      assert.equal(answer, '');
    }));

  test('holds back a side that is faster than the other', () =>
    play(undefined, ANYBODY, async ({ app, world }) => {
      const wire = openWire(world.port).send('start');
      const upstream = await app.connection(0);
      await upstream.take(/start/);
      wire.socket.pause();
      const size = 16 * 1024 * 1024;
      upstream.socket.write(Buffer.alloc(size, 'x'));
      await new Promise(resolve => setTimeout(resolve, 200));
      assert.ok(upstream.socket.writableLength > 0, 'the app is told to wait');
      wire.socket.resume();
      upstream.socket.end();
      assert.equal((await wire.takeAll()).length, size);
    }));

  for (const who of ['app', 'client'] as const) {
    test(`is cut where the ${who} resets it: the other side cannot take it for the whole`, () =>
      play(undefined, ANYBODY, async ({ app, world }) => {
        const wire = openWire(world.port).send('x');
        const upstream = await app.connection(0);
        await upstream.take(/x/);
        const [from, to] = who === 'app' ? [upstream, wire] : [wire, upstream];
        from.socket.resetAndDestroy();
        await to.gone();
        assert.equal(to.reset, true);
      }));
  }

  test('ends when both sides are silent for as long as app.timeouts.idle says', () =>
    play(shout, { ...ANYBODY, app: { timeouts: { ...TIMEOUTS, idle: 60_000 } } }, async ({ world }) => {
      const wire = openWire(world.port).send('a');
      await wire.take(/A/);
      world.advance(59_000);
      wire.send('b');
      await wire.take(/B/);
      world.advance(59_000);
      wire.send('c');
      await wire.take(/C/);
      world.advance(60_000);
      await wire.gone();
      assert.equal(wire.reset, true);
    }));

  test('is reset, with the reason, when nobody listens', async () => {
    const app = await startApp();
    await app.stop();
    const world = await startWorld(app.port, ANYBODY);
    try {
      const wire = openWire(world.port).send('a');
      await wire.gone();
      assert.equal(wire.reset, true);
      const [record] = await world.recorded(1);
      assert.equal(record?.reason, 'AppUnavailable');
    } finally {
      await world.stop();
    }
  });

  test('loses no byte that came behind a PROXY header', () =>
    play(shout, { ...ANYBODY, plan: { ...TCP, proxyProtocol: { from: ['127.0.0.0/8'] } } }, async ({ world }) => {
      const wire = new Wire(connect({ port: world.port, host: '127.0.0.1' }));
      wire.socket.write(Buffer.concat([writeLine('203.0.113.9'), Buffer.from('first')]));
      assert.equal(await wire.take(/FIRST/), 'FIRST');
      wire.socket.destroy();
    }));
});

describe('a TCP connection that is denied', () => {
  test('is reset before anything reaches the app, and recorded with the reason', () =>
    play(shout, NOBODY, async ({ app, world }) => {
      const wire = openWire(world.port).send('a');
      await wire.gone();
      assert.equal(wire.reset, true);
      assert.equal(app.wires.length, 0);
      const [record] = await world.recorded(1);
      assert.equal(record?.reason, 'TokenNotPresent');
    }));

  test('without an authentication step is denied too (S7)', () =>
    play(shout, { plan: TCP, routes: [['/', []]], pipeline: { authenticates: 'Never' } }, async ({ app, world }) => {
      await openWire(world.port).send('a').gone();
      assert.equal((await world.recorded(1))[0]?.reason, 'NoPolicyMatches');
      assert.equal(app.wires.length, 0);
    }));

  test('by its address is told by ipFilter (P8)', () => {
    const filter = createAddressFilter(undefined, ['127.0.0.1']);
    const blocked = step({ type: 'ipFilter', ipFilter: filter });
    return play(shout, { plan: TCP, routes: [['/', [blocked, OPEN]]] }, async ({ world }) => {
      await openWire(world.port).send('a').gone();
      assert.equal((await world.recorded(1))[0]?.reason, 'AddressBlocked');
    });
  });

  test('by an error of the evaluator is one that is not let through', () =>
    play(shout, { ...ANYBODY, plan: { ...TCP, match: () => assert.fail('a fault') } }, async ({ app, world }) => {
      await openWire(world.port).send('a').gone();
      assert.equal(app.wires.length, 0);
    }));
});

describe('an open TCP connection (M7)', () => {
  const open = async (parts: WorldParts, scene: (wire: Wire, publish: (next: WorldParts) => void) => Promise<void>) =>
    play(shout, parts, async ({ world }) => {
      const wire = openWire(world.port).send('a');
      await wire.take(/A/);
      await scene(wire, next => world.publish(next));
      wire.socket.destroy();
    });

  test('goes on under a new generation that permits it', () =>
    open(ANYBODY, async (wire, publish) => {
      publish(ANYBODY);
      wire.send('b');
      await wire.take(/B/);
    }));

  test('is recorded as denied by the policy and step that ended it', () =>
    play(shout, ANYBODY, async ({ world }) => {
      const wire = openWire(world.port).send('a');
      await wire.take(/A/);
      world.publish(NOBODY);
      const [record] = await world.recorded(1);
      assert.deepEqual(record && { ...Object(describeEnd(record)), policy: record.policy, step: record.step }, {
        ...{ method: 'TCP', status: 0, verdict: 'Deny', reason: 'TokenNotPresent', bytes: [1, 1] },
        ...{ policy: BEARER.origin.key, step: BEARER.name },
      });
    }));

  const ends: Readonly<Record<string, WorldParts>> = {
    'ends under a new generation that denies it': NOBODY,
    'ends when its port loses its Api': { snapshot: { listeners: new Map() } },
    'ends when its port is one of HTTP from now on': { routes: [['/', [OPEN]]] },
  };
  for (const [sentence, next] of Object.entries(ends)) {
    test(sentence, () =>
      open(ANYBODY, async (wire, publish) => {
        publish(next);
        await wire.gone();
        assert.equal(wire.reset, true);
      }),
    );
  }

  test('an HTTP connection ends when its port is one of TCP from now on', () =>
    play(shout, { routes: [['/', [OPEN]]] }, async ({ app, world }) => {
      const wire = openWire(world.port);
      await new Promise(resolve => wire.socket.once('connect', resolve));
      await new Promise(resolve => setTimeout(resolve, 50));
      world.publish(ANYBODY);
      wire.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      await wire.gone();
      assert.equal(app.wires.length, 0);
    }));
});

describe('TCP inside TLS', () => {
  const secured = (parts: Partial<WorldParts> = {}): WorldParts => ({
    routes: [['/', [OPEN]]],
    plan: { ...TCP, tls: listenerTls({ opaque: true, certificates: [{ hosts: [], secret: 'shop/fleet-tls' }] }) },
    material: material({ 'shop/fleet-tls': tlsSecret(issueServer('fleet.example.com')) }),
    ...parts,
  });

  test('is judged after the handshake and passed on in clear; no protocol is negotiated', () =>
    play(shout, secured(), async ({ app, world }) => {
      const wire = await openSecureWire(world.port, { ALPNProtocols: ['postgresql'] });
      assert.equal(wire.secure.alpnProtocol, false);
      wire.send('over tls');
      await wire.take(/OVER TLS/);
      assert.match(app.wires[0]?.received ?? '', /over tls/);
      wire.socket.end();
      assert.equal(await wire.takeAll(), '');
    }));

  test('shows the client’s certificate to the judgement', () => {
    const trust = step({ type: 'clientCertificate', clientCertificate: { trust: 'shop/devices' } });
    const issued = deviceAuthority.issue({ subject: 'robot-7', usages: ['clientAuth'] });
    const chains: number[] = [];
    const parts = secured({
      routes: [['/', [trust]]],
      plan: {
        ...TCP,
        tls: listenerTls({
          opaque: true,
          certificates: [{ hosts: [], secret: 'shop/fleet-tls' }],
          clientTrusts: ['shop/devices'],
        }),
      },
      trust: {
        anchorsPem: () => [deviceAuthority.certificatePem],
        judgeRequest: (_, __, { own }) => {
          chains.push(own?.chain.length ?? 0);
          return { state: 'refused', reason: 'ClientCertificateIdentityNotAllowed' };
        },
      },
    });
    return play(shout, parts, async ({ world }) => {
      const wire = await openSecureWire(world.port, { cert: issued.certificatePem, key: issued.keyPem });
      await wire.gone();
      assert.deepEqual(chains, [1]);
      assert.equal((await world.recorded(1))[0]?.reason, 'ClientCertificateIdentityNotAllowed');
    });
  });
});
