import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeFields, FLAG, FRAME, openFrames, REQUEST, uint32, type FrameWire } from '../testing/frames.ts';
import { hear, openHttp2 } from '../testing/http2-client.ts';
import { issueServer, listenerTls, material, openSecureWire, tlsSecret } from '../testing/secure.ts';
import { SILENT } from '../../telemetry/telemetry.ts';
import { play, type WorldParts } from '../testing/world.ts';
import { echoHeads, openWire } from '../testing/wire.ts';

describe('raw frames: how a request is answered', () => {
  const without = (name: string): string[] => {
    const at = REQUEST.indexOf(name);
    return REQUEST.filter((_, index) => index !== at && index !== at + 1);
  };
  const cases: readonly (readonly [string, readonly string[], string])[] = [
    ['as it should be', [], 'status 200'],
    ['te: trailers', ['te', 'trailers'], 'status 200'],
    ['Host beside an equal :authority', ['host', 'fleet.example.com'], 'status 200'],
    ['Host instead of :authority', [...without(':authority'), 'host', 'fleet.example.com'], 'status 200'],
    ['Host that differs from :authority', ['host', 'other.example.com'], 'status 400'],
    ['neither Host nor :authority', without(':authority'), 'reset 1'],
    ['no :method', without(':method'), 'reset 1'],
    ['no :scheme', without(':scheme'), 'reset 1'],
    ['no :path', without(':path'), 'reset 1'],
    ['a repeated :path', [...REQUEST, ':path', '/closed'], 'reset 1'],
    ['an unknown pseudo header', [...REQUEST, ':user', 'root'], 'reset 1'],
    ['a pseudo header behind a regular one', [...without(':path'), 'accept', '*/*', ':path', '/open'], 'reset 1'],
    ['a name in upper case', ['X-User', 'root'], 'reset 1'],
    ['connection', ['connection', 'x-user'], 'reset 1'],
    ['keep-alive', ['keep-alive', 'timeout=5'], 'reset 1'],
    ['proxy-connection', ['proxy-connection', 'keep-alive'], 'reset 1'],
    ['transfer-encoding', ['transfer-encoding', 'chunked'], 'reset 1'],
    ['upgrade', ['upgrade', 'h2c'], 'reset 1'],
    ['te other than trailers', ['te', 'gzip'], 'reset 1'],
    ['a length and no body', ['content-length', '5'], 'reset 1'],
    ['two lengths', ['content-length', '0', 'content-length', '0'], 'reset 1'],
    [':path without a slash (CVE-2026-33186)', [...without(':path'), ':path', 'Svc/M'], 'reset 1'],
    [':path * of a GET', [...without(':path'), ':path', '*'], 'reset 1'],
    ['CONNECT', [':method', 'CONNECT', ':authority', 'fleet.example.com:443'], 'status 405'],
    ['extended CONNECT', [':method', 'CONNECT', ':protocol', 'websocket', ...REQUEST.slice(2)], 'reset 1'],
    ['an escaped slash in :path', [...without(':path'), ':path', '/open%2fx'], 'status 400'],
    ['OPTIONS *', [':method', 'OPTIONS', ...REQUEST.slice(2, 6), ':path', '*'], 'status 404'],
    ['a scheme that is none', [':method', 'GET', ':scheme', 'ht tp', ...REQUEST.slice(4)], 'reset 1'],
  ];
  for (const [sentence, pairs, expected] of cases) {
    test(`${sentence}: ${expected}`, () =>
      play(echoHeads, {}, async ({ world, app }) => {
        const wire = openFrames(world.port).request(1, pairs);
        assert.equal(await wire.outcome(1), expected);
        // The connection is none the worse for it.
        assert.equal(await wire.request(3).outcome(3), 'status 200');
        assert.equal(app.wires.length, 1);
        wire.socket.destroy();
      }));
  }

  /** nghttp2, as Node sets it up, leaves these fields out instead of refusing the stream; neither we nor the app see them. */
  for (const [sentence, pairs] of [
    ['CRLF and another header in a value', ['zz-q', 'a\r\nx-user: root']],
    ['LF in a value', ['zz-q', 'a\nb']],
    ['NUL in a value', ['zz-q', 'a\0b']],
    ['a space in a name', ['zz q', 'b']],
    ['a colon in a name', ['zz:q', 'b']],
    ['CR in a name', ['zz-q\r', 'b']],
    ['white space around a value', ['zz-q', ' b ']],
  ] as const) {
    test(`${sentence} never reaches the app (CVE-2023-27491)`, () =>
      play(echoHeads, {}, async ({ world }) => {
        const wire = openFrames(world.port).request(1, pairs);
        const outcome = await wire.outcome(1);
        assert.ok(outcome === 'status 200' || outcome === 'reset 1', outcome);
        if (outcome === 'status 200') {
          const data = await wire.find(({ type, stream }) => type === FRAME.data && stream === 1);
          assert.doesNotMatch(data?.payload.toString('latin1') ?? 'zz-q', /zz.?q|root/);
        }
        wire.socket.destroy();
      }));
  }
});

describe('which HTTP a port speaks', () => {
  const secrets = { 'shop/fleet-tls': tlsSecret(issueServer('fleet.example.com')) };
  const secure = (http?: 'HTTP1' | 'HTTP2'): WorldParts => ({
    material: material(secrets),
    plan: { ...(http === undefined ? {} : { protocol: http }), tls: listenerTls(http === undefined ? {} : { http }) },
  });
  const GET = 'GET /open HTTP/1.1\r\nHost: fleet.example.com\r\n\r\n';

  test('Auto, plaintext: HTTP/2 by prior knowledge, HTTP/1.1 otherwise', () =>
    play(echoHeads, {}, async ({ world }) => {
      const client = openHttp2(world.port);
      assert.equal((await client.call()).status, 200);
      const wire = openWire(world.port);
      assert.equal((await wire.send(GET).takeAnswer()).status, 200);
      wire.socket.destroy();
      await client.close();
    }));
  test('a preface that comes byte by byte is one', () =>
    play(echoHeads, {}, async ({ world }) => {
      const wire = openFrames(world.port, false);
      for (const byte of 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n') {
        wire.socket.write(byte);
        await new Promise(resolve => setImmediate(resolve));
      }
      assert.equal(await wire.send(FRAME.settings, 0, 0).request(1).outcome(1), 'status 200');
      wire.socket.destroy();
    }));
  test('a request line that begins like a preface is HTTP/1.1', () =>
    play(echoHeads, {}, async ({ world }) => {
      const wire = openWire(world.port).send('P');
      await new Promise(resolve => setImmediate(resolve));
      wire.send('ROPFIND /open HTTP/1.1\r\nHost: fleet.example.com\r\n\r\n');
      assert.equal((await wire.takeAnswer()).status, 200);
      wire.socket.destroy();
    }));
  test('HTTP1, plaintext: a preface is 505', () =>
    play(echoHeads, { plan: { protocol: 'HTTP1' } }, async ({ world }) => {
      const wire = openWire(world.port).send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
      assert.equal((await wire.takeAnswer()).status, 505);
      wire.socket.destroy();
    }));
  test('HTTP2, plaintext: HTTP/1.1 is 505', () =>
    play(echoHeads, { plan: { protocol: 'HTTP2' } }, async ({ world }) => {
      const wire = openWire(world.port);
      assert.equal((await wire.send(GET).takeAnswer()).status, 505);
      wire.socket.destroy();
      const client = openHttp2(world.port);
      assert.equal((await client.call()).status, 200);
      await client.close();
    }));
  test('Auto, TLS: by ALPN, HTTP/1.1 without it', () =>
    play(echoHeads, secure(), async ({ world }) => {
      const client = openHttp2(world.port, {});
      assert.match((await client.call()).body, /X-Forwarded-Proto: https/);
      await client.close();
      for (const ALPNProtocols of [['http/1.1'], undefined]) {
        const wire = await openSecureWire(world.port, ALPNProtocols === undefined ? {} : { ALPNProtocols });
        assert.equal((await wire.send(GET).takeAnswer()).status, 200);
        wire.socket.destroy();
      }
    }));
  test('HTTP1, TLS: h2 is not agreed on', () =>
    play(echoHeads, secure('HTTP1'), async ({ world }) => {
      const wire = await openSecureWire(world.port, { ALPNProtocols: ['h2', 'http/1.1'] });
      assert.equal(wire.secure.alpnProtocol, 'http/1.1');
      wire.socket.destroy();
    }));
  test('HTTP2, TLS: a client that cannot speak it is refused in the handshake, one that says nothing with 505', () =>
    play(echoHeads, secure('HTTP2'), async ({ world }) => {
      await assert.rejects(openSecureWire(world.port, { ALPNProtocols: ['http/1.1'] }), /no application protocol/i);
      const wire = await openSecureWire(world.port);
      assert.equal((await wire.send(GET).takeAnswer()).status, 505);
      wire.socket.destroy();
      const client = openHttp2(world.port, {});
      assert.equal((await client.call()).status, 200);
      await client.close();
    }));
  test('another host than the certificate’s is 421', () =>
    play(
      echoHeads,
      {
        material: material({ ...secrets, 'shop/other-tls': tlsSecret(issueServer('other.example.com')) }),
        plan: {
          tls: listenerTls({
            certificates: [
              { hosts: ['fleet.example.com'], secret: 'shop/fleet-tls' },
              { hosts: ['other.example.com'], secret: 'shop/other-tls' },
            ],
          }),
        },
      },
      async ({ world }) => {
        const client = openHttp2(world.port, {});
        assert.equal((await client.call({ ':authority': 'other.example.com' })).status, 421);
        assert.equal((await client.call()).status, 200);
        await client.close();
      },
    ));
});

test('M3a: after the PROXY protocol, with its source as the peer', () =>
  play(echoHeads, { plan: { proxyProtocol: { from: ['127.0.0.0/8'] } } }, async ({ world }) => {
    const wire = openFrames(world.port, false);
    wire.socket.write('PROXY TCP4 203.0.113.9 192.0.2.1 45422 443\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    assert.equal(await wire.send(FRAME.settings, 0, 0).request(1).outcome(1), 'status 200');
    const data = await wire.find(({ type }) => type === FRAME.data);
    assert.match(data?.payload.toString('latin1') ?? '', /X-Forwarded-For: 203\.0\.113\.9\r\n/);
    wire.socket.destroy();
  }));

describe('the end of a connection', () => {
  test('a drain sends GOAWAY; what is open is served to its end', () =>
    play(undefined, {}, async ({ world, app }) => {
      const client = openHttp2(world.port);
      const told = hear(client.open({}));
      const wire = await app.connection(0);
      await wire.take(/\r\n\r\n/);
      const goaway = new Promise(resolve => client.session.once('goaway', resolve));
      world.proxy.drain();
      await goaway;
      wire.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      assert.deepEqual([(await told).status, (await told).body], [200, 'ok']);
      if (!client.session.destroyed) await new Promise(resolve => client.session.once('close', resolve));
    }));
  test('stop waits for what is open', () =>
    play(undefined, {}, async ({ world, app }) => {
      const client = openHttp2(world.port);
      const told = hear(client.open({}));
      const wire = await app.connection(0);
      await wire.take(/\r\n\r\n/);
      const stopped = world.proxy.stop(5000);
      wire.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      assert.equal((await told).body, 'ok');
      await stopped;
      await client.close();
    }));
  test('one without a request is closed after the head’s clock, an idle one after its own', () =>
    play(echoHeads, { limits: { headTimeout: 1000, clientIdle: 5000 } }, async ({ world }) => {
      const silent = openFrames(world.port);
      await silent.find(({ type }) => type === FRAME.settings);
      world.advance(1500);
      await silent.gone();
      const used = openFrames(world.port).request(1);
      assert.equal(await used.outcome(1), 'status 200');
      await new Promise(resolve => setTimeout(resolve, 300));
      assert.equal(used.closed, false);
      world.advance(6000);
      assert.ok(await used.find(({ type }) => type === FRAME.goaway));
      await used.gone();
    }));
});

/** The world goes on for others, whatever one connection has done. */
async function stillServes(port: number): Promise<void> {
  const client = openHttp2(port);
  assert.equal((await client.call()).status, 200);
  await client.close();
}

describe('floods end the connection, not the process', () => {
  const flood = (sentence: string, reason: 'Http2Flood' | 'Http2Protocol', send: (wire: FrameWire) => void): void => {
    test(`${sentence}: ${reason}`, () => {
      const refused: unknown[] = [];
      const lines: unknown[] = [];
      const telemetry = {
        ...SILENT,
        log: { ...SILENT.log, debug: (fields: object) => void lines.push(fields) },
        metrics: { ...SILENT.metrics, count: (_: string, labels?: object) => void refused.push(labels) },
      };
      return play(
        echoHeads,
        {},
        async ({ world, app }) => {
          const wire = openFrames(world.port);
          await wire.find(({ type }) => type === FRAME.settings);
          send(wire);
          await wire.gone();
          assert.ok(app.wires.length <= 300, `${app.wires.length} connections to the app`);
          await stillServes(world.port);
          assert.deepEqual(
            refused.filter(labels => JSON.stringify(labels).includes('Http2')),
            [{ reason }],
          );
          assert.ok(
            lines.some(line => JSON.stringify(line).includes(reason)),
            JSON.stringify(lines),
          );
        },
        { telemetry },
      );
    });
  };
  flood('10,000 streams, each reset at once (CVE-2023-44487)', 'Http2Flood', wire => {
    for (let stream = 1; stream < 20_000; stream += 2) {
      wire.request(stream).send(FRAME.reset, 0, stream, uint32(8));
    }
  });
  flood('10,000 CONTINUATION frames (CVE-2024-27983)', 'Http2Protocol', wire => {
    wire.send(FRAME.headers, FLAG.endStream, 1, Buffer.alloc(0));
    for (let at = 0; at < 10_000; at++) wire.send(FRAME.continuation, 0, 1, Buffer.alloc(0));
  });
  flood('a header section that never ends', 'Http2Protocol', wire => {
    wire.send(FRAME.headers, FLAG.endStream, 1, Buffer.alloc(0));
    const piece = Buffer.concat(Array.from({ length: 100 }, () => Buffer.from([0, 1, 0x61, 1, 0x62])));
    for (let at = 0; at < 1000; at++) wire.send(FRAME.continuation, 0, 1, piece);
  });
  flood('10,000 PING frames', 'Http2Flood', wire => {
    for (let at = 0; at < 10_000; at++) wire.send(FRAME.ping, 0, 0, Buffer.alloc(8));
  });
  flood('10,000 SETTINGS frames', 'Http2Flood', wire => {
    for (let at = 0; at < 10_000; at++) wire.send(FRAME.settings, 0, 0);
  });
  flood('10,000 empty DATA frames', 'Http2Flood', wire => {
    wire.request(1, [], false);
    for (let at = 0; at < 10_000; at++) wire.send(FRAME.data, 0, 1);
  });
  flood('resets that the client provokes (CVE-2025-8671)', 'Http2Protocol', wire => {
    // A window update of 0 makes the server reset the stream.
    for (let stream = 1; stream < 2000; stream += 2) {
      wire.request(stream, [], false).send(FRAME.window, 0, stream, uint32(0));
    }
  });
  test('a field said again 16,000 times in one byte each is refused unread, stream by stream (HPACK bomb, CVE-2026-49975)', () =>
    play(echoHeads, {}, async ({ world, app }) => {
      const wire = openFrames(world.port);
      // Literal with incremental indexing, then its index in the dynamic table.
      const large = encodeFields(['x-a', 'a'.repeat(3900)]);
      large[0] = 0x40;
      wire.send(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, Buffer.concat([encodeFields(REQUEST), large]));
      const again = Buffer.concat([encodeFields(REQUEST), Buffer.alloc(16_000, 0xbe)]);
      for (let stream = 3; stream < 400; stream += 2) {
        wire.send(FRAME.headers, FLAG.endHeaders | FLAG.endStream, stream, again);
      }
      for (let stream = 3; stream < 400; stream += 2) assert.equal(await wire.outcome(stream), 'reset 11');
      assert.equal(app.wires.length, 1);
      await stillServes(world.port);
      wire.socket.destroy();
    }));
});

test('answers held by windows of 0 cost the client that holds them its connection when memory is short, and nobody else', () => {
  let needed = 0;
  const memory = { resident: () => needed, needed: () => needed, collect: () => undefined };
  return play(
    undefined,
    {},
    async ({ world, app }) => {
      const wire = openFrames(world.port);
      // SETTINGS_INITIAL_WINDOW_SIZE 0.
      wire.send(FRAME.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0]));
      for (const [at, stream] of [1, 3, 5, 7].entries()) {
        wire.request(stream);
        const behind = await app.connection(at);
        await behind.take(/\r\n\r\n/);
        behind.send(`HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n${'x'.repeat(50_000)}`);
        assert.equal(await wire.outcome(stream), 'status 200');
      }
      const waiting = openHttp2(world.port);
      const told = waiting.call();
      const other = await app.connection(4);
      await other.take(/\r\n\r\n/);
      needed = 990_000;
      await wire.gone();
      needed = 500_000;
      other.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      assert.equal((await told).body, 'ok');
      await waiting.close();
    },
    { memory, maxMemoryBytes: 1_000_000 },
  );
});
