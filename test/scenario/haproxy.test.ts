/** M3a with the proxy that invented the protocol in front: the client that connected to HAProxy is the peer. */
import assert from 'node:assert/strict';
import { connect as connectPlain } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { test } from 'node:test';
import { createDemoMaterial } from '../../src/demo/material.ts';
import { findFreePort } from '../../src/demo/listening.ts';
import { Wire } from '../../src/proxy/testing/wire.ts';
import { Connection, PUBLIC_HOST } from '../support/connection.ts';
import { startHaproxy } from '../support/haproxy.ts';
import { missProgram } from '../support/programs.ts';
import * as made from '../support/manifests.ts';
import { folded, RecordingApp } from '../support/servers.ts';
import { startSidecar } from '../support/sidecar.ts';

const skip = missProgram('haproxy');
const API = { proxyProtocol: { from: ['127.0.0.1/32'] } };
const POLICY = made.authPolicy('fleet', {
  request: [made.OPEN, { name: 'from', ipFilter: { allow: ['127.0.0.64/26'], deny: ['127.0.0.66'] } }],
});

/** Every way in which HAProxy writes it, by the option of its server line. */
const VERSIONS = {
  'version 1': 'send-proxy',
  'version 2': 'send-proxy-v2',
  'version 2 with everything that it can tell':
    'send-proxy-v2 proxy-v2-options ssl,cert-cn,cert-key,cert-sig,ssl-cipher,crc32c,unique-id,authority',
} as const;

async function dial(port: number, from: string, tls?: { readonly ca: string }): Promise<Connection> {
  const raw = connectPlain({ port, host: '127.0.0.1', localAddress: from });
  const socket = tls === undefined ? raw : connectTls({ socket: raw, servername: PUBLIC_HOST, ...tls });
  await new Promise<void>((resolve, reject) => {
    socket.once(tls === undefined ? 'connect' : 'secureConnect', resolve).once('error', reject);
  });
  return new Connection(new Wire(socket));
}

for (const [version, option] of Object.entries(VERSIONS)) {
  test(`${version}: plain HTTP through HAProxy, with health checks of its own`, { skip }, async t => {
    const app = await new RecordingApp().start();
    t.after(() => app.stop());
    const sidecar = await startSidecar({ manifests: { 'all.yaml': [made.api('fleet', API), POLICY] }, app: app.port });
    t.after(() => sidecar.close());
    const port = await findFreePort();
    const unique = 'unique-id-format %[uuid()]';
    const configuration = `frontend in\n  bind 127.0.0.1:${port}\n  ${unique}\n  default_backend sidecar\nbackend sidecar\n  server s 127.0.0.1:${sidecar.port} check inter 20ms ${option}\n`;
    const haproxy = await startHaproxy({ configuration, port });
    t.after(() => haproxy.stop());

    for (const [from, status, reason] of [
      ['127.0.0.77', 200, ''],
      ['127.0.0.66', 403, 'AddressBlocked'],
      ['127.0.0.1', 403, 'AddressNotAllowed'],
    ] as const) {
      const client = await dial(port, from);
      const answer = await client.ask({ path: '/' });
      assert.deepEqual([answer.status, answer.reason], [status, reason], from);
      if (status === 200) assert.deepEqual(folded(app.last.lines, 'x-forwarded-for'), [from]);
      client.close();
    }
    assert.equal(await sidecar.metric('sallyport_refused_connections_total', { reason: 'ProxyProtocol' }), 0);
    assert.equal(app.seen.length, 1);

    // Past HAProxy, from an address that must speak the protocol, and from one that must not.
    const bypass = await dial(sidecar.port, '127.0.0.1');
    await assert.rejects(bypass.ask({ path: '/' }));
    const forger = await dial(sidecar.port, '127.0.0.200');
    forger.send('PROXY TCP4 127.0.0.77 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\nHost: fleet.example.com\r\n\r\n');
    assert.equal((await forger.readAnswer()).status, 400);
    for (const client of [bypass, forger]) client.close();
    assert.equal(await sidecar.metric('sallyport_refused_connections_total', { reason: 'ProxyProtocol' }), 1);
    assert.equal(app.seen.length, 1);
  });
}

for (const option of ['send-proxy', 'send-proxy-v2']) {
  test(`${option} before TLS that the sidecar ends`, { skip }, async t => {
    const { servers, corp } = createDemoMaterial();
    const app = await new RecordingApp().start();
    t.after(() => app.stop());
    const tls = { tls: { certificate: { secretName: 'fleet-tls' } }, hosts: [PUBLIC_HOST] };
    const manifests = [made.api('fleet', { ...API, ...tls }), POLICY, made.tlsSecret('fleet-tls', servers.public)];
    const sidecar = await startSidecar({ manifests: { 'all.yaml': manifests }, app: app.port });
    t.after(() => sidecar.close());
    const port = await findFreePort();
    const configuration = `frontend in\n  bind 127.0.0.1:${port}\n  default_backend sidecar\nbackend sidecar\n  server s 127.0.0.1:${sidecar.port} ${option}\n`;
    const haproxy = await startHaproxy({ configuration, port });
    t.after(() => haproxy.stop());

    const client = await dial(port, '127.0.0.77', { ca: corp.certificatePem });
    assert.equal((await client.ask({ path: '/' })).status, 200);
    assert.deepEqual(folded(app.last.lines, 'x-forwarded-for'), ['127.0.0.77']);
    const refused = await dial(port, '127.0.0.66', { ca: corp.certificatePem });
    assert.equal((await refused.ask({ path: '/' })).reason, 'AddressBlocked');
    for (const each of [client, refused]) each.close();
  });
}
