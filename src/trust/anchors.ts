/** Anchors of a ClientTrust from Secrets and ConfigMaps, last good content kept for each reference. */
import type { KeyRef, MaterialRef } from '../api/kinds/shared.ts';
import { objectKey } from '../api/object.ts';
import type { Material } from '../material/material.ts';
import type { TrustPlan } from '../policy/model.ts';
import type { Log } from '../telemetry/telemetry.ts';
import { MAX_CERTIFICATE_BYTES, parseCertificate, type Certificate } from '../x509/certificate.ts';
import { Asn1Error } from '../x509/der.ts';
import { latin1 } from '../x509/primitives.ts';
import { parsePem } from '../x509/pem.ts';

export interface Anchors {
  readonly certificates: readonly Certificate[];
  /** Some reference has neither good content nor an earlier one: who is not trusted by the others is undecided. */
  readonly incomplete: boolean;
  readonly problems: readonly string[];
}

const MAX_BUNDLE_BYTES = 4 * 1024 * 1024;
const MAX_ANCHORS = 512;

export interface AnchorReader {
  read(plan: TrustPlan, material: Material): Anchors;
  /** Forgets the last good content of what was not read since the last call. */
  keepUsed(): void;
}

interface Reading {
  readonly bytes: Uint8Array;
  readonly certificates: readonly Certificate[];
}

export function createAnchorReader(log: Log): AnchorReader {
  let lastGood = new Map<string, Reading>();
  let used = new Map<string, Reading>();
  const readReference = (plan: TrustPlan, ref: MaterialRef, material: Material): ReadingOrProblem => {
    const name = nameReference(ref, plan.namespace);
    const key = `${plan.key} ${name}`;
    const earlier = used.get(key) ?? lastGood.get(key);
    const found = readBundle(findMaterial(ref, plan.namespace, material), earlier);
    const reading = typeof found === 'string' ? earlier : found;
    if (reading !== undefined) used.set(key, reading);
    if (typeof found !== 'string') return { reading };
    log.warn({ trust: plan.key, reference: name, lastGood: earlier !== undefined }, `anchors: ${found}`);
    return { reading, problem: `${name} ${found}` };
  };
  return {
    read: (plan, material) => {
      const found = plan.spec.anchors.map(ref => readReference(plan, ref, material));
      const all = found.flatMap(({ reading }) => reading?.certificates ?? []);
      return {
        certificates: [...new Map(all.map(certificate => [latin1(certificate.der), certificate])).values()],
        incomplete: found.some(({ reading }) => reading === undefined),
        problems: found.flatMap(({ problem }) => problem ?? []),
      };
    },
    keepUsed: () => {
      lastGood = used;
      used = new Map();
    },
  };
}

interface ReadingOrProblem {
  readonly reading: Reading | undefined;
  readonly problem?: string;
}

/** The certificates of a bundle, or what is wrong with it. One bad certificate spoils the bundle: the others may be the wrong ones. */
function readBundle(bytes: Uint8Array | undefined, earlier: Reading | undefined): Reading | string {
  if (bytes === undefined) return 'does not exist';
  if (earlier !== undefined && Buffer.compare(earlier.bytes, bytes) === 0) return earlier;
  if (bytes.length > MAX_BUNDLE_BYTES) return 'is larger than 4 MiB';
  try {
    const blocks = parsePem(latin1(bytes), MAX_CERTIFICATE_BYTES).filter(block => block.label === 'CERTIFICATE');
    if (blocks.length === 0) return 'holds no certificate';
    if (blocks.length > MAX_ANCHORS) return 'holds more than 512 certificates';
    return { bytes, certificates: blocks.map(block => parseCertificate(block.der)) };
  } catch (error) {
    return `cannot be read: ${error instanceof Asn1Error ? error.message : 'not PEM'}`;
  }
}

const refOf = ({ configMapKeyRef, secretKeyRef }: MaterialRef): KeyRef | undefined => configMapKeyRef ?? secretKeyRef;

/** For logs and status: kind, object and key, never the content. */
export function nameReference(ref: MaterialRef, namespace: string): string {
  const { name = '', key = '', namespace: own = namespace } = refOf(ref) ?? {};
  return `${ref.configMapKeyRef === undefined ? 'Secret' : 'ConfigMap'} ${objectKey(own, name)} key ${key}`;
}

/** Undefined when the object or its key does not exist. */
export function findMaterial(ref: MaterialRef, namespace: string, material: Material): Uint8Array | undefined {
  const found = refOf(ref);
  if (found === undefined) return undefined;
  const key = objectKey(found.namespace ?? namespace, found.name);
  const data = ref.configMapKeyRef === undefined ? material.secret(key) : material.configMap(key);
  return data?.get(found.key);
}
