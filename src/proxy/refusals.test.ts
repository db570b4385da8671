import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ConnectionOptions } from 'node:tls';
import { SILENT, type LogFields } from '../telemetry/telemetry.ts';
import { createRefusals, refuseHandshake } from './refusals.ts';
import { connectSecure, issueServer, listenerTls, material, tlsSecret } from './testing/secure.ts';
import { startWorld } from './testing/world.ts';
import { openWire, Wire } from './testing/wire.ts';

/** Telemetry that keeps what it is told; `next` resolves with the next reason counted. */
function listen() {
  const lines: LogFields[] = [];
  const reasons: string[] = [];
  let wake: () => void = () => undefined;
  const telemetry = {
    ...SILENT,
    log: { ...SILENT.log, debug: (fields: LogFields) => void lines.push(fields) },
    metrics: {
      ...SILENT.metrics,
      count: (_: string, labels?: Readonly<Record<string, string>>) => {
        reasons.push(labels?.['reason'] ?? '');
        wake();
      },
    },
  };
  const next = async (): Promise<string | undefined> => {
    while (reasons.length === 0) await new Promise<void>(resolve => (wake = resolve));
    return reasons.shift();
  };
  return { telemetry, lines, reasons, next };
}

describe('a connection that fails at the front door is counted and told', () => {
  const parts = {
    material: material({ 'shop/fleet-tls': tlsSecret(issueServer('fleet.example.com')) }),
    plan: { tls: listenerTls() },
  };
  const secure = (options: ConnectionOptions) => (port: number) =>
    new Wire(connectSecure(port, { rejectUnauthorized: false, ...options }));
  const plain = (text: string) => (port: number) => openWire(port).send(text);
  const CASES: Readonly<Record<string, readonly [reason: string, open: (port: number) => Wire]>> = {
    'plain HTTP on a TLS port': ['PlainHttpOnTls', plain('GET /canary HTTP/1.1\r\nHost: canary\r\n\r\n')],
    'a server name that nobody serves': ['UnknownServerName', secure({ servername: 'canary.example.com' })],
    'no server name where one is needed': ['UnknownServerName', secure({ servername: '' })],
    'bytes that are no TLS': ['TlsHandshake', plain('\u0016\u0003\u0001canarycanarycanary')],
    'a version of TLS that is too old': [
      'TlsHandshake',
      secure({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }),
    ],
  };
  for (const [what, [reason, open]] of Object.entries(CASES)) {
    test(`${what}: ${reason}`, async () => {
      const { telemetry, lines, reasons, next } = listen();
      const world = await startWorld(1, parts, { telemetry });
      const wire = open(world.port);
      assert.equal(await next(), reason);
      await wire.takeAll();
      wire.socket.destroy();
      await world.stop();
      assert.deepEqual(reasons, [], 'once');
      assert.equal(lines.length, 1);
      assert.equal(lines[0]?.['reason'], reason);
      assert.doesNotMatch(JSON.stringify(lines), /canary/);
    });
  }

  test('but not one that only opens and closes, as probes do', async () => {
    const { telemetry, reasons, next } = listen();
    const world = await startWorld(1, parts, { telemetry });
    const probe = openWire(world.port);
    probe.socket.once('connect', () => probe.socket.resetAndDestroy());
    await probe.gone();
    const plainly = openWire(world.port).send('GET / HTTP/1.1\r\n\r\n');
    assert.equal(await next(), 'PlainHttpOnTls');
    assert.deepEqual(reasons, []);
    plainly.socket.destroy();
    await world.stop();
  });

  test('nor one that stays silent until its time is over', () => {
    const { telemetry, reasons } = listen();
    const error = Object.assign(new Error('timeout'), { code: 'ERR_TLS_HANDSHAKE_TIMEOUT' });
    const refuse = createRefusals(telemetry, () => 0);
    refuseHandshake(refuse, { error, nameless: false, silent: true });
    assert.deepEqual(reasons, []);
    refuseHandshake(refuse, { error, nameless: false, silent: false });
    assert.deepEqual(reasons, ['TlsHandshake']);
  });
});

test('a flood writes one line a second for each reason, and says how many it stands for', () => {
  const { telemetry, lines, reasons } = listen();
  let now = 0;
  const refuse = createRefusals(telemetry, () => now);
  for (let i = 0; i < 50; i++) refuse('PlainHttpOnTls');
  refuse('TlsHandshake', 'ERR_SSL_UNSUPPORTED_PROTOCOL');
  now = 1000;
  refuse('PlainHttpOnTls');
  assert.equal(reasons.length, 52);
  assert.deepEqual(lines, [
    { reason: 'PlainHttpOnTls' },
    { reason: 'TlsHandshake', code: 'ERR_SSL_UNSUPPORTED_PROTOCOL' },
    { reason: 'PlainHttpOnTls', before: 49 },
  ]);
});
