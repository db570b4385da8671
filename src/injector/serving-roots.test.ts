import assert from 'node:assert/strict';
import { randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import {
  bundleForSidecars,
  bundleRoots,
  makeRoots,
  readRoots,
  rotateRoots,
  signLeaf,
  writeRoots,
  type Making,
  type Roots,
} from './serving-roots.ts';

const DAY = 86_400_000;
const NOW = Date.now();
const timings = { rootMs: 100 * DAY, leafMs: 10 * DAY };
const at = (day: number): Making => ({ now: NOW + day * DAY, timings, randomBytes });
const NAMES = { dns: ['sallyport-controller.ns1.svc'] };
const countOf = (pem: string): number => pem.split('BEGIN CERTIFICATE').length - 1;

/** Whether somebody who trusts `ca` takes what these roots sign. */
async function isTaken(t: TestContext, roots: Roots, ca: string): Promise<boolean> {
  const { certificate, key } = signLeaf(roots.signing, NAMES, at(0));
  const server: Server = createServer({ cert: certificate, key }, socket => socket.end());
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const socket = connect({ host: '127.0.0.1', port, servername: NAMES.dns[0], ca, minVersion: 'TLSv1.3' });
  try {
    await once(socket, 'secureConnect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

describe('serving roots', () => {
  const first = makeRoots(at(0));

  test('are two from the beginning', () => {
    assert.equal(countOf(bundleRoots(first)), 2);
    assert.equal(bundleForSidecars(first), bundleRoots(first));
  });

  test('stay until the first has lived for half of its life', () => {
    assert.equal(rotateRoots(first, at(49)), first);
    const second = rotateRoots(first, at(50));
    assert.equal(second.signing, first.next);
    assert.equal(second.previous, first.signing.certificate);
  });

  test('sign each for the same time', () => {
    const second = rotateRoots(first, at(50));
    assert.equal(rotateRoots(second, at(99)), second);
    assert.equal(rotateRoots(second, at(100)).signing, second.next);
  });

  test('are told to nobody after their end', () => {
    const second = rotateRoots(first, at(50));
    assert.equal(countOf(bundleRoots(second)), 3);
    assert.equal(countOf(bundleRoots(rotateRoots(second, at(99)))), 3);
    const third = rotateRoots(second, at(101));
    assert.equal(third.previous, second.signing.certificate);
    assert.equal(countOf(bundleRoots(third)), 3);
  });

  test('are sound again after years without a controller', () => {
    const late = rotateRoots(first, at(1000));
    assert.ok(late.signing.notAfter > NOW + 1000 * DAY);
    assert.equal(rotateRoots(late, at(1000)), late);
    assert.equal(late.previous, '');
  });

  test('of a pod’s arguments are enough before and after the next one signs', async t => {
    const told = bundleForSidecars(first);
    const second = rotateRoots(first, at(50));
    const third = rotateRoots(second, at(100));
    assert.deepEqual(
      [await isTaken(t, first, told), await isTaken(t, second, told), await isTaken(t, third, told)],
      [true, true, false],
    );
    assert.equal(await isTaken(t, first, bundleRoots(second)), true);
  });

  test('come back from the Secret as they were, and from a broken one not at all', () => {
    const second = rotateRoots(first, at(50));
    const data = writeRoots(second);
    assert.deepEqual(readRoots(data), second);
    for (const broken of [
      {},
      { ...data, 'ca.crt': 'x' },
      { ...data, 'ca.key': data['next.key'] ?? '' },
      { ...data, 'next.crt': '' },
      { ...data, 'previous.crt': '-----BEGIN CERTIFICATE-----' },
    ]) {
      assert.equal(readRoots(broken), undefined);
    }
  });
});

describe('a leaf', () => {
  const { signing } = makeRoots(at(0));

  test('names the controller and is for servers only', () => {
    const leaf = new X509Certificate(signLeaf(signing, NAMES, at(0)).certificate);
    assert.equal(leaf.subjectAltName, 'DNS:sallyport-controller.ns1.svc');
    assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1']);
    assert.equal(leaf.ca, false);
  });

  test('is valid for clocks that are a little behind, and not longer than its root', () => {
    const leaf = new X509Certificate(signLeaf(signing, NAMES, at(95)).certificate);
    assert.ok(leaf.validFromDate.getTime() <= NOW + 95 * DAY - 60_000);
    assert.ok(leaf.validToDate.getTime() <= NOW + 100 * DAY);
  });

  test('is renewed from half of its life on', () => {
    assert.equal(signLeaf(signing, NAMES, at(0)).renewAt, NOW + 5 * DAY);
  });
});
