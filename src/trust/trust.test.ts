import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ClientTrustSpec } from '../api/kinds/material.ts';
import { createAuthority, type Authority, type LeafOptions } from '../demo/pki.ts';
import type { Material } from '../material/material.ts';
import type { TrustPlan } from '../policy/model.ts';
import { SILENT } from '../telemetry/telemetry.ts';
import { createTrust, type PresentedCertificate, type Trust, type TrustView } from './trust.ts';

const NOW = Date.now();
const HOUR = 60 * 60 * 1000;
const DAY = 24 * HOUR;
const KEY = 'shop/devices';

const root = createAuthority({ name: 'root' });
const issuing = root.createIntermediate({ name: 'issuing' });

const fromTls = (chain: readonly Uint8Array[], handshakeError?: string): PresentedCertificate => ({
  chain,
  from: 'tls',
  memo: {},
  ...(handshakeError === undefined ? {} : { handshakeError }),
});
const device = (options: Partial<LeafOptions> = {}) => issuing.issue({ subject: 'robot-7', ...options });
const present = (options: Partial<LeafOptions> = {}, error?: string) =>
  fromTls([device(options).der, issuing.der], error);

type Files = Readonly<Record<string, string | Uint8Array | undefined>>;

/** Every file is a key of one ConfigMap and of one Secret, both named `files`. */
function material(files: Files): Material {
  const data = new Map<string, Uint8Array>();
  for (const [name, content] of Object.entries(files)) {
    if (content !== undefined)
      data.set(name, typeof content === 'string' ? new TextEncoder().encode(content) : content);
  }
  const find = (key: string) => (key === 'shop/files' ? data : undefined);
  return { secret: find, configMap: find };
}

const ref = (key: string) => ({ configMapKeyRef: { name: 'files', key } });

function plan(spec: Partial<ClientTrustSpec> = {}): TrustPlan {
  return {
    key: KEY,
    namespace: 'shop',
    generation: 1,
    spec: {
      anchors: [ref('ca.crt')],
      partialChain: false,
      maxDepth: 5,
      validity: { notBefore: true, notAfter: true },
      sources: [{ tls: {} }],
      ...spec,
    },
  };
}

const strict = (...keys: string[]): Partial<ClientTrustSpec> => ({
  revocation: { mode: 'Strict', crls: keys.map(ref), leafOnly: true, refresh: 15 * 60 * 1000 },
});
const softFail: Partial<ClientTrustSpec> = {
  revocation: { mode: 'SoftFail', crls: [ref('list.crl')], leafOnly: true, refresh: 15 * 60 * 1000 },
};

interface Rig {
  readonly trust: Trust;
  readonly warnings: string[];
  readonly counted: string[];
  prepare(files: Files, spec?: Partial<ClientTrustSpec>): TrustView;
}

function createRig(): Rig {
  const warnings: string[] = [];
  const counted: string[] = [];
  const trust = createTrust({
    log: { ...SILENT.log, warn: (_, message) => void warnings.push(message) },
    metrics: { ...SILENT.metrics, count: name => void counted.push(name) },
    clock: () => NOW,
  });
  const prepare = (files: Files, spec?: Partial<ClientTrustSpec>) =>
    trust.prepare(new Map([[KEY, plan(spec)]]), material(files));
  return { trust, warnings, counted, prepare };
}

function answer(view: TrustView, presented: PresentedCertificate, now = NOW): string {
  const evidence = view.judge(KEY, presented, now);
  return evidence.state === 'verified' || evidence.state === 'absent'
    ? evidence.state
    : `${evidence.state} ${evidence.reason}`;
}

const CA = { 'ca.crt': root.certificatePem };

describe('judge', () => {
  test('verifies a device and tells the facts, the issuer’s thumbprints among them', () => {
    const leaf = device();
    const evidence = createRig()
      .prepare(CA)
      .judge(KEY, fromTls([leaf.der, issuing.der]), NOW);
    assert.ok(evidence.state === 'verified');
    assert.equal(evidence.certificate.sha256, leaf.sha256);
    assert.equal(evidence.certificate.subject['CN'], 'robot-7');
    assert.deepEqual(evidence.certificate.issuerThumbprints, [issuing.sha1, issuing.sha256]);
  });

  const view = createRig().prepare(CA);
  const verdicts: Record<string, [PresentedCertificate, string]> = {
    'no certificate is absent': [fromTls([]), 'absent'],
    'a certificate from a place that is no source is absent': [{ ...present(), from: 'header' }, 'absent'],
    'an expired certificate has that reason': [
      present({ notBefore: new Date(NOW - 2 * DAY), notAfter: new Date(NOW - DAY) }, 'CERT_HAS_EXPIRED'),
      'refused ClientCertificateExpired',
    ],
    'a certificate of tomorrow has that reason': [
      present({ notBefore: new Date(NOW + DAY) }, 'CERT_NOT_YET_VALID'),
      'refused ClientCertificateNotYetValid',
    ],
    'a certificate without clientAuth has that reason': [present({ usages: [] }), 'refused ClientCertificatePurpose'],
    'a stranger is untrusted': [
      fromTls([createAuthority({ name: 'root' }).issue({ subject: 'x' }).der]),
      'refused ClientCertificateUntrusted',
    ],
    'what OpenSSL refused and we accept is untrusted: both must hold (P2)': [
      present({}, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'),
      'refused ClientCertificateUntrusted',
    ],
    'what OpenSSL called expired and we do not is untrusted': [
      present({}, 'CERT_HAS_EXPIRED'),
      'refused ClientCertificateUntrusted',
    ],
    'bytes that are no certificate are untrusted': [
      fromTls([Uint8Array.of(1, 2, 3)]),
      'refused ClientCertificateUntrusted',
    ],
    'an empty certificate is untrusted, not absent': [
      fromTls([new Uint8Array()]),
      'refused ClientCertificateUntrusted',
    ],
    'a missing intermediate is untrusted': [fromTls([device().der]), 'refused ClientCertificateUntrusted'],
    'garbage beside the intermediate does no harm': [
      fromTls([device().der, Uint8Array.of(9), issuing.der]),
      'verified',
    ],
    'the root sent along does no harm': [fromTls([device().der, issuing.der, root.der]), 'verified'],
  };
  for (const [what, [presented, expected]] of Object.entries(verdicts)) {
    test(what, () => assert.equal(answer(view, presented), expected));
  }

  test('a trust that nobody prepared is undecided, never a permit', () => {
    assert.deepEqual(view.judge('shop/other', present(), NOW), { state: 'undecided', reason: 'KeysUnavailable' });
  });

  test('a certificate that expires on an open or resumed connection is refused from the next second on', () => {
    const presented = present({ notAfter: new Date(NOW + HOUR) });
    const end = Math.floor((NOW + HOUR) / 1000) * 1000;
    assert.equal(answer(view, presented), 'verified');
    assert.equal(answer(view, presented, end + 999), 'verified');
    assert.equal(answer(view, presented, end + 1000), 'refused ClientCertificateExpired');
    assert.equal(answer(view, presented), 'verified', 'a clock that was set back is believed');
  });

  test('a certificate that begins while its connection is open is accepted from then on', () => {
    const presented = { ...present({ notBefore: new Date(NOW + HOUR) }), from: 'tls' } as const;
    assert.equal(answer(view, presented), 'refused ClientCertificateNotYetValid');
    assert.equal(answer(view, presented, NOW + HOUR), 'verified');
  });

  test('a switched-off end of validity passes over that one code of OpenSSL, and no other', () => {
    const lenient = createRig().prepare(CA, { validity: { notBefore: true, notAfter: false } });
    const expired = { notBefore: new Date(NOW - 2 * DAY), notAfter: new Date(NOW - DAY) };
    assert.equal(answer(lenient, present(expired, 'CERT_HAS_EXPIRED')), 'verified');
    assert.equal(answer(lenient, present(expired, 'CERT_SIGNATURE_FAILURE')), 'refused ClientCertificateUntrusted');
    assert.equal(answer(lenient, present({}, 'CERT_NOT_YET_VALID')), 'refused ClientCertificateUntrusted');
  });

  test('the same chain in two pieces is another chain: a border that moves shares no answer', () => {
    const leaf = device();
    assert.equal(answer(view, fromTls([leaf.der, issuing.der])), 'verified');
    const joined = new Uint8Array(Buffer.concat([leaf.der, issuing.der]));
    assert.equal(answer(view, fromTls([joined])), 'refused ClientCertificateUntrusted');
  });

  test('a chain of a thousand certificates costs no more than its beginning', () => {
    const crowd = Array.from({ length: 1000 }, () => issuing.der);
    assert.equal(answer(view, fromTls([device().der, ...crowd])), 'verified');
    const late = [...Array.from({ length: 100 }, () => root.issue({ subject: 'x' }).der), issuing.der];
    assert.equal(answer(view, fromTls([device().der, ...late])), 'refused ClientCertificateUntrusted');
  });

  test('a certificate with any one bit changed is never verified', () => {
    const { der } = device();
    for (let position = 0; position < der.length; position++) {
      const changed = der.slice();
      changed[position] = (changed[position] ?? 0) ^ (1 << (position % 8));
      assert.notEqual(answer(view, fromTls([changed, issuing.der])), 'verified', String(position));
    }
  });

  test('a certificate that ends at any byte is untrusted', () => {
    const { der } = device();
    for (let length = 0; length < der.length; length += 7) {
      assert.equal(answer(view, fromTls([der.subarray(0, length), issuing.der])), 'refused ClientCertificateUntrusted');
    }
  });

  test('an issuing CA as anchor needs partialChain, which the listener is told', () => {
    const files = { 'ca.crt': issuing.certificatePem };
    assert.equal(answer(createRig().prepare(files), present()), 'refused ClientCertificateUntrusted');
    const partial = createRig().prepare(files, { partialChain: true });
    assert.equal(answer(partial, present()), 'verified');
    assert.equal(partial.allowsPartialChain([KEY]), true);
    assert.equal(view.allowsPartialChain([KEY]), false);
  });
});

describe('anchors', () => {
  const bad: Record<string, Files> = {
    'a missing object': {},
    'an empty file': { 'ca.crt': '' },
    'text without a certificate': { 'ca.crt': 'hello' },
    'a truncated certificate': { 'ca.crt': root.certificatePem.slice(0, 200) },
    'a certificate larger than 64 KiB': {
      'ca.crt': `-----BEGIN CERTIFICATE-----\n${'AAAA'.repeat(40_000)}\n-----END CERTIFICATE-----`,
    },
    'a bundle of which one certificate is broken': {
      'ca.crt': `${root.certificatePem}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
    },
  };
  for (const [what, files] of Object.entries(bad)) {
    test(`${what}: 503, a warning, and no anchors for a listener (an empty list means the public roots)`, () => {
      const rig = createRig();
      const view = rig.prepare(files);
      assert.equal(answer(view, present()), 'undecided KeysUnavailable');
      assert.equal(answer(view, fromTls([])), 'undecided KeysUnavailable');
      assert.equal(view.anchorsPem([KEY]), undefined);
      assert.equal(rig.warnings.length, 1);
      assert.equal(view.status()[0]?.problems.length, 1);
    });

    test(`${what} after good content: the last good anchors stay`, () => {
      const rig = createRig();
      rig.prepare(CA);
      const view = rig.prepare(files);
      assert.equal(answer(view, present()), 'verified');
      assert.equal(view.status()[0]?.problems.length, 1);
      assert.equal(answer(rig.prepare(CA), present()), 'verified');
    });
  }

  test('a stranger is undecided while one of two references cannot be read, since it might name his CA', () => {
    const other = createAuthority({ name: 'other' });
    const view = createRig().prepare(CA, { anchors: [ref('ca.crt'), ref('other.crt')] });
    assert.equal(answer(view, present()), 'verified');
    assert.equal(answer(view, fromTls([other.issue({ subject: 'x' }).der])), 'undecided KeysUnavailable');
    assert.equal(answer(view, present({ usages: [] })), 'refused ClientCertificatePurpose');
  });

  test('a CA that is taken away is no longer trusted on an open connection', () => {
    const rig = createRig();
    const presented = present();
    assert.equal(answer(rig.prepare(CA), presented), 'verified');
    const after = rig.prepare({ 'ca.crt': createAuthority({ name: 'new' }).certificatePem });
    assert.equal(answer(after, presented), 'refused ClientCertificateUntrusted');
  });

  test('listeners get the union of anchors, each once', () => {
    const rig = createRig();
    const second: TrustPlan = { ...plan({ anchors: [ref('ca.crt'), ref('more.crt')] }), key: 'shop/second' };
    const more = createAuthority({ name: 'more' });
    const view = rig.trust.prepare(
      new Map([
        [KEY, plan()],
        ['shop/second', second],
      ]),
      material({ ...CA, 'more.crt': more.certificatePem }),
    );
    assert.deepEqual(view.anchorsPem([KEY, 'shop/second']), [root.certificatePem, more.certificatePem]);
    assert.equal(view.anchorsPem([]), undefined);
  });
});

describe('revocation', () => {
  const authority = (): Authority => root.createIntermediate({ name: 'fresh' });

  test('Strict: a listed certificate is revoked, another one verified', () => {
    const ca = authority();
    const [stolen, kept] = [ca.issue({ subject: 'a' }), ca.issue({ subject: 'b' })];
    ca.revoke(stolen);
    const view = createRig().prepare({ ...CA, 'list.crl': ca.crlPem() }, strict('list.crl'));
    assert.equal(answer(view, fromTls([stolen.der, ca.der])), 'refused ClientCertificateRevoked');
    assert.equal(answer(view, fromTls([kept.der, ca.der])), 'verified');
  });

  test('Strict: 503 without a list, with one past its nextUpdate, of another issuer, or signed by another key', () => {
    const ca = authority();
    const presented = fromTls([ca.issue({ subject: 'a' }).der, ca.der]);
    const lists: Record<string, string | Uint8Array | undefined> = {
      missing: undefined,
      empty: '',
      stale: ca.crlPem({ thisUpdate: new Date(NOW - 2 * DAY), nextUpdate: new Date(NOW - DAY) }),
      'of the future': ca.crlPem({ thisUpdate: new Date(NOW + DAY), nextUpdate: new Date(NOW + 2 * DAY) }),
      'without nextUpdate': ca.crlPem({ nextUpdate: null }),
      'of another issuer': root.crlPem(),
      'signed by another key': authority().crlPem(),
    };
    for (const [what, list] of Object.entries(lists)) {
      const view = createRig().prepare({ ...CA, 'list.crl': list }, strict('list.crl'));
      assert.equal(answer(view, presented), 'undecided RevocationUnavailable', what);
    }
  });

  test('nextUpdate is looked at for each request, on open connections too', () => {
    const ca = authority();
    const presented = fromTls([ca.issue({ subject: 'a' }).der, ca.der]);
    const list = ca.crlPem({ nextUpdate: new Date(NOW + HOUR) });
    const view = createRig().prepare({ ...CA, 'list.crl': list }, strict('list.crl'));
    assert.equal(answer(view, presented), 'verified');
    assert.equal(answer(view, presented, NOW + 2 * HOUR), 'undecided RevocationUnavailable');
  });

  test('a stale list still revokes', () => {
    const ca = authority();
    const stolen = ca.issue({ subject: 'a' });
    ca.revoke(stolen);
    const stale = ca.crlPem({ thisUpdate: new Date(NOW - 2 * DAY), nextUpdate: new Date(NOW - DAY) });
    for (const spec of [strict('list.crl'), softFail]) {
      const view = createRig().prepare({ ...CA, 'list.crl': stale }, spec);
      assert.equal(answer(view, fromTls([stolen.der, ca.der])), 'refused ClientCertificateRevoked');
    }
  });

  test('a certificate revoked while its connection is open is refused at the next request', () => {
    const rig = createRig();
    const ca = authority();
    const leaf = ca.issue({ subject: 'a' });
    const presented = fromTls([leaf.der, ca.der]);
    assert.equal(answer(rig.prepare({ ...CA, 'list.crl': ca.crlDer() }, strict('list.crl')), presented), 'verified');
    ca.revoke(leaf);
    const after = rig.prepare({ ...CA, 'list.crl': ca.crlDer() }, strict('list.crl'));
    assert.equal(answer(after, presented), 'refused ClientCertificateRevoked');
  });

  test('SoftFail passes without a list, and counts it', () => {
    const rig = createRig();
    const ca = authority();
    const view = rig.prepare(CA, softFail);
    assert.equal(answer(view, fromTls([ca.issue({ subject: 'a' }).der, ca.der])), 'verified');
    assert.deepEqual(rig.counted, ['sallyport_revocation_soft_fails_total']);
  });

  test('Disabled and absent ask for no list, and status says so', () => {
    const view = createRig().prepare(CA, {
      revocation: { mode: 'Disabled', crls: [ref('list.crl')], leafOnly: true, refresh: 1000 },
    });
    assert.equal(answer(view, present()), 'verified');
    assert.equal(view.status()[0]?.revocation, 'Disabled');
    assert.equal(createRig().prepare(CA).status()[0]?.revocation, 'Disabled');
  });

  test('with leafOnly off every CA but the anchor needs a list too', () => {
    const ca = authority();
    const presented = fromTls([ca.issue({ subject: 'a' }).der, ca.der]);
    const files = { ...CA, 'list.crl': ca.crlPem(), 'root.crl': root.crlPem() };
    const all = (...keys: string[]) => ({
      revocation: { mode: 'Strict' as const, crls: keys.map(ref), leafOnly: false, refresh: 1000 },
    });
    assert.equal(answer(createRig().prepare(files, all('list.crl')), presented), 'undecided RevocationUnavailable');
    assert.equal(answer(createRig().prepare(files, all('list.crl', 'root.crl')), presented), 'verified');
    const rootOf = createAuthority({ name: 'r' });
    const lost = rootOf.createIntermediate({ name: 'lost' });
    rootOf.revoke(lost);
    const revoked = { 'ca.crt': rootOf.certificatePem, 'list.crl': lost.crlPem(), 'root.crl': rootOf.crlPem() };
    assert.equal(
      answer(
        createRig().prepare(revoked, all('list.crl', 'root.crl')),
        fromTls([lost.issue({ subject: 'a' }).der, lost.der]),
      ),
      'refused ClientCertificateRevoked',
    );
  });

  test('a list that became unreadable keeps its last good content until its nextUpdate', () => {
    const rig = createRig();
    const ca = authority();
    const presented = fromTls([ca.issue({ subject: 'a' }).der, ca.der]);
    rig.prepare({ ...CA, 'list.crl': ca.crlPem() }, strict('list.crl'));
    const after = rig.prepare({ ...CA, 'list.crl': 'garbage' }, strict('list.crl'));
    assert.equal(answer(after, presented), 'verified');
    assert.equal(answer(after, presented, NOW + 8 * DAY), 'undecided RevocationUnavailable');
    assert.match(after.status()[0]?.lists[0]?.problem ?? '', /cannot be read/);
  });
});
