import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, verify, X509Certificate } from 'node:crypto';
import { describe, it, test } from 'node:test';
import { createAuthority, createKeyPair } from '../demo/pki.ts';
import { MAX_REQUEST_BYTES, parseCertificateRequest } from '../x509/certificate-request.ts';
import { parsePem } from '../x509/pem.ts';
import type { Log, LogFields } from '../telemetry/telemetry.ts';
import { requestCertificate } from './certificate-request.ts';
import { createManagedCertificates, type ManagedOptions, type PairStore } from './managed-certificates.ts';

const HOUR = 3_600_000;
const authority = createAuthority({ name: 'Mesh CA' });
const KEY = 'shop/mesh';

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

/** A controller, a clock and timers that the test moves. */
function open(changes: Partial<ManagedOptions> = {}) {
  const start = Math.floor(Date.now() / 1000) * 1000;
  const timers = new Set<Timer>();
  const lines: { level: string; message: string; fields: LogFields }[] = [];
  const note = (level: string) => (fields: LogFields, message: string) => void lines.push({ level, fields, message });
  const log: Log = { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') };
  const scene = {
    now: start,
    failing: undefined as Error | undefined,
    lifetime: 72 * HOUR,
    signed: 0,
    changes: 0,
    lines,
    /** Runs what is due until then, in order; signing takes no time. */
    async pass(milliseconds: number): Promise<void> {
      const end = scene.now + milliseconds;
      for (;;) {
        await settle();
        const [next] = [...timers].sort((a, b) => a.at - b.at);
        if (next === undefined || next.at > end) break;
        timers.delete(next);
        scene.now = Math.max(scene.now, next.at);
        next.run();
      }
      scene.now = end;
    },
  };
  const managed = createManagedCertificates({
    sign(request) {
      if (scene.failing !== undefined) return Promise.reject(scene.failing);
      scene.signed += 1;
      // Only the public half is used.
      const keyPair = { publicKey: readRequest(request).publicKey, privateKey: createKeyPair().privateKey };
      const notBefore = new Date(scene.now - 5 * 60_000);
      const notAfter = new Date(scene.now + scene.lifetime);
      return Promise.resolve({
        certificate: authority.issue({ subject: 'mesh', keyPair, notBefore, notAfter }).chainPem,
      });
    },
    log,
    clock: () => scene.now,
    random: () => 0,
    later(milliseconds, run) {
      const timer = { at: scene.now + milliseconds, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    onChange: () => void (scene.changes += 1),
    ...changes,
  });
  const hold = (lifetime = scene.lifetime) => managed.hold(KEY, lifetime);
  return Object.assign(scene, { managed, hold, timers });
}

const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};

function createMemoryStore(): PairStore & { readonly pairs: Map<string, { certificate: string; key: string }> } {
  const pairs = new Map<string, { certificate: string; key: string }>();
  return {
    pairs,
    load: credential => Promise.resolve(pairs.get(credential)),
    save: (credential, pair) => Promise.resolve(void pairs.set(credential, pair)),
  };
}

function readRequest(pem: string) {
  const [block] = parsePem(pem, MAX_REQUEST_BYTES);
  assert.equal(block?.label, 'CERTIFICATE REQUEST');
  const request = parseCertificateRequest(block.der);
  return { ...request, publicKey: createPublicKey({ key: Buffer.from(request.spki), format: 'der', type: 'spki' }) };
}

test('the request is what RFC 2986 says, signed by its own key', () => {
  const { request, key } = requestCertificate();
  const { publicKey, info, signature } = readRequest(request);
  assert.ok(verify('sha256', info, publicKey, signature));
  const own = createPublicKey(createPrivateKey(key));
  assert.ok(own.equals(publicKey));
});

describe('a managed certificate', () => {
  it('is missing at first, and in force when the controller has signed it', async () => {
    const scene = open();
    assert.deepEqual(scene.hold(), { pair: undefined, problem: 'MISSING' });
    await scene.pass(0);
    assert.equal(scene.changes, 1);
    const { pair } = scene.hold();
    assert.ok(pair !== undefined && new X509Certificate(pair.certificate).checkPrivateKey(createPrivateKey(pair.key)));
    assert.equal(scene.signed, 1);
  });

  it('is renewed after a third of its life, with another key, and the old one serves until then', async () => {
    const scene = open();
    scene.hold();
    await scene.pass(0);
    const first = scene.hold().pair;
    await scene.pass(23 * HOUR);
    assert.equal(scene.hold().pair, first);
    await scene.pass(1.5 * HOUR);
    const second = scene.hold().pair;
    assert.notEqual(second?.sha256, first?.sha256);
    assert.notEqual(second?.key, first?.key);
    assert.equal(scene.changes, 2);
  });

  it('survives two days without a controller, tries on, and raises the alarm below a day', async () => {
    const scene = open();
    scene.hold();
    await scene.pass(23 * HOUR);
    const { pair } = scene.hold();
    scene.failing = new Error('away');
    await scene.pass(24 * HOUR);
    assert.equal(scene.hold().pair, pair);
    assert.deepEqual([...new Set(scene.lines.map(({ level }) => level))], ['info', 'warn']);
    await scene.pass(2 * HOUR);
    assert.equal(scene.lines.at(-1)?.message, 'the mesh certificate is not renewed');
    assert.equal(scene.lines.at(-1)?.level, 'error');
    scene.failing = undefined;
    await scene.pass(6 * 60_000);
    assert.notEqual(scene.hold().pair, pair);
  });

  it('is missing again when it has expired, which says more than a handshake that fails', async () => {
    const scene = open();
    scene.hold();
    await scene.pass(0);
    scene.failing = new Error('away');
    await scene.pass(73 * HOUR);
    assert.deepEqual(scene.hold(), { pair: undefined, problem: 'MISSING' });
    assert.equal(scene.changes, 2);
    scene.failing = undefined;
    await scene.pass(6 * 60_000);
    assert.ok(scene.hold().pair !== undefined);
  });

  it('waits as long as the controller says', async () => {
    const scene = open();
    scene.failing = Object.assign(new Error('busy'), { retryAfterMs: HOUR });
    scene.hold();
    await scene.pass(HOUR / 2);
    assert.equal(scene.lines.length, 1);
    await scene.pass(HOUR);
    assert.equal(scene.lines.length, 2);
  });

  it('refuses a certificate for another key, and keeps what it has', async () => {
    const other = authority.issue({ subject: 'other' });
    const scene = open({ sign: () => Promise.resolve({ certificate: other.chainPem }) });
    scene.hold();
    await scene.pass(0);
    assert.equal(scene.hold().pair, undefined);
    assert.match(String(scene.lines[0]?.fields['problem']), /KEY_DOES_NOT_MATCH/);
  });

  it('is asked for anew with another lifetime, while the old one serves', async () => {
    const scene = open();
    scene.hold();
    await scene.pass(0);
    const first = scene.hold().pair;
    scene.lifetime = 2 * HOUR;
    assert.equal(scene.hold().pair, first);
    await scene.pass(0);
    assert.notEqual(scene.hold().pair, first);
  });

  it('serves after a restart of the container without a controller', async () => {
    const store = createMemoryStore();
    const before = open({ store });
    before.hold();
    await before.pass(0);
    const after = open({ store });
    after.failing = new Error('away');
    after.hold();
    await after.pass(0);
    assert.equal(after.hold().pair?.sha256, before.hold().pair?.sha256);
    store.pairs.set(KEY, { certificate: 'garbage', key: '' });
    const broken = open({ store });
    broken.hold();
    await broken.pass(0);
    assert.equal(broken.signed, 1);
  });

  it('is asked for no more when nothing names it or the sidecar ends, and no key is logged', async () => {
    const scene = open();
    scene.hold();
    await scene.pass(0);
    const key = scene.hold().pair?.key ?? '';
    scene.managed.retain(new Set());
    assert.equal(scene.timers.size, 0);
    const again = open();
    again.hold();
    again.managed.close();
    await again.pass(0);
    assert.equal(again.changes, 0);
    const told = JSON.stringify(scene.lines);
    for (const line of key.split('\n').filter(text => text !== '')) assert.ok(!told.includes(line));
  });
});
