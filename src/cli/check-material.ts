/** What Secrets and ConfigMaps hold, judged by the code that will use them: certificates, keys, revocation lists. */
import { X509Certificate } from 'node:crypto';
import { readSharedKey, type KeyProblem } from '../callers/signature-keys.ts';
import { listSignatures } from '../policy/header-names.ts';
import { readScheme } from '../policy/signature-schemes.ts';
import { readKeyHash } from '../callers/subscription-keys.ts';
import { createHeaderCredentials } from '../credentials/header-credentials.ts';
import { readPair, type PairProblem } from '../credentials/key-pair.ts';
import { parseRevocationList } from '../devices/revocation-list.ts';
import type { ObjectOfKind, SallyportObject } from '../api/kinds/index.ts';
import type { KeyRef } from '../api/kinds/shared.ts';
import { objectKey } from '../api/object.ts';
import type { Severity, Violation } from '../api/violation.ts';
import { quote } from '../api/words.ts';
import type { Fetcher } from '../outbound/fetcher.ts';
import { SILENT } from '../telemetry/telemetry.ts';
import type { Resources } from '../sources/source.ts';
import { readDecryptionKey } from '../tokens/decryption.ts';
import { readStaticKeys } from '../tokens/issuers.ts';
import { readLists } from '../trust/revocation.ts';
import { isRoot, MAX_CERTIFICATE_BYTES, parseCertificate, type Certificate } from '../x509/certificate.ts';
import { Asn1Error } from '../x509/der.ts';
import { parsePem } from '../x509/pem.ts';
import { latin1 } from '../x509/primitives.ts';

/** How near an end must be to be told. */
export interface Soon {
  /** Of a certificate: this part of its life, and never more than this. */
  readonly ofLife: number;
  readonly atMostMs: number;
  /** Of a revocation list. */
  readonly ofListMs: number;
}

const ENDED_ONLY: Soon = { ofLife: 0, atMostMs: 0, ofListMs: 0 };

/** Problems of material that exists; what is missing is the policy compiler's to tell. No value is ever quoted. */
export function checkMaterial(resources: Resources, now: number, soon = ENDED_ONLY): readonly Violation[] {
  const violations: Violation[] = [];
  for (const object of resources.objects) checkObject(createCheck(object, resources, { now, soon }, violations));
  return violations;
}

interface Check {
  readonly object: SallyportObject;
  readonly material: Resources['material'];
  readonly now: number;
  readonly soon: Soon;
  readonly report: (severity: Severity, field: string, problem: string, fix: string) => void;
  /** The bytes that a reference of this object names, if they exist. */
  readonly find: (ref: Ref, field: string) => Found | undefined;
}

interface Ref {
  readonly secretKeyRef?: KeyRef;
  readonly configMapKeyRef?: KeyRef;
}

interface Found {
  readonly bytes: Uint8Array;
  /** `"ca.crt" of the ConfigMap "device-ca" holds`: begins each problem. */
  readonly holds: string;
  readonly field: string;
}

function createCheck(
  object: SallyportObject,
  { material }: Resources,
  { now, soon }: Pick<Check, 'now' | 'soon'>,
  violations: Violation[],
): Check {
  return {
    object,
    material,
    now,
    soon,
    report: (severity, field, problem, fix) => {
      const position = object.locate?.(field);
      const name = `${object.kind} ${object.key}`;
      violations.push({ severity, object: name, field, problem, fix, ...(position === undefined ? {} : { position }) });
    },
    find: ({ secretKeyRef, configMapKeyRef }, field) => {
      const ref = secretKeyRef ?? configMapKeyRef;
      if (ref === undefined) return undefined;
      const key = objectKey(ref.namespace ?? object.meta.namespace, ref.name);
      const [kind, data] =
        secretKeyRef === undefined ? ['ConfigMap', material.configMap(key)] : ['Secret', material.secret(key)];
      const bytes = data?.get(ref.key);
      if (bytes === undefined) return undefined;
      const member = secretKeyRef === undefined ? 'configMapKeyRef' : 'secretKeyRef';
      return { bytes, holds: `${quote(ref.key)} of the ${kind} ${quote(ref.name)} holds`, field: `${field}.${member}` };
    },
  };
}

function checkObject(check: Check): void {
  const { object } = check;
  switch (object.kind) {
    case 'Api':
      return checkApi(object, check);
    case 'TokenIssuer':
      return checkIssuer(object, check);
    case 'ClientTrust':
      return checkTrust(object, check);
    case 'DeviceAuthService':
      return checkDeviceService(object, check);
    case 'BackendCredential': {
      const name = object.spec.meshCertificate?.secretName;
      if (name !== undefined) checkPair(name, 'spec.meshCertificate.secretName', check);
      return checkHeaderCredential(object, check);
    }
    case 'Subscription':
      return checkSubscription(object, check);
    case 'AuthPolicy':
    case 'ClusterAuthPolicy':
      return checkSignatureKeys(object, check);
    case 'PolicyTest':
      return;
  }
}

const NOBODY: Fetcher = { fetch: () => Promise.reject(new Error('not asked here')), close: () => Promise.resolve() };

const CREDENTIAL_PROBLEMS: Readonly<Record<string, readonly [problem: string, fix: string]>> = {
  BAD_VALUE: [
    'cannot be sent: a text that it is made of holds a control character, or one that HTTP does not take there, or is too long',
    'put another value there',
  ],
  BAD_KEY: [
    'cannot sign: what its key names is no private key',
    'put one in PEM or as a JWK there (P-256, P-384, P-521, Ed25519, RSA from 2048 bits)',
  ],
  HOST_NOT_ALLOWED: [
    'may not be sent to tokenUrl: its Secret has the annotation sallyport.dev/allowed-hosts, without that host',
    'add the host to the annotation',
  ],
};

/** What is missing is the compiler's to tell. */
function checkHeaderCredential(object: ObjectOfKind<'BackendCredential'>, { material, now, report }: Check): void {
  const { key, meta, spec } = object;
  const plan = { key, namespace: meta.namespace, generation: meta.generation, spec };
  const options = { fetcher: NOBODY, clock: () => now, random: () => 0, log: SILENT.log };
  for (const { credential } of createHeaderCredentials(options)
    .prepare(new Map([[key, plan]]), material)
    .values()) {
    const [problem, fix] = CREDENTIAL_PROBLEMS[credential.state(now).problem ?? ''] ?? [];
    if (problem !== undefined && fix !== undefined) report('error', `spec.${credential.sort}`, problem, fix);
  }
}

function checkApi({ spec }: ObjectOfKind<'Api'>, check: Check): void {
  if (spec.app.trust !== undefined) checkBundle(spec.app.trust, 'spec.app.trust', check);
  if (spec.tls === undefined) return;
  const field = 'spec.tls.certificate.secretName';
  const certificate = checkPair(spec.tls.certificate.secretName, field, check);
  if (certificate === undefined) return;
  const missing = (spec.hosts ?? []).find(host => certificate.checkHost(host.replace(/^\*\./, 'any.')) === undefined);
  if (missing !== undefined) {
    const problem = `the certificate of the Secret ${quote(spec.tls.certificate.secretName)} does not hold the host ${missing}`;
    check.report('warning', field, problem, 'name one that does, or clients will refuse it');
  }
}

const PAIR_PROBLEMS: Readonly<Record<PairProblem, readonly [problem: string, fix: string]>> = {
  MISSING: ['has no certificate', 'put a certificate chain in PEM there'],
  BAD_CERTIFICATE: ['has no certificate in "tls.crt" that can be read', 'put a certificate chain in PEM there'],
  BAD_KEY: ['has no private key in "tls.key" that can be read', 'put an unencrypted private key in PEM there'],
  KEY_DOES_NOT_MATCH: [
    'has a private key that does not belong to its certificate',
    'put the key of that certificate there',
  ],
};

/** A Secret of type kubernetes.io/tls; the leaf, if all is well. */
function checkPair(name: string, field: string, check: Check): X509Certificate | undefined {
  const find = (key: string): string | undefined => {
    const found = check.find({ secretKeyRef: { name, key } }, field);
    return found === undefined ? undefined : Buffer.from(found.bytes).toString();
  };
  const [chain, key] = [find('tls.crt'), find('tls.key')];
  if (chain === undefined || key === undefined) return undefined;
  const reading = readPair(chain, key);
  if ('problem' in reading) {
    const [problem, fix] = PAIR_PROBLEMS[reading.problem];
    check.report('error', field, `the Secret ${quote(name)} ${problem}`, fix);
    return undefined;
  }
  const leaf = new X509Certificate(chain);
  const [begin, end] = [leaf.validFromDate.getTime(), leaf.validToDate.getTime()];
  warnDates(`the certificate of the Secret ${quote(name)}`, begin, end, field, check);
  return leaf;
}

function warnDates(what: string, notBefore: number, notAfter: number, field: string, check: Check): void {
  const { now, soon, report } = check;
  const left = notAfter - now;
  const ending = left < Math.min(soon.atMostMs, (notAfter - notBefore) * soon.ofLife);
  if (now > notAfter) report('warning', field, `${what} ended on ${formatDay(notAfter)}`, 'renew it');
  else if (now < notBefore)
    report('warning', field, `${what} begins only on ${formatDay(notBefore)}`, 'look at the clock');
  else if (ending)
    report('warning', field, `${what} ends on ${formatDay(notAfter)}, ${tellLeft(left)} from now`, 'renew it');
}

function tellLeft(ms: number): string {
  const days = Math.floor(ms / 86_400_000);
  const [count, unit] = days > 1 ? [days, 'day'] : [Math.max(1, Math.floor(ms / 3_600_000)), 'hour'];
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}

const formatDay = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

/** Certificates of authorities; undefined when there is nothing to read or it was refused. */
function checkBundle(ref: Ref, at: string, check: Check): readonly Certificate[] | undefined {
  const found = check.find(ref, at);
  if (found === undefined) return undefined;
  const { bytes, holds, field } = found;
  const fix = 'put CA certificates in PEM there';
  let certificates: readonly Certificate[];
  try {
    const blocks = parsePem(latin1(bytes), MAX_CERTIFICATE_BYTES).filter(block => block.label === 'CERTIFICATE');
    certificates = blocks.map(block => parseCertificate(block.der));
  } catch (error) {
    check.report('error', field, `${holds} a certificate that cannot be read (${nameFault(error)})`, fix);
    return undefined;
  }
  if (certificates.length === 0) {
    check.report('error', field, `${holds} no certificate`, fix);
    return undefined;
  }
  for (const certificate of certificates) warnAuthority(certificate, found, check);
  return certificates;
}

function warnAuthority(certificate: Certificate, { holds, field }: Found, check: Check): void {
  if (certificate.version === 3 && certificate.extensions.basicConstraints?.ca !== true) {
    check.report('warning', field, `${holds} a certificate that is no authority’s`, 'put CA certificates there');
  }
  warnDates(`${holds} a certificate that`, certificate.notBefore, certificate.notAfter, field, check);
}

/** Faults of our own readers say what is wrong with the form, never what was written. */
const nameFault = (error: unknown): string => (error instanceof Asn1Error ? error.message : 'not PEM');

function checkTrust({ spec }: ObjectOfKind<'ClientTrust'>, check: Check): void {
  const bundles = spec.anchors.map((ref, index) => checkBundle(ref, `spec.anchors[${index}]`, check));
  const anchors = bundles.flatMap(bundle => bundle ?? []);
  if (!spec.partialChain && !bundles.includes(undefined) && !anchors.some(isRoot)) {
    const problem = 'no anchor is a root, and an issuing CA counts only with partialChain';
    check.report('warning', 'spec.anchors', problem, 'add the root, or write partialChain: true');
  }
  spec.revocation?.crls.forEach((ref, index) => checkLists(ref, `spec.revocation.crls[${index}]`, check));
}

function checkLists(ref: Ref, at: string, check: Check): void {
  const found = check.find(ref, at);
  if (found === undefined) return;
  const { bytes, holds, field } = found;
  try {
    const ended = readLists(bytes).find(list => list.nextUpdate < check.now + check.soon.ofListMs);
    if (ended === undefined) return;
    const verb = ended.nextUpdate < check.now ? 'was' : 'is';
    const problem = `${holds} a revocation list that ${verb} to be renewed by ${formatDay(ended.nextUpdate)}`;
    check.report('warning', field, problem, 'put the newest one there');
  } catch (error) {
    const problem = `${holds} no revocation list that can be read (${nameFault(error)})`;
    check.report('error', field, problem, 'put X509 CRL blocks in PEM, or one list in DER, there');
  }
}

function checkIssuer(object: ObjectOfKind<'TokenIssuer'>, check: Check): void {
  const { spec } = object;
  if (spec.discovery?.trust !== undefined) checkBundle(spec.discovery.trust, 'spec.discovery.trust', check);
  if (spec.jwks?.trust !== undefined) checkBundle(spec.jwks.trust, 'spec.jwks.trust', check);
  spec.keys?.forEach((key, index) => checkKey(object, key, `spec.keys[${index}]`, check));
  spec.decryptionKeys?.forEach((ref, index) => {
    const found = check.find(ref, `spec.decryptionKeys[${index}]`);
    if (found === undefined || readDecryptionKey(Buffer.from(found.bytes).toString()) !== undefined) return;
    const fix = 'put a private key (PEM or JWK; RSA from 2048 bits, P-256 to P-521, X25519) or a symmetric JWK there';
    check.report('error', found.field, `${found.holds} no key that can decrypt`, fix);
  });
}

const KEY_PROBLEMS: Readonly<Record<string, readonly [problem: string, fix: string]>> = {
  NOT_A_KEY: ['no key that can be read', 'put a JWK, or a public key or certificate in PEM, there'],
  PRIVATE_KEY: ['a private key, and whoever can read it can sign', 'put the public key there, and make a new pair'],
  SYMMETRIC_KEY: ['a symmetric key', 'put it into a Secret and write HS* into algorithms, or use a public key'],
  WEAK_KEY: ['a key that is too short', 'use RSA from 2048 bits, or for HS* as many bytes as the hash has'],
  WRONG_USE: ['a key that is not for signatures', 'put the signature key there'],
  WRONG_ALGORITHM: ['a key that does not fit its own alg', 'put a key with the right alg there'],
  UNSUPPORTED_KEY: ['a key of a sort that is not supported', 'use RSA, P-256, P-384, P-521 or Ed25519'],
};

const isSymmetric = (algorithm: string): boolean => algorithm.startsWith('HS');

type IssuerKey = NonNullable<ObjectOfKind<'TokenIssuer'>['spec']['keys']>[number];

function checkKey({ key, meta, spec }: ObjectOfKind<'TokenIssuer'>, entry: IssuerKey, at: string, check: Check): void {
  const found = check.find(entry, at);
  if (found === undefined) return;
  const only = { key, namespace: meta.namespace, generation: meta.generation, spec: { ...spec, keys: [entry] } };
  const data = new Map([[(entry.secretKeyRef ?? entry.configMapKeyRef)?.key ?? '', found.bytes]]);
  const { problem } = readStaticKeys(only, { secret: () => data, configMap: () => data });
  if (problem === '') return;
  const [said, advice] = KEY_PROBLEMS[problem] ?? ['a key that cannot be used', 'put another there'];
  const shared =
    problem === 'NOT_A_KEY' && entry.secretKeyRef !== undefined && spec.algorithms?.some(isSymmetric) !== true;
  const fix = shared ? `${advice}; for a shared secret write algorithms: [HS256]` : advice;
  check.report('error', found.field, `${found.holds} ${said}`, fix);
}

const SHARED_KEYS: Readonly<Record<KeyProblem, string>> = {
  EMPTY: 'an empty key',
  NOT_HEX: 'no hex digits in pairs',
  NOT_BASE64: 'no Base64',
};

function checkSignatureKeys({ spec }: ObjectOfKind<'AuthPolicy' | 'ClusterAuthPolicy'>, check: Check): void {
  for (const { step, field } of listSignatures(spec.request)) {
    const scheme = readScheme(step);
    for (const [index, ref] of step.keys.entries()) {
      const found = check.find(ref, `${field}.keys[${index}]`);
      const key =
        found === undefined || scheme === undefined ? undefined : readSharedKey(found.bytes, scheme.keyEncoding);
      if (found === undefined || typeof key !== 'string') continue;
      const where = key === 'NOT_BASE64' && scheme?.keyEncoding === 'WebhookSecret' ? ' after whsec_' : '';
      const fix = 'put the key there as its sender shows it';
      check.report('error', found.field, `${found.holds} ${SHARED_KEYS[key]}${where}`, fix);
    }
  }
}

function checkSubscription({ spec }: ObjectOfKind<'Subscription'>, check: Check): void {
  for (const name of ['primaryKeyHash', 'secondaryKeyHash'] as const) {
    const ref = spec[name];
    const found = ref === undefined ? undefined : check.find(ref, `spec.${name}`);
    if (found === undefined || readKeyHash(found.bytes) !== undefined) continue;
    const fix = 'put 64 hex digits there: printf %s KEY | sha256sum';
    check.report('error', found.field, `${found.holds} no SHA-256`, fix);
  }
}

function checkDeviceService({ spec }: ObjectOfKind<'DeviceAuthService'>, check: Check): void {
  if (spec.tls?.trust !== undefined) checkBundle(spec.tls.trust, 'spec.tls.trust', check);
  const found = spec.revoke === undefined ? undefined : check.find(spec.revoke, 'spec.revoke');
  const [line] = found === undefined ? [] : parseRevocationList(Buffer.from(found.bytes).toString()).badLines;
  if (found === undefined || line === undefined) return;
  const fix = 'write one SHA-1 or SHA-256 a line, or # before a comment';
  check.report(
    'error',
    found.field,
    `${found.holds} no thumbprint in line ${line}, so every device is refused with 503`,
    fix,
  );
}
