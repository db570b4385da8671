/** One ClientTrust made ready: its anchors, its validator, its revocation lists. */
import type { ObjectKey } from '../api/object.ts';
import type { Material } from '../material/material.ts';
import type { TrustPlan } from '../policy/model.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import type { CertificateFacts } from '../x509/facts.ts';
import { latin1 } from '../x509/primitives.ts';
import type { Anchors, AnchorReader } from './anchors.ts';
import { createVerifier, hashing } from './hashing.ts';
import type { Revocation, RevocationCheck } from './revocation.ts';
import { createIssuerReader, createValidator, type Validator } from './validation.ts';

export interface TrustRecord {
  readonly plan: TrustPlan;
  readonly anchors: Anchors;
  readonly validator: Validator;
  readonly revocation: RevocationCheck;
  /** Of each anchor: name and key, by which two anchors are the same authority. */
  readonly authorities: ReadonlySet<string>;
}

export interface RecordsOptions {
  readonly anchors: AnchorReader;
  readonly revocation: Revocation;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: () => number;
}

export interface Records {
  prepare(plan: TrustPlan, material: Material): TrustRecord;
  /** Called after all trusts of a generation were prepared: forgets every other. */
  keepOnly(trusts: ReadonlyMap<ObjectKey, unknown>): void;
}

const DAY_MS = 24 * 60 * 60 * 1000;

export function createRecords({ anchors, revocation, metrics, clock }: RecordsOptions): Records {
  const verifySignature = createVerifier();
  const readIssuer = createIssuerReader();
  const validators = new Map<ObjectKey, { fingerprint: string; validator: Validator }>();
  const onValidated = ({ notAfter }: CertificateFacts): void =>
    metrics.observe('sallyport_client_certificate_days_left', Math.max(0, (notAfter - clock()) / DAY_MS));
  const findValidator = (plan: TrustPlan, { certificates }: Anchors): Validator => {
    const { maxDepth, partialChain, validity } = plan.spec;
    const spec = { maxDepth, partialChain, validity };
    // What was validated stays so as long as anchors and rules are the same, whatever else changes.
    const fingerprint = JSON.stringify([spec, certificates.map(({ der }) => latin1(hashing.sha256(der)))]);
    const known = validators.get(plan.key);
    if (known?.fingerprint === fingerprint) return known.validator;
    const validator = createValidator({ anchors: certificates, spec, verifySignature, readIssuer, onValidated });
    validators.set(plan.key, { fingerprint, validator });
    return validator;
  };
  return {
    prepare: (plan, material) => {
      const found = anchors.read(plan, material);
      return {
        plan,
        anchors: found,
        validator: findValidator(plan, found),
        revocation: revocation.prepare(plan, material),
        authorities: new Set(found.certificates.map(({ subject, spki }) => `${subject.key} ${latin1(spki)}`)),
      };
    },
    keepOnly: trusts => {
      anchors.keepUsed();
      revocation.keepUsed();
      for (const key of validators.keys()) if (!trusts.has(key)) validators.delete(key);
    },
  };
}
