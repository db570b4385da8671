import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ClientTrustSpec } from '../api/kinds/material.ts';
import { createAuthority } from '../demo/pki.ts';
import type { FetchAnswer } from '../outbound/fetcher.ts';
import { SILENT } from '../telemetry/telemetry.ts';
import { createTrust, type PresentedCertificate, type TrustView } from './trust.ts';

const HOUR = 60 * 60 * 1000;
const REFRESH = HOUR / 4;
const NOW = Date.now();
const URL_OF_LIST = 'http://crl.example/devices.crl?token=canary';

const ca = createAuthority({ name: 'root' });
const stolen = ca.issue({ subject: 'a' });
const kept = ca.issue({ subject: 'b' });
const younger = (minutes: number) => ({ thisUpdate: new Date(NOW - HOUR + minutes * 60_000) });
const before = ca.crlDer(younger(0));
ca.revoke(stolen);
const after = ca.crlDer(younger(10));

const presented = ({ der }: { readonly der: Uint8Array }): PresentedCertificate => ({
  chain: [der],
  from: 'tls',
  memo: {},
});
const ok = (body: Uint8Array): FetchAnswer => ({ status: 200, headers: {}, body });

interface Rig {
  readonly lines: string[];
  readonly delays: number[];
  changes: number;
  answer: () => Promise<FetchAnswer>;
  now: number;
  readonly view: TrustView;
  /** Runs what was scheduled last. */
  round(): Promise<void>;
  judge(which?: { readonly der: Uint8Array }): string;
}

async function createRig(first: () => Promise<FetchAnswer>, mode: 'Strict' | 'SoftFail' = 'Strict'): Promise<Rig> {
  let next: (() => void) | undefined;
  const lines: string[] = [];
  const delays: number[] = [];
  const rig = { lines, delays, changes: 0, answer: first, now: NOW };
  const trust = createTrust({
    fetcher: { fetch: () => rig.answer() },
    log: { ...SILENT.log, warn: (fields, message) => void lines.push(JSON.stringify({ ...fields, message })) },
    metrics: SILENT.metrics,
    clock: () => rig.now,
    onChange: () => void (rig.changes += 1),
    schedule: (delay, run) => {
      delays.push(delay);
      next = run;
      return () => (next = undefined);
    },
  });
  const spec: ClientTrustSpec = {
    anchors: [{ secretKeyRef: { name: 'ca', key: 'ca.crt' } }],
    partialChain: false,
    maxDepth: 5,
    validity: { notBefore: true, notAfter: true },
    sources: [{ tls: {} }],
    revocation: { mode, crls: [{ url: URL_OF_LIST }], leafOnly: true, refresh: REFRESH },
  };
  const anchors = new Map([['ca.crt', new TextEncoder().encode(ca.certificatePem)]]);
  const view = trust.prepare(new Map([['ns/t', { key: 'ns/t', namespace: 'ns', generation: 1, spec }]]), {
    secret: () => anchors,
    configMap: () => undefined,
  });
  const settle = async () => {
    await trust.settled();
    // The rounds after the first are not awaited by anybody but the event loop.
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  };
  await settle();
  return Object.assign(rig, {
    view,
    round: async () => {
      next?.();
      await settle();
    },
    judge: (which: { readonly der: Uint8Array } = stolen) => {
      const evidence = view.judge('ns/t', presented(which), rig.now);
      return 'reason' in evidence ? evidence.reason : evidence.state;
    },
  });
}

describe('revocation lists with a URL', () => {
  test('until the first answer Strict is 503; then the list judges, and open streams are told', async () => {
    let arrive: (answer: FetchAnswer) => void = () => undefined;
    const waiting = new Promise<FetchAnswer>(resolve => (arrive = resolve));
    const pending = createRig(() => waiting);
    arrive(ok(after));
    const rig = await pending;
    assert.equal(rig.judge(), 'ClientCertificateRevoked');
    assert.equal(rig.judge(kept), 'verified');
    assert.equal(rig.changes, 1);
    assert.deepEqual(rig.delays, [REFRESH]);
  });

  const failures: Record<string, () => Promise<FetchAnswer>> = {
    'another status': () => Promise.resolve({ status: 404, headers: {}, body: after }),
    'bytes that are no list': () => Promise.resolve(ok(Uint8Array.of(0x30, 1))),
    'no answer': () => Promise.reject(Object.assign(new Error('canary in a message'), { code: 'CONNECT' })),
  };
  for (const [what, fail] of Object.entries(failures)) {
    test(`${what}: Strict is 503, SoftFail passes, and it is tried again soon`, async () => {
      const rig = await createRig(fail);
      assert.equal(rig.judge(kept), 'RevocationUnavailable');
      assert.deepEqual(rig.delays, [30_000]);
      assert.equal(rig.changes, 0);
      assert.equal((await createRig(fail, 'SoftFail')).judge(kept), 'verified');
      rig.answer = () => Promise.resolve(ok(after));
      await rig.round();
      assert.equal(rig.judge(kept), 'verified');
    });

    test(`${what} after a good list: the list stays until its nextUpdate`, async () => {
      const rig = await createRig(() => Promise.resolve(ok(after)));
      rig.answer = fail;
      await rig.round();
      assert.equal(rig.judge(kept), 'verified');
      rig.now += 8 * 24 * HOUR;
      assert.equal(rig.judge(kept), 'RevocationUnavailable');
    });
  }

  test('a newer list replaces an older one', async () => {
    const rig = await createRig(() => Promise.resolve(ok(before)));
    assert.equal(rig.judge(), 'verified');
    rig.answer = () => Promise.resolve(ok(after));
    await rig.round();
    assert.equal(rig.judge(), 'ClientCertificateRevoked');
    assert.equal(rig.view.status()[0]?.lists[0]?.entries, 1);
  });

  test('an older list, replayed on the way, does not make a revoked certificate good', async () => {
    const rig = await createRig(() => Promise.resolve(ok(after)));
    assert.equal(rig.judge(), 'ClientCertificateRevoked');
    rig.answer = () => Promise.resolve(ok(before));
    await rig.round();
    assert.equal(rig.judge(), 'ClientCertificateRevoked');
  });

  test('a forged list, however new, neither makes a revoked certificate good nor a good one unavailable', async () => {
    const rig = await createRig(() => Promise.resolve(ok(after)), 'SoftFail');
    assert.equal(rig.judge(), 'ClientCertificateRevoked');
    const forger = createAuthority({ name: 'root' });
    forger.revoke(kept);
    for (let round = 0; round < 3; round++) {
      rig.answer = () => Promise.resolve(ok(forger.crlDer(younger(30 + round))));
      await rig.round();
    }
    assert.equal(rig.judge(), 'ClientCertificateRevoked');
    assert.equal(rig.judge(kept), 'verified');
  });

  test('the next fetch comes in time for nextUpdate', async () => {
    const soon = ca.crlDer({ nextUpdate: new Date(NOW + 60_000) });
    const rig = await createRig(() => Promise.resolve(ok(soon)));
    assert.ok((rig.delays[0] ?? Infinity) <= 60_000);
  });

  test('neither logs nor status show the query of the URL or the text of an error', async () => {
    const rig = await createRig(() =>
      Promise.reject(Object.assign(new Error('canary in a message'), { code: 'CONNECT' })),
    );
    const shown = JSON.stringify([rig.lines, rig.view.status()]);
    assert.ok(shown.includes('CONNECT') && !shown.includes('canary'));
  });
});
