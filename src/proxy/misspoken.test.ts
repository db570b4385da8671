/** Apps that speak another HTTP than `app.protocol` says: 502 AppProtocolError, and a line that says what to set. */
import assert from 'node:assert/strict';
import { createServer as createHttp1 } from 'node:http';
import { createServer as createTls } from 'node:tls';
import type { AddressInfo, Server } from 'node:net';
import { describe, test } from 'node:test';
import { SILENT, type LogFields } from '../telemetry/telemetry.ts';
import { startHttp2App, type Http2App } from './testing/http2-app.ts';
import { openHttp2 } from './testing/http2-client.ts';
import { issueServer, material, serverAuthority } from './testing/secure.ts';
import { openWire, startApp, type Wire } from './testing/wire.ts';
import { startWorld, type WorldParts } from './testing/world.ts';

type Running = Pick<Http2App, 'port' | 'stop'>;

const listening = async (server: Server): Promise<Running> => {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    stop: () => new Promise<void>(resolve => server.close(() => resolve())),
  };
};
const SERVER = issueServer('fleet.shop.svc');
const certificate = { cert: SERVER.chainPem, key: SERVER.keyPem };
const overTls: WorldParts = {
  app: {
    scheme: 'https',
    serverName: 'fleet.shop.svc',
    trust: { configMapKeyRef: { name: 'app-ca', key: 'ca.crt' } },
  },
  material: material({}, { 'shop/app-ca': { 'ca.crt': serverAuthority.certificatePem } }),
};
const asking =
  (parts: WorldParts) =>
  (protocol: 'HTTP1' | 'HTTP2' | 'Auto'): WorldParts => ({ ...parts, app: { ...parts.app, protocol } });
const [plain, secure] = [asking({}), asking(overTls)];

const http1 = (): Promise<Running> => listening(createHttp1((_, answer) => answer.end('hello')));
const http2 = (): Promise<Running> => startHttp2App(stream => stream.respond({ ':status': 200 }, { endStream: true }));
const says = (text: string) => (): Promise<Running> =>
  startApp((wire: Wire) => {
    void wire.take(/\r\n\r\n/).then(() => wire.send(text));
  });
const tlsWith = (protocols: readonly string[]) => (): Promise<Running> =>
  listening(
    createTls({ ...certificate, ALPNProtocols: [...protocols] }, socket => socket.on('error', () => undefined)).on(
      'tlsClientError',
      () => undefined,
    ),
  );

/** What a client is told, and what the log says. */
async function ask(start: () => Promise<Running>, parts: WorldParts, grpc = false) {
  const app = await start();
  const warned: LogFields[] = [];
  const warn = (fields: LogFields): void => {
    if (fields['reason'] !== undefined) warned.push(fields);
  };
  const world = await startWorld(app.port, parts, { telemetry: { ...SILENT, log: { ...SILENT.log, warn } } });
  let told: string;
  if (grpc) {
    const client = openHttp2(world.port);
    const type = { 'content-type': 'application/grpc', te: 'trailers' };
    const { headers } = await client.call({ ':method': 'POST', ':path': '/open/x', ...type }, 'x');
    told = `${String(headers['grpc-status'])} ${String(headers['grpc-message'])}`;
    await client.close();
  } else {
    const wire = openWire(world.port).send('GET /open HTTP/1.1\r\nHost: a.example\r\n\r\n');
    const { status, body } = await wire.takeAnswer();
    told = `${status} ${/"reason":"(\w+)"/.exec(body)?.[1] ?? ''}`;
    wire.socket.destroy();
  }
  await world.stop();
  await app.stop();
  return { told, warned };
}

type Case = readonly [start: () => Promise<Running>, parts: WorldParts, detail: RegExp, grpc?: true];
const [NO_HTTP2, ONLY_HTTP2] = [
  /does not speak HTTP\/2: set app\.protocol: HTTP1/,
  /HTTP\/2: set app\.protocol: HTTP2/,
];

describe('an app of another HTTP is 502 AppProtocolError, and the log says what to set', () => {
  const cases: Readonly<Record<string, Case>> = {
    'HTTP2 to an app of HTTP/1.1': [http1, plain('HTTP2'), NO_HTTP2],
    'HTTP2 to an app that answers in words': [says('HTTP/1.0 505 No\r\n\r\n'), plain('HTTP2'), NO_HTTP2],
    'Auto to an app of HTTP/1.1, of a call of gRPC': [http1, plain('Auto'), NO_HTTP2, true],
    'HTTP1 to an app of HTTP/2': [http2, plain('HTTP1'), ONLY_HTTP2],
    'Auto to an app of HTTP/2': [http2, plain('Auto'), ONLY_HTTP2],
    'HTTP1 to an app that answers as HTTP/2 in words': [says('HTTP/2 200\r\n\r\n'), plain('HTTP1'), ONLY_HTTP2],
    'HTTP2 over TLS to an app without ALPN': [tlsWith([]), secure('HTTP2'), NO_HTTP2],
    'HTTP2 over TLS to an app that refuses h2': [tlsWith(['http/1.1']), secure('HTTP2'), NO_HTTP2],
    'HTTP1 over TLS to an app that wants h2': [tlsWith(['h2']), secure('HTTP1'), ONLY_HTTP2],
  };
  for (const [sentence, [start, parts, detail, grpc]] of Object.entries(cases)) {
    test(sentence, async () => {
      const { told, warned } = await ask(start, parts, grpc);
      assert.equal(told, grpc === true ? '14 AppProtocolError' : '502 AppProtocolError');
      assert.equal(warned.length, 1);
      assert.equal(warned[0]?.['reason'], 'AppProtocolError');
      assert.match(String(warned[0]['detail']), detail);
    });
  }

  test('but one that says nothing before it goes is AppUnavailable', async () => {
    const mute = (): Promise<Running> =>
      startApp((wire: Wire) => void wire.take(/\r\n\r\n/).then(() => wire.socket.destroy()));
    assert.equal((await ask(mute, plain('HTTP2'))).told, '502 AppUnavailable');
  });
});
