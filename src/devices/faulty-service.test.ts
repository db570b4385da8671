/** Device look-ups at real servers that misbehave: each is undecided within the timeout, none is a yes. */
import assert from 'node:assert/strict';
import { createServer as createHttps } from 'node:https';
import { createServer as createTcp, type AddressInfo, type Server, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { TLSSocket } from 'node:tls';
import { createAuthority } from '../demo/pki.ts';
import { EMPTY_MATERIAL } from '../material/material.ts';
import { createFetcher } from '../outbound/fetcher.ts';
import { SILENT } from '../telemetry/telemetry.ts';
import { createDevices, type DeviceView } from './devices.ts';
import { describe, planOf, requestOf, SERVICE, type Change } from './testing/device-kit.ts';

const authority = createAuthority({ name: 'Device-auth CA' });
const server = authority.issue({ subject: 'device-auth', san: { ip: ['127.0.0.1'] }, usages: ['serverAuth'] });
const sidecar = authority.issue({ subject: 'sidecar' });

async function listen(t: TestContext, listening: Server): Promise<number> {
  const sockets = new Set<Socket>();
  listening.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => undefined)));
  await new Promise<void>(resolve => listening.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    listening.close();
    for (const socket of sockets) socket.destroy();
  });
  return (listening.address() as AddressInfo).port;
}

function open(t: TestContext, changes: Change): DeviceView {
  const fetcher = createFetcher();
  t.after(() => fetcher.close());
  const devices = createDevices({ fetcher, ...SILENT, clock: () => performance.now() });
  const clientCertificate = {
    certificate: sidecar.chainPem,
    key: sidecar.keyPem,
    sha1: '',
    sha256: sidecar.sha256,
    notAfter: 0,
  };
  const material = {
    ...EMPTY_MATERIAL,
    configMap: (): Map<string, Buffer> => new Map([['ca', Buffer.from(authority.certificatePem)]]),
  };
  return devices.prepare(new Map([[SERVICE, planOf({ timeout: 250, ...changes })]]), material, {
    clientCertificate: () => clientCertificate,
    present: () => undefined,
  });
}

const ask = async (view: DeviceView): Promise<string> => describe(await view.device(requestOf(), performance.now()));

test('a service that demands the mesh certificate gets it', async t => {
  const names: string[] = [];
  const port = await listen(
    t,
    createHttps(
      { cert: server.chainPem, key: server.keyPem, ca: authority.certificatePem, requestCert: true },
      (request, response) => {
        assert.ok(request.socket instanceof TLSSocket);
        names.push(String(request.socket.getPeerCertificate().subject.CN));
        response.end('{"deviceId":"robot-7"}');
      },
    ),
  );
  const tls = { trust: { configMapKeyRef: { name: 'ca', key: 'ca' } }, credential: 'mesh' };
  assert.equal(await ask(open(t, { url: `https://127.0.0.1:${port}/check`, tls, timeout: 2000 })), '200');
  assert.deepEqual(names, ['sidecar']);
});

const OK = 'HTTP/1.1 200 OK\r\n';
const FAULTS: Record<string, (socket: Socket) => void> = {
  'resets the connection': socket => socket.resetAndDestroy(),
  'closes without an answer': socket => socket.end(),
  'says nothing': () => undefined,
  'sends one byte at a time': socket => {
    const timer = setInterval(() => socket.write('H'), 20);
    socket.on('close', () => clearInterval(timer));
  },
  redirects: socket => socket.end('HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n'),
  fails: socket => socket.end('HTTP/1.1 500 Oops\r\ncontent-length: 22\r\n\r\n{"deviceId":"robot-7"}'),
  'sends broken chunks': socket => socket.end(`${OK}transfer-encoding: chunked\r\n\r\nzz\r\n{"deviceId":"robot-7"}`),
  'promises more than it sends': socket => socket.end(`${OK}content-length: 99\r\n\r\n{"deviceId":"robot-7"}`),
  'sends a body without end': socket => {
    socket.write(`${OK}transfer-encoding: chunked\r\n\r\n`);
    const piece = `10000\r\n${' '.repeat(65_536)}\r\n`;
    const pump = (): void => {
      while (!socket.destroyed && socket.write(piece));
    };
    socket.on('drain', pump);
    pump();
  },
  'speaks another protocol': socket => socket.end('220 mail ESMTP\r\n'),
};

for (const [sentence, misbehave] of Object.entries(FAULTS)) {
  test(`a look-up is undecided when the service ${sentence}`, async t => {
    const port = await listen(
      t,
      createTcp(socket => {
        socket.once('data', () => misbehave(socket));
      }),
    );
    assert.equal(await ask(open(t, { url: `http://127.0.0.1:${port}/check` })), '503');
  });
}
