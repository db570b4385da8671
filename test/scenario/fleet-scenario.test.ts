/** The scenario that must always work (design, README), from the manifests of examples/fleet. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openTls } from '../support/connection.ts';
import { DEVICE, type Fleet, openFleet, TELEMETRY } from '../support/fleet.ts';
import { type Behaviour, folded } from '../support/servers.ts';

const CONTEXT = 'x-request-context-data';
const LEAKS = ['Kestrel', 'ASP.NET', '4.0.30319', 'fleet.shop.svc', '127.0.0.1', 'SqlException', 'Files.cs'];

/** An app that tells everybody what it runs on and where it stands. */
const tellEverything: Behaviour = ({ path }, response) => {
  for (const [name, value] of [
    ['Server', 'Kestrel'],
    ['X-Powered-By', 'ASP.NET'],
    ['X-AspNet-Version', '4.0.30319'],
    ['X-AspNetMvc-Version', '5.2'],
  ] as const) {
    response.setHeader(name, value);
  }
  if (path.endsWith('/moved')) {
    response.writeHead(302, { location: 'https://fleet.shop.svc:8443/v1/files/report' }).end();
  } else if (path.endsWith('/login')) {
    response.setHeader('set-cookie', ['a=1; Domain=fleet.shop.svc; Path=/; Secure', 'b=2; Path=/; HttpOnly']);
    response.end('ok');
  } else if (path.endsWith('/crash')) {
    response.writeHead(500, { 'content-type': 'text/html' });
    response.end('<h1>SqlException</h1><pre>at Files.cs:42 on fleet.shop.svc</pre>');
  } else if (path.endsWith('/gateway')) {
    response.writeHead(503, { 'content-type': 'text/plain', 'retry-after': '7' }).end('upstream 127.0.0.1 refused');
  } else {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ self: 'https://fleet.shop.svc:8443/v1/files/report', host: 'fleet.shop.svc' }));
  }
};

describe('the fleet', () => {
  let fleet: Fleet;
  const ends: (() => unknown)[] = [];
  before(async () => {
    fleet = await openFleet({ after: end => void ends.unshift(end as () => unknown) }, { behaviour: tellEverything });
  });
  after(async () => {
    for (const end of ends) await end();
  });

  test('a web client with a token gets in, and the app learns who it is but not the token', async () => {
    const answer = await fleet.ask({ path: DEVICE, token: await fleet.webToken() });
    assert.equal(answer.status, 200);
    const { lines, path, method } = fleet.app.last;
    assert.equal(`${method} ${path}`, `GET ${DEVICE}`);
    assert.deepEqual(folded(lines, 'x-client-id'), ['web-portal']);
    assert.deepEqual(folded(lines, 'authorization'), []);
    assert.deepEqual(folded(lines, CONTEXT), []);
    assert.deepEqual(folded(lines, 'host'), ['fleet.example.com']);
    assert.deepEqual(folded(lines, 'x-forwarded-proto'), ['https']);
    assert.deepEqual(folded(lines, 'x-forwarded-for'), ['127.0.0.1']);
    assert.deepEqual(folded(lines, 'x-request-id').length, 1);
  });

  test('a device with its certificate gets in, is looked up, and the app gets its verified identity', async () => {
    const { sha1 } = fleet.material.devices['robot-7'];
    const answer = await fleet.ask({ method: 'POST', path: TELEMETRY, body: '{"celsius":21}' }, 'robot-7');
    assert.equal(answer.status, 200);
    assert.equal(fleet.app.last.body, '{"celsius":21}');
    assert.deepEqual(folded(fleet.app.last.lines, CONTEXT), [`certificateThumbprint=${sha1};deviceId=robot-7;`]);
    const asked = fleet.deviceAuth.asked.at(-1);
    assert.equal(asked?.get('certificateThumbprint'), sha1);
    assert.equal(asked.get('deviceId'), 'robot-7');
  });

  test('both kinds share one host, one port and even one connection with certificate and token', async () => {
    const connection = await fleet.connect(fleet.tls('robot-7'));
    const device = await connection.ask({ method: 'POST', path: TELEMETRY, body: '{}' });
    const both = await connection.ask({ path: DEVICE, token: await fleet.webToken() });
    assert.deepEqual([device.status, both.status], [200, 200]);
    // E2: the token is the first alternative that passes, so the certificate binds nothing.
    assert.deepEqual(folded(fleet.app.last.lines, 'x-client-id'), ['web-portal']);
    assert.deepEqual(folded(fleet.app.last.lines, CONTEXT), []);
  });

  test('nobody else gets in', async () => {
    const seen = fleet.app.seen.length;
    const nobody = await fleet.ask({ path: DEVICE });
    assert.deepEqual([nobody.status, nobody.reason], [401, 'TokenNotPresent']);
    assert.deepEqual(nobody.headers.get('www-authenticate'), [
      'Bearer realm="fleet"',
      'ClientCertificate realm="fleet"',
    ]);
    const stranger = await fleet.ask({ method: 'POST', path: TELEMETRY, body: '{}' }, 'untrusted');
    assert.deepEqual([stranger.status, stranger.reason], [403, 'ClientCertificateUntrusted']);
    const web = await fleet.ask({ method: 'POST', path: TELEMETRY, token: await fleet.webToken(), body: '{}' });
    assert.deepEqual([web.status, web.reason], [403, 'AuthorizationDenied']);
    const other = await fleet.ask({ method: 'POST', path: '/v1/devices/robot-8/telemetry', body: '{}' }, 'robot-8');
    assert.deepEqual([other.status, other.reason], [403, 'DeviceNotRecognized']);
    const mismatch = await fleet.ask({ method: 'POST', path: '/v1/devices/robot-8/telemetry', body: '{}' }, 'robot-7');
    assert.deepEqual([mismatch.status, mismatch.reason], [403, 'DeviceMismatch']);
    assert.equal(fleet.app.seen.length, seen, 'none of them reached the app');
  });

  test('no probe gets in, whatever it calls itself (CVE-2026-34457)', async () => {
    const seen = fleet.app.seen.length;
    for (const agent of ['kube-probe/1.34', 'GoogleHC/1.0', 'ELB-HealthChecker/2.0']) {
      const probe = await fleet.ask({ path: DEVICE, headers: [['User-Agent', agent]] });
      assert.deepEqual([probe.status, probe.reason], [401, 'TokenNotPresent'], agent);
    }
    assert.equal(fleet.app.seen.length, seen);
  });

  test('the sidecar presents the mesh certificate, and the app refuses anybody without it', async () => {
    const { sidecar, appCa } = fleet.material;
    await fleet.ask({ path: DEVICE, token: await fleet.webToken() });
    assert.equal(fleet.app.last.peer, sidecar.sha256);
    const seen = fleet.app.seen.length;
    // TLS 1.2: the refusal is part of the handshake, so that it is seen at once.
    const direct = openTls(fleet.app.port, {
      ca: appCa.certificatePem,
      serverName: 'fleet.shop.svc',
      options: { maxVersion: 'TLSv1.2' },
    });
    await assert.rejects(direct, { code: 'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE' });
    const withDevice = openTls(fleet.app.port, {
      ca: appCa.certificatePem,
      serverName: 'fleet.shop.svc',
      certificate: fleet.material.devices['robot-7'],
      options: { maxVersion: 'TLSv1.2' },
    });
    await assert.rejects(withDevice);
    assert.equal(fleet.app.seen.length, seen);
  });

  for (const [what, path, status] of [
    ['a JSON body', '/v1/files/report', 200],
    ['a redirect', '/v1/files/moved', 302],
    ['cookies', '/v1/files/login', 200],
    ['a stack trace', '/v1/files/crash', 500],
    ['an error of a gateway behind', '/v1/files/gateway', 503],
  ] as const) {
    test(`an answer with ${what} tells nothing of the back end`, async () => {
      const answer = await fleet.ask({ path, token: await fleet.webToken() });
      assert.equal(answer.status, status);
      for (const leak of LEAKS) {
        assert.equal(
          `${answer.head}\n${answer.body}`.includes(leak),
          false,
          `tells ${leak}: ${answer.head}\n${answer.body}`,
        );
      }
      for (const name of ['server', 'x-powered-by', 'x-aspnet-version', 'x-aspnetmvc-version']) {
        assert.equal(answer.headers.has(name), false);
      }
    });
  }

  test('what is rewritten leads to the public host', async () => {
    const token = await fleet.webToken();
    const moved = await fleet.ask({ path: '/v1/files/moved', token });
    assert.deepEqual(moved.headers.get('location'), ['https://fleet.example.com/v1/files/report']);
    const report = await fleet.ask({ path: '/v1/files/report', token });
    assert.match(report.body, /"self":"https:\/\/fleet\.example\.com\/v1\/files\/report"/);
    const login = await fleet.ask({ path: '/v1/files/login', token });
    const cookies = login.headers.get('set-cookie') ?? [];
    assert.equal(cookies.length, 2);
    assert.equal(cookies[0], 'a=1; Domain=fleet.example.com; Path=/; Secure');
    assert.equal(cookies[1], 'b=2; Path=/; HttpOnly');
  });

  test('behind a port of its own, what is rewritten leads back to that port', async () => {
    const token = await fleet.webToken();
    const host = 'fleet.example.com:18443';
    const moved = await fleet.ask({ path: '/v1/files/moved', token, host });
    assert.deepEqual(moved.headers.get('location'), [`https://${host}/v1/files/report`]);
    const report = await fleet.ask({ path: '/v1/files/report', token, host });
    assert.match(report.body, /"self":"https:\/\/fleet\.example\.com:18443\/v1\/files\/report"/);
  });

  test('the app’s own retry advice stays, its error body does not', async () => {
    const answer = await fleet.ask({ path: '/v1/files/gateway', token: await fleet.webToken() });
    assert.deepEqual(answer.headers.get('retry-after'), ['7']);
    assert.equal((JSON.parse(answer.body) as { title: string }).title, 'Service Unavailable');
  });
});
