/** Anchors of a ClientTrust from Secrets and ConfigMaps, last good content kept for each reference. */
import type { KeyRef, MaterialRef } from '../api/kinds/shared.ts';
import { objectKey, type ObjectKey } from '../api/object.ts';
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
  /** Forgets the last good content of all other trusts. */
  keepOnly(trusts: ReadonlySet<ObjectKey>): void;
}

interface Reading {
  readonly bytes: Uint8Array;
  readonly certificates: readonly Certificate[];
}

export function createAnchorReader(log: Log): AnchorReader {
  const lastGood = new Map<ObjectKey, Map<string, Reading>>();
  const readReference = (plan: TrustPlan, ref: MaterialRef, material: Material): Reading | string => {
    const name = nameReference(ref, plan.namespace);
    const kept = lastGood.get(plan.key) ?? new Map<string, Reading>();
    lastGood.set(plan.key, kept);
    const earlier = kept.get(name);
    const bytes = findMaterial(ref, plan.namespace, material);
    if (earlier !== undefined && bytes !== undefined && Buffer.compare(earlier.bytes, bytes) === 0) return earlier;
    const found = bytes === undefined ? 'does not exist' : readBundle(bytes);
    if (typeof found === 'string') {
      log.warn({ trust: plan.key, reference: name, lastGood: earlier !== undefined }, `anchors: ${found}`);
      return `${name} ${found}`;
    }
    kept.set(name, found);
    return found;
  };
  return {
    read: (plan, material) => {
      const certificates = new Map<string, Certificate>();
      const problems: string[] = [];
      let incomplete = false;
      for (const ref of plan.spec.anchors) {
        const found = readReference(plan, ref, material);
        const earlier = lastGood.get(plan.key)?.get(nameReference(ref, plan.namespace));
        if (typeof found === 'string') problems.push(found);
        const reading = typeof found === 'string' ? earlier : found;
        incomplete ||= reading === undefined;
        for (const certificate of reading?.certificates ?? []) certificates.set(latin1(certificate.der), certificate);
      }
      return { certificates: [...certificates.values()], incomplete, problems };
    },
    keepOnly: trusts => {
      for (const key of lastGood.keys()) if (!trusts.has(key)) lastGood.delete(key);
    },
  };
}

/** The certificates of a bundle, or what is wrong with it. One bad certificate spoils the bundle: the others may be the wrong ones. */
function readBundle(bytes: Uint8Array): Reading | string {
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
