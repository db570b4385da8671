/** The fleet's clients over HTTP/2: the same verdicts, the same headers to the app, nothing forged. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { connect, type ClientHttp2Session, type OutgoingHttpHeaders } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { after, before, describe, test } from 'node:test';
import type { DeviceName } from '../../src/demo/material.ts';
import { DEVICE, type Fleet, openFleet, TELEMETRY } from '../support/fleet.ts';
import { missProgram } from '../support/programs.ts';
import { folded } from '../support/servers.ts';

const CONTEXT = 'x-request-context-data';
const FORGED = 'deviceId=robot-1;certificateThumbprint=00;';

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

const skip = missProgram('curl');

describe('the fleet, over HTTP/2', () => {
  let fleet: Fleet;
  const ends: (() => unknown)[] = [];
  before(async () => {
    fleet = await openFleet({ after: end => void ends.unshift(end as () => unknown) });
  });
  after(async () => {
    for (const end of ends) await end();
  });

  const open = (device?: DeviceName): ClientHttp2Session => {
    const certificate = device === undefined ? undefined : fleet.material.devices[device];
    const session = connect('https://fleet.example.com', {
      createConnection: () =>
        connectTls({
          host: '127.0.0.1',
          port: fleet.sidecar.port,
          servername: 'fleet.example.com',
          ca: fleet.material.corp.certificatePem,
          ALPNProtocols: ['h2'],
          ...(certificate === undefined ? {} : { cert: certificate.chainPem, key: certificate.keyPem }),
        }),
    });
    session.on('error', () => undefined);
    ends.unshift(() => session.destroy());
    return session;
  };
  const ask = (session: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: string): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const stream = session.request(headers, { endStream: body === undefined });
      let told: Readonly<Record<string, unknown>> = {};
      let text = '';
      stream.on('response', head => (told = head));
      stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
      stream.on('error', reject);
      stream.on('close', () => resolve({ status: Number(told[':status'] ?? 0), headers: told, body: text }));
      if (body !== undefined) stream.end(body);
    });
  const post = (path: string, more: OutgoingHttpHeaders = {}): OutgoingHttpHeaders => ({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/json',
    ...more,
  });

  test('a web client with a token gets in, and the app learns who it is but not the token', async () => {
    const answer = await ask(open(), { ':path': DEVICE, authorization: `Bearer ${await fleet.webToken()}` });
    assert.equal(answer.status, 200);
    const { lines } = fleet.app.last;
    assert.deepEqual(folded(lines, 'x-client-id'), ['web-portal']);
    assert.deepEqual(folded(lines, 'authorization'), []);
  });
  test('a device with its certificate gets in, is looked up, and the app gets its verified identity', async () => {
    const answer = await ask(open('robot-7'), post(TELEMETRY), '{}');
    assert.equal(answer.status, 200);
    const [context = ''] = folded(fleet.app.last.lines, CONTEXT);
    assert.match(context, /deviceId=robot-7;/);
  });
  test('nobody else gets in', async () => {
    const session = open();
    for (const [headers, status, reason] of [
      [{ ':path': DEVICE }, 401, 'TokenNotPresent'],
      [{ ':path': DEVICE, authorization: 'Bearer abc' }, 401, 'TokenMalformed'],
      [{ ':path': '/v2/none' }, 404, 'OperationNotFound'],
    ] as const) {
      const answer = await ask(session, headers);
      assert.deepEqual([answer.status, (JSON.parse(answer.body) as { reason: string }).reason], [status, reason]);
    }
    for (const [device, path, reason] of [
      ['untrusted', TELEMETRY, 'ClientCertificateUntrusted'],
      ['revoked', TELEMETRY, 'ClientCertificateRevoked'],
      ['robot-7', '/v1/devices/robot-8/telemetry', 'DeviceMismatch'],
    ] as const) {
      const answer = await ask(open(device), post(path), '{}');
      assert.deepEqual([answer.status, (JSON.parse(answer.body) as { reason: string }).reason], [403, reason]);
    }
  });
  test('no spelling of a sealed header, and no forwarding header, comes from the client', async () => {
    const session = open('robot-7');
    const spellings = [CONTEXT, CONTEXT.replaceAll('-', '_'), CONTEXT.replaceAll('-', '.'), 'x-request_context.data'];
    for (const name of spellings) {
      assert.equal((await ask(session, post(TELEMETRY, { [name]: FORGED }), '{}')).status, 200);
      const values = folded(fleet.app.last.lines, CONTEXT);
      assert.equal(values.length, 1, name);
      assert.doesNotMatch(values.join(), /robot-1;|00;$/);
    }
    const forged = { 'x-forwarded-for': '6.6.6.6', 'x-forwarded-client-cert': 'Hash=0', 'x-original-url': '/admin' };
    assert.equal((await ask(session, post(TELEMETRY, forged), '{}')).status, 200);
    const { lines } = fleet.app.last;
    assert.deepEqual(folded(lines, 'x-forwarded-for'), ['127.0.0.1']);
    assert.deepEqual([folded(lines, 'x-forwarded-client-cert'), folded(lines, 'x-original-url')], [[], []]);
  });
  test('a call of gRPC without a token is told so in its own words (M8)', async () => {
    const answer = await ask(open(), post(TELEMETRY, { 'content-type': 'application/grpc' }), 'x');
    assert.deepEqual([answer.status, answer.headers['grpc-status'], answer.body], [200, '16', '']);
  });
  test('curl agrees on HTTP/2', { skip }, async () => {
    const ca = join(tmpdir(), `sallyport-http2-${process.pid}.pem`);
    await writeFile(ca, fleet.material.corp.certificatePem);
    const { port } = fleet.sidecar;
    const to = `fleet.example.com:${port}`;
    const url = `https://${to}${DEVICE}`;
    const args = [
      '-s',
      '--http2',
      '--cacert',
      ca,
      '--resolve',
      `${to}:127.0.0.1`,
      '-w',
      ' %{http_version} %{http_code}',
    ];
    const token = await fleet.webToken();
    const text = await new Promise<string>((resolve, reject) =>
      execFile('curl', [...args, '-H', `Authorization: Bearer ${token}`, url], (error, stdout) =>
        error === null ? resolve(stdout) : reject(new Error('curl failed', { cause: error })),
      ),
    );
    assert.match(text, / 2 200$/);
  });
});
