import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  createAuthority,
  createKeyPair,
  type Authority,
  type AuthorityOptions,
  type LeafOptions,
} from '../demo/pki.ts';
import { createVerifier } from '../trust/hashing.ts';
import { parseCertificate, type Certificate } from './certificate.ts';
import { CLIENT_AUTH, MAX_SIGNATURE_CHECKS, validatePath, type PathOptions, type PathResult } from './path.ts';

const DAY = 24 * 60 * 60 * 1000;
const NOW = Date.now();
const at = (ms: number) => new Date(NOW + ms);
const read = ({ der }: { readonly der: Uint8Array }): Certificate => parseCertificate(der);

const root = createAuthority({ name: 'root' });
const issuing = root.createIntermediate({ name: 'issuing' });

type Variation = Partial<PathOptions>;

function validate(
  leaf: { der: Uint8Array },
  above: readonly { der: Uint8Array }[],
  options: Variation = {},
): PathResult {
  return validatePath({
    leaf: read(leaf),
    intermediates: above.map(read),
    anchors: [read(root)],
    now: NOW,
    purpose: CLIENT_AUTH,
    maxDepth: 5,
    partialChain: false,
    validity: { notBefore: true, notAfter: true },
    verifySignature: createVerifier(),
    ...options,
  });
}

const problemOf = (result: PathResult): string => (result.ok ? 'ok' : result.problem);

describe('validatePath', () => {
  test('finds the path through intermediates in any order, leaf first and anchor last', () => {
    const lower = issuing.createIntermediate({ name: 'lower' });
    const leaf = lower.issue({ subject: 'robot-7' });
    const result = validate(leaf, [issuing, lower]);
    assert.ok(result.ok);
    assert.deepEqual(
      result.path.map(({ subject }) => subject.relative[0]?.[0]?.text),
      ['robot-7', 'lower', 'issuing', 'root'],
    );
  });

  test('says until when the path is valid: the earliest notAfter of all, to the end of its second', () => {
    const short = root.createIntermediate({ name: 'short', notAfter: at(DAY) });
    const result = validate(short.issue({ subject: 'x' }), [short]);
    assert.equal(result.ok && result.until, Math.floor((NOW + DAY) / 1000) * 1000 + 999);
    const unchecked = validate(short.issue({ subject: 'x' }), [short], {
      validity: { notBefore: false, notAfter: false },
    });
    assert.ok(unchecked.ok && unchecked.until === Infinity && unchecked.from === -Infinity);
  });

  const leafOf = (options: Partial<LeafOptions>) => issuing.issue({ subject: 'robot-7', ...options });
  const below = (options: Omit<AuthorityOptions, 'name'>): [{ der: Uint8Array }, Authority[]] => {
    const authority = root.createIntermediate({ name: 'varied', ...options });
    return [authority.issue({ subject: 'robot-7' }), [authority]];
  };
  const unknown = { oid: '1.2.3.4', critical: true, value: Uint8Array.of(5, 0) };

  const leaves: Record<string, [Partial<LeafOptions>, string]> = {
    'common name only': [{}, 'ok'],
    'no key usage': [{ keyUsage: [] }, 'ok'],
    'several purposes, clientAuth among them': [{ usages: ['serverAuth', 'clientAuth'] }, 'ok'],
    'expired a day ago': [{ notBefore: at(-2 * DAY), notAfter: at(-DAY) }, 'expired'],
    'valid from tomorrow': [{ notBefore: at(DAY) }, 'not-yet-valid'],
    'no extended key usage, which OpenSSL takes for consent': [{ usages: [] }, 'purpose'],
    'the purpose serverAuth only': [{ usages: ['serverAuth'] }, 'purpose'],
    'the purpose any only': [{ usages: ['anyExtendedKeyUsage'] }, 'purpose'],
    'a key usage that allows no handshake': [{ keyUsage: ['keyEncipherment'] }, 'purpose'],
    'keyCertSign without being a CA': [{ keyUsage: ['digitalSignature', 'keyCertSign'] }, 'untrusted'],
    'an unknown critical extension': [{ extensions: [unknown] }, 'untrusted'],
  };
  for (const [what, [options, expected]] of Object.entries(leaves)) {
    test(`a leaf with ${what}: ${expected}`, () => {
      assert.equal(problemOf(validate(leafOf(options), [issuing])), expected);
    });
  }

  test('a leaf with a SHA-1 signature is untrusted', () => {
    const old = createAuthority({ name: 'old', keyType: 'RSA' });
    const leaf = old.issue({ subject: 'x', hash: 'sha1' });
    assert.equal(problemOf(validate(leaf, [], { anchors: [read(old)] })), 'untrusted');
  });

  const authorities: Record<string, [Omit<AuthorityOptions, 'name'>, string]> = {
    'nothing special': [{}, 'ok'],
    'no key usage': [{ keyUsage: [] }, 'ok'],
    'a path length of 0 and leaves below': [{ pathLength: 0 }, 'ok'],
    'RSA keys': [{ keyType: 'RSA' }, 'ok'],
    'P-384 keys': [{ keyType: 'P-384' }, 'ok'],
    'Ed25519 keys': [{ keyType: 'Ed25519' }, 'ok'],
    'a key usage without keyCertSign': [{ keyUsage: ['cRLSign'] }, 'untrusted'],
    'an unknown critical extension': [{ extensions: [unknown] }, 'untrusted'],
    'policy constraints, which are not processed': [
      { extensions: [{ oid: '2.5.29.36', critical: true, value: Uint8Array.of(0x30, 3, 0x80, 1, 0) }] },
      'untrusted',
    ],
    'a notAfter yesterday': [{ notBefore: at(-2 * DAY), notAfter: at(-DAY) }, 'expired'],
    'a notBefore tomorrow': [{ notBefore: at(DAY) }, 'not-yet-valid'],
    'permitted URIs of another host': [{ nameConstraints: { permitted: { uri: ['other.example'] } } }, 'ok'],
  };
  for (const [what, [options, expected]] of Object.entries(authorities)) {
    test(`an issuing CA with ${what}: ${expected}`, () => {
      assert.equal(problemOf(validate(...below(options))), expected);
    });
  }

  test('a CA whose purposes leave out clientAuth issues no clients', () => {
    const serverAuth = Uint8Array.from([0x30, 0x0a, 0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 3, 1]);
    const [leaf, above] = below({ extensions: [{ oid: '2.5.29.37', value: serverAuth }] });
    assert.equal(problemOf(validate(leaf, above)), 'purpose');
  });

  test('a leaf that is no CA issues nothing', () => {
    const keyPair = createKeyPair();
    const leaf = issuing.issue({ subject: 'robot-7', keyPair });
    const forged = createAuthority({ name: 'robot-7', keyPair }).issue({ subject: 'robot-8' });
    assert.equal(problemOf(validate(forged, [leaf, issuing])), 'untrusted');
  });

  test('a path length of 0 forbids a CA below', () => {
    const narrow = root.createIntermediate({ name: 'narrow', pathLength: 0 });
    const lower = narrow.createIntermediate({ name: 'lower' });
    assert.equal(problemOf(validate(lower.issue({ subject: 'x' }), [lower, narrow])), 'untrusted');
  });

  test('a stranger with the name of our root is untrusted, and his signatures cost no more than one check', () => {
    const stranger = createAuthority({ name: 'root' });
    let checks = 0;
    const verifySignature = () => {
      checks += 1;
      return false;
    };
    assert.equal(problemOf(validate(stranger.issue({ subject: 'x' }), [stranger], { verifySignature })), 'untrusted');
    assert.ok(checks <= 2);
  });

  test('depth counts the leaf and the intermediates: maxDepth 2 takes one intermediate', () => {
    const lower = issuing.createIntermediate({ name: 'lower' });
    const leaf = lower.issue({ subject: 'x' });
    assert.equal(problemOf(validate(leaf, [lower, issuing], { maxDepth: 3 })), 'ok');
    assert.equal(problemOf(validate(leaf, [lower, issuing], { maxDepth: 2 })), 'untrusted');
    assert.equal(problemOf(validate(issuing.issue({ subject: 'x' }), [issuing], { maxDepth: 2 })), 'ok');
  });

  test('an issuing CA as anchor ends a path with partialChain only; without it is an intermediate', () => {
    const leaf = issuing.issue({ subject: 'x' });
    assert.equal(problemOf(validate(leaf, [], { anchors: [read(issuing)] })), 'untrusted');
    assert.equal(problemOf(validate(leaf, [], { anchors: [read(issuing)], partialChain: true })), 'ok');
    const through = validate(leaf, [], { anchors: [read(issuing), read(root)] });
    assert.equal(through.ok && through.path.length, 3);
  });

  test('no anchors: nothing validates', () => {
    assert.equal(problemOf(validate(issuing.issue({ subject: 'x' }), [issuing, root], { anchors: [] })), 'untrusted');
  });

  test('an expired intermediate does not spoil another path', () => {
    const keyPair = createKeyPair();
    const old = root.createIntermediate({ name: 'twin', keyPair, notBefore: at(-2 * DAY), notAfter: at(-DAY) });
    const young = root.createIntermediate({ name: 'twin', keyPair });
    const leaf = young.issue({ subject: 'x' });
    assert.equal(problemOf(validate(leaf, [old, young])), 'ok');
    assert.equal(problemOf(validate(leaf, [old])), 'expired');
  });

  test('validity may be switched off, each end by itself', () => {
    const expired = leafOf({ notBefore: at(-2 * DAY), notAfter: at(-DAY) });
    const early = leafOf({ notBefore: at(DAY) });
    const off = (notBefore: boolean, notAfter: boolean) => ({ validity: { notBefore, notAfter } });
    assert.equal(problemOf(validate(expired, [issuing], off(true, false))), 'ok');
    assert.equal(problemOf(validate(expired, [issuing], off(false, true))), 'expired');
    assert.equal(problemOf(validate(early, [issuing], off(false, true))), 'ok');
    assert.equal(problemOf(validate(early, [issuing], off(true, false))), 'not-yet-valid');
  });

  test('a refusal says when time alone may change it', () => {
    const result = validate(leafOf({ notBefore: at(DAY) }), [issuing]);
    assert.ok(!result.ok);
    assert.equal(result.retryAt, Math.floor((NOW + DAY) / 1000) * 1000);
    const never = validate(leafOf({ usages: [] }), [issuing]);
    assert.ok(!never.ok && never.retryAt === Infinity);
  });

  test('a crowd of CAs with one name costs at most the bounded number of signature checks', () => {
    const crowd = Array.from({ length: 60 }, () => createAuthority({ name: 'same' }));
    const leaf = createAuthority({ name: 'same' }).issue({ subject: 'x' });
    let checks = 0;
    const verifySignature = () => {
      checks += 1;
      return true;
    };
    const above = crowd.map(read).map(certificate => ({ ...certificate, extensions: { ...certificate.extensions } }));
    for (const { extensions } of above)
      Object.assign(extensions, { subjectKeyId: undefined, authorityKeyId: undefined });
    const bare = { ...read(leaf), extensions: { ...read(leaf).extensions, authorityKeyId: undefined } };
    const result = validate(leaf, [], { leaf: bare, intermediates: above, maxDepth: 10, verifySignature });
    assert.equal(problemOf(result), 'untrusted');
    assert.equal(checks, MAX_SIGNATURE_CHECKS);
  });
});
