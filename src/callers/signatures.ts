/** Verifies signatures over bodies (P10): raw bytes, any key, in constant time. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { SignatureEvidence, SignatureRequest } from '../decision/evidence.ts';
import type { Material } from '../material/material.ts';
import type { CompiledSignature, SignatureScheme } from '../policy/steps.ts';
import type { Replays } from './replays.ts';
import { readSharedKey, type SharedKey } from './signature-keys.ts';

export interface Signatures {
  /** `body`: as it was received, without transfer coding. `now`: milliseconds since the epoch. */
  verify(request: SignatureRequest, body: Uint8Array, now: number, proofs: Proofs): SignatureEvidence;
  /** Of an open stream, whose body is gone: whether one of its proofs is by a key that is still there (M7). */
  verifyAgain(request: SignatureRequest, proofs: Proofs): SignatureEvidence;
}

/** What a request was verified by, remembered while it is open. */
export type Proofs = Set<string>;

interface PreparedKeys {
  readonly keys: readonly SharedKey[];
  /** One is missing or cannot be read. */
  readonly incomplete: boolean;
}

const INVALID: SignatureEvidence = { state: 'refused', reason: 'SignatureInvalid' };
const UNAVAILABLE: SignatureEvidence = { state: 'undecided', reason: 'KeysUnavailable' };
const FULL: SignatureEvidence = { state: 'undecided', reason: 'Overloaded' };
const VALID: SignatureEvidence = { state: 'valid', seen: false };
const SEEN: SignatureEvidence = { state: 'valid', seen: true };

export function createSignatures(material: Material, replays: Replays): Signatures {
  // Steps are the snapshot's, and go with it.
  const prepared = new WeakMap<CompiledSignature, PreparedKeys>();
  const keysOf = (step: CompiledSignature): PreparedKeys => {
    let known = prepared.get(step);
    if (known === undefined) prepared.set(step, (known = prepareKeys(step, material)));
    return known;
  };
  return {
    verify: (request, body, now, proofs) => {
      const { step } = request;
      const { keys, incomplete } = keysOf(step);
      const found = findSigner(request, keys, body);
      if (found === undefined) return incomplete ? UNAVAILABLE : INVALID;
      proofs.add(nameProof(step.scheme, found.signer));
      if (step.memory === undefined) return VALID;
      const message = found.mac.toString('latin1');
      const seen = replays.remember(step.memory, message, now, now + 2 * step.toleranceMs);
      return seen === 'full' ? FULL : seen === 'seen' ? SEEN : VALID;
    },
    verifyAgain: ({ step }, proofs) => {
      const { keys, incomplete } = keysOf(step);
      if (keys.some(key => proofs.has(nameProof(step.scheme, key)))) return VALID;
      return incomplete ? UNAVAILABLE : INVALID;
    },
  };
}

function prepareKeys({ keys, scheme }: CompiledSignature, material: Material): PreparedKeys {
  const read = keys.map(({ secret, dataKey }) => {
    const bytes = material.secret(secret)?.get(dataKey);
    return bytes === undefined ? 'EMPTY' : readSharedKey(bytes, scheme.keyEncoding);
  });
  const good = read.filter(key => typeof key === 'object');
  return { keys: good, incomplete: good.length < read.length };
}

const nameProof = (scheme: SignatureScheme, { fingerprint }: SharedKey): string =>
  JSON.stringify([scheme.header, scheme.algorithm, scheme.payload, fingerprint]);

interface Signer {
  readonly signer: SharedKey;
  readonly mac: Buffer;
}

/** Every key against every signature: how long it takes tells nothing of which was nearly right. */
function findSigner(request: SignatureRequest, keys: readonly SharedKey[], body: Uint8Array): Signer | undefined {
  const { encoding } = request.step.scheme;
  const given = request.signatures.map(text => Buffer.from(text, encoding === 'Hex' ? 'hex' : 'base64'));
  let found: Signer | undefined;
  for (const signer of keys) {
    const mac = sign(request, signer, body);
    for (const signature of given) {
      if (signature.length === mac.length && timingSafeEqual(signature, mac)) found ??= { signer, mac };
    }
  }
  return found;
}

function sign({ step, timestamp, id }: SignatureRequest, { key }: SharedKey, body: Uint8Array): Buffer {
  const hmac = createHmac(step.scheme.algorithm, key);
  for (const part of step.scheme.payload) {
    if (typeof part === 'string') hmac.update(part, 'utf8');
    else if (part.hole === 'body') hmac.update(body);
    else hmac.update(part.hole === 'id' ? id : timestamp, 'latin1');
  }
  return hmac.digest();
}
