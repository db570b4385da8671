/** Revocation lists of ClientTrusts: where they come from, which may be believed, what they say of a path. */
import type { ClientTrustSpec } from '../api/kinds/material.ts';
import type { Material } from '../material/material.ts';
import type { TrustPlan } from '../policy/model.ts';
import type { Log } from '../telemetry/telemetry.ts';
import type { Certificate } from '../x509/certificate.ts';
import { coversCertificate, MAX_CRL_BYTES, maySignCrl, parseCrl, type Crl } from '../x509/crl.ts';
import { Asn1Error } from '../x509/der.ts';
import { parsePem } from '../x509/pem.ts';
import { latin1 } from '../x509/primitives.ts';
import { findMaterial, nameReference } from './anchors.ts';
import { createFetchedLists, type FetchedListsOptions } from './fetched-lists.ts';
import { createVerifier, type VerifySignature } from './hashing.ts';

export type RevocationMode = 'Strict' | 'SoftFail' | 'Disabled';

export interface RevocationStatus {
  /** The reference or the URL's origin and path. */
  readonly source: string;
  /** Milliseconds since the epoch; absent: there is no list. */
  readonly nextUpdate?: number;
  readonly entries: number;
  readonly problem?: string;
}

/** A list and by whose key its signature was found right or wrong. */
export interface HeldList {
  readonly crl: Crl;
  isSignedBy(signer: Certificate): boolean;
  /** Somebody by whose key the signature was right; undefined until a path asked. */
  signer(): Certificate | undefined;
}

/** One entry of `revocation.crls`: its lists at this moment (a PEM file may hold several). */
export interface ListSource {
  lists(): readonly HeldList[];
  status(): RevocationStatus;
}

export interface Revocation {
  prepare(plan: TrustPlan, material: Material): RevocationCheck;
  /** Stops fetching and forgets what no trust was prepared with since the last call. */
  keepUsed(): void;
  settled(): Promise<void>;
}

export interface RevocationCheck {
  readonly mode: RevocationMode;
  /**
   * `path` is leaf first, the anchor last. `revoked` when a rightly signed list names a certificate of it, stale or not;
   * `unavailable` when a certificate that needs one has no list between its thisUpdate and nextUpdate.
   */
  check(path: readonly Certificate[], now: number): 'clear' | 'revoked' | 'unavailable';
  readonly sources: readonly ListSource[];
}

/** Clocks of CA and sidecar may differ by so much: a list just made must not count as missing. */
const THIS_UPDATE_TOLERANCE_MS = 5 * 60 * 1000;

export function createRevocation(options: Omit<FetchedListsOptions, 'hold'>): Revocation {
  const hold = createHolder(createVerifier());
  const fetched = createFetchedLists({ ...options, hold });
  const stored = createStoredLists(options.log, hold);
  return {
    prepare: (plan, material) => {
      const spec = plan.spec.revocation;
      const mode = spec?.mode ?? 'Disabled';
      if (spec === undefined || mode === 'Disabled') return { mode: 'Disabled', check: () => 'clear', sources: [] };
      const sources = spec.crls.map(crl =>
        crl.url === undefined ? stored.find(plan, crl, material) : fetched.find(plan.key, crl.url, spec.refresh),
      );
      return { mode, sources, check: (path, now) => checkPath(path, sources, spec.leafOnly, now) };
    },
    keepUsed: () => {
      fetched.keepUsed();
      stored.keepUsed();
    },
    settled: () => fetched.settled(),
  };
}

function checkPath(path: readonly Certificate[], sources: readonly ListSource[], leafOnly: boolean, now: number) {
  const last = leafOnly ? 1 : path.length - 1;
  let answer: 'clear' | 'unavailable' = 'clear';
  for (let at = 0; at < last; at++) {
    const [certificate, issuer] = [path[at], path[at + 1]];
    if (certificate === undefined || issuer === undefined) continue;
    const found = checkCertificate(certificate, issuer, sources, now);
    if (found === 'revoked') return found;
    if (found === 'unavailable') answer = found;
  }
  return answer;
}

function checkCertificate(certificate: Certificate, issuer: Certificate, sources: readonly ListSource[], now: number) {
  let current = false;
  for (const source of sources) {
    for (const list of source.lists()) {
      const { crl } = list;
      if (!coversCertificate(crl, certificate) || !list.isSignedBy(issuer)) continue;
      if (crl.revoked.has(certificate.serial)) return 'revoked';
      if (now <= crl.nextUpdate && now >= crl.thisUpdate - THIS_UPDATE_TOLERANCE_MS) current = true;
    }
  }
  return current ? 'clear' : 'unavailable';
}

export type Hold = (crl: Crl) => HeldList;

/** A list's signature is checked once per key, however many paths end in that key. */
function createHolder(verify: VerifySignature): Hold {
  return crl => {
    const byCertificate = new WeakMap<Certificate, boolean>();
    let lastRight: Certificate | undefined;
    return {
      crl,
      signer: () => lastRight,
      isSignedBy: signer => {
        const known = byCertificate.get(signer);
        if (known !== undefined) return known;
        const sameKey = lastRight !== undefined && Buffer.compare(lastRight.spki, signer.spki) === 0;
        const right = maySignCrl(signer, crl) && (sameKey || verify(crl, signer));
        byCertificate.set(signer, right);
        if (right) lastRight = signer;
        return right;
      },
    };
  };
}

/** DER, or PEM with any number of lists. @throws Asn1Error */
export function readLists(bytes: Uint8Array): readonly Crl[] {
  if (bytes[0] === 0x30) return [parseCrl(bytes)];
  const blocks = parsePem(latin1(bytes), MAX_CRL_BYTES).filter(block => block.label === 'X509 CRL');
  if (blocks.length === 0) throw new Asn1Error('no revocation list');
  return blocks.map(block => parseCrl(block.der));
}

type CrlRef = NonNullable<ClientTrustSpec['revocation']>['crls'][number];

interface Stored {
  readonly bytes: Uint8Array;
  readonly lists: readonly HeldList[];
}

/** Lists from Secrets and ConfigMaps; what became unreadable keeps its last good content, which ends at its nextUpdate. */
function createStoredLists(log: Log, hold: Hold) {
  let lastGood = new Map<string, Stored>();
  let used = new Map<string, Stored>();
  const read = (bytes: Uint8Array | undefined, earlier: Stored | undefined): Stored | string => {
    if (bytes === undefined) return 'does not exist';
    if (earlier !== undefined && Buffer.compare(earlier.bytes, bytes) === 0) return earlier;
    try {
      return { bytes, lists: readLists(bytes).map(hold) };
    } catch (error) {
      return `cannot be read: ${error instanceof Asn1Error ? error.message : 'not a revocation list'}`;
    }
  };
  return {
    find: (plan: TrustPlan, ref: CrlRef, material: Material): ListSource => {
      const name = nameReference(ref, plan.namespace);
      const key = `${plan.key} ${name}`;
      const earlier = used.get(key) ?? lastGood.get(key);
      const found = read(findMaterial(ref, plan.namespace, material), earlier);
      const problem = typeof found === 'string' ? found : undefined;
      if (problem !== undefined) log.warn({ trust: plan.key, reference: name }, `revocation list: ${problem}`);
      const stored = typeof found === 'string' ? earlier : found;
      if (stored !== undefined) used.set(key, stored);
      const lists = stored?.lists ?? [];
      return { lists: () => lists, status: () => describeLists(name, lists, problem) };
    },
    keepUsed: (): void => {
      lastGood = used;
      used = new Map();
    },
  };
}

export function describeLists(source: string, lists: readonly HeldList[], problem?: string): RevocationStatus {
  const updates = lists.map(({ crl }) => crl.nextUpdate);
  return {
    source,
    entries: lists.reduce((sum, { crl }) => sum + crl.revoked.size, 0),
    ...(updates.length === 0 ? {} : { nextUpdate: Math.min(...updates) }),
    ...(problem === undefined ? {} : { problem }),
  };
}
