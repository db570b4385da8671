/** Wycheproof's JOSE vectors (test/vectors/wycheproof, licence beside them) against the code that verifies and opens tokens. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseCompact } from './compact.ts';
import { decryptToken, findDecryptionKeys, readDecryptionKey } from './decryption.ts';
import { findCandidates, makeKeyList } from './key-list.ts';
import { verifySignature } from './signature.ts';
import { readJwk } from './verification-key.ts';

type Jwk = Readonly<Record<string, unknown>>;
interface Vector {
  readonly tcId: number;
  readonly comment: string;
  readonly result: 'valid' | 'invalid';
  /** Text, or an object in JSON serialisation. */
  readonly jws?: unknown;
  readonly jwe?: unknown;
  readonly pt?: string;
}
interface Group {
  readonly public?: Jwk;
  readonly private: Jwk;
  readonly tests: readonly Vector[];
}

const read = (name: string): readonly Group[] => {
  const file = new URL(`../../test/vectors/wycheproof/json_web_${name}_test.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { testGroups: Group[] }).testGroups;
};

function acceptsSigned(group: Group, jws: unknown): boolean {
  const given = group.public ?? group.private;
  const keys = Array.isArray(given['keys']) ? (given['keys'] as unknown[]) : [given];
  // As keys kept in a Secret: HS* is possible only there.
  const list = makeKeyList(keys.map(key => readJwk(key, { symmetric: true })));
  const token = typeof jws === 'string' ? parseCompact(jws) : undefined;
  if (token === undefined || 'refused' in token || token.kind !== 'signed') return false;
  return verifySignature(token, findCandidates(list, token.keyId, token.algorithm).keys);
}

async function openEncrypted(group: Group, jwe: unknown): Promise<string | undefined> {
  const key = readDecryptionKey(JSON.stringify(group.private));
  const token = typeof jwe === 'string' ? parseCompact(jwe) : undefined;
  if (key === undefined || token === undefined || 'refused' in token || token.kind !== 'encrypted') return undefined;
  return decryptToken(token, findDecryptionKeys([key], token));
}

const EMPTY = 'An empty payload is no claim set; three parts with text in each are demanded (security.md rule 4).';
const OTHER_ALGORITHM =
  'The token says PS384, the key is pinned to PS256: a key’s own alg binds (RFC 7517 section 4.4).';
const NO_SUCH_ALGORITHM = 'The key’s alg is ES521, which does not exist; RFC 7520 has it as a known slip.';
const ALPHABET = 'A character outside the base64url alphabet: RFC 7515 section 2 allows none (F6).';
const RSA1_5 = 'RSA1_5 invites padding oracles (RFC 8725 section 3.2); neither jose nor Web Crypto has it.';
const CONTENT_ALGORITHM =
  'The key’s alg is A128GCM, a content encryption, while the token says dir: a key’s own alg binds.';
const COMPRESSED = 'zip is refused: a small token must not become a large text (CVE-2024-28176).';

/** Valid by the vectors, refused by us: stricter on purpose. */
const STRICTER: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  signature: {
    259: EMPTY,
    264: EMPTY,
    268: EMPTY,
    272: EMPTY,
    320: EMPTY,
    325: EMPTY,
    346: OTHER_ALGORITHM,
    347: NO_SUCH_ALGORITHM,
    350: OTHER_ALGORITHM,
    351: NO_SUCH_ALGORITHM,
    372: ALPHABET,
    373: ALPHABET,
  },
  crypto: {},
  key: {},
  encryption: {
    100: RSA1_5,
    101: RSA1_5,
    102: RSA1_5,
    103: RSA1_5,
    104: RSA1_5,
    105: RSA1_5,
    112: RSA1_5,
    128: RSA1_5,
    132: CONTENT_ALGORITHM,
    135: COMPRESSED,
  },
};

/**
 * Invalid by the vectors, accepted by us. Both carry the same text, in canonical base64url with the right MAC: the padding
 * that the comment speaks of is not in the file. The test below computes the MAC anew.
 */
const MISLABELLED = new Set([367, 370]);

for (const [name, count] of [
  ['signature', 401],
  ['crypto', 83],
  ['key', 26],
  ['encryption', 139],
] as const) {
  test(`Wycheproof ${name}: every vector is judged as it says, but for those named and argued`, async () => {
    const stricter: number[] = [];
    let seen = 0;
    for (const group of read(name)) {
      for (const vector of group.tests) {
        seen++;
        const opened = vector.jwe === undefined ? undefined : await openEncrypted(group, vector.jwe);
        const accepted = vector.jwe === undefined ? acceptsSigned(group, vector.jws) : opened !== undefined;
        if (opened !== undefined && vector.pt !== undefined) {
          assert.equal(Buffer.from(opened, 'latin1').toString('hex'), vector.pt, `${vector.tcId}: the plaintext`);
        }
        const about = `${name} ${vector.tcId} ${vector.comment}`;
        if (accepted) assert.ok(vector.result === 'valid' || isMislabelled(name, vector), `${about} was accepted`);
        else if (vector.result === 'valid') stricter.push(vector.tcId);
      }
    }
    assert.equal(seen, count);
    assert.deepEqual(stricter, Object.keys(STRICTER[name] ?? {}).map(Number));
  });
}

const isMislabelled = (name: string, { tcId }: Vector): boolean => name === 'signature' && MISLABELLED.has(tcId);

test('the two accepted vectors that are marked invalid are sound tokens in the form in which the file has them', () => {
  for (const group of read('signature')) {
    for (const { tcId, jws } of group.tests.filter(({ tcId }) => MISLABELLED.has(tcId))) {
      assert.ok(typeof jws === 'string');
      const [header, payload, mac] = jws.split('.');
      const key = Buffer.from(String(group.private['k']), 'base64url');
      assert.equal(
        mac,
        createHmac('sha256', key)
          .update(`${header ?? ''}.${payload ?? ''}`)
          .digest('base64url'),
        `${tcId}`,
      );
    }
  }
});
