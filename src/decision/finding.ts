/** What the steps of one decision found so far, and who may see it (E4, E5, E7). */
import type { Origin, Scope } from '../policy/model.ts';
import type { CompiledStep } from '../policy/steps.ts';
import type { CelRecord } from './cel-value.ts';
import type { CertificateFacts } from './evidence.ts';
import type { AcceptedToken } from './token-claims.ts';
import type { Principal } from './verdict.ts';

/** A step that ran and passed. */
export interface Finding {
  readonly step: CompiledStep;
  readonly token: AcceptedToken | undefined;
  readonly certificate: CertificateFacts | undefined;
  /** Its name. */
  readonly subscription: string | undefined;
  readonly principal: Principal | undefined;
  /** Of anyOf: the sort of the alternative that passed. */
  readonly alternative: string | undefined;
  readonly answer: DeviceAnswer | undefined;
}

/** Of deviceAuth. */
export interface DeviceAnswer {
  readonly status: number;
  readonly body: CelRecord;
}

/** Of a step that binds nothing but that it ran. */
export const foundNothing = (step: CompiledStep): Finding => ({
  step,
  token: undefined,
  certificate: undefined,
  subscription: undefined,
  principal: undefined,
  alternative: undefined,
  answer: undefined,
});

/** Whether a later expression may read something of it by a name of its own, not only as steps.<name>. */
export const bindsAny = ({ token, certificate, subscription, principal }: Finding): boolean =>
  principal !== undefined || token !== undefined || certificate !== undefined || subscription !== undefined;

const RANK: Readonly<Record<Scope, number>> = { Cluster: 0, Namespace: 1, Product: 2, Api: 3, Operation: 4 };

/** Greater is narrower. */
export const rankOf = (origin: Origin): number => RANK[origin.scope];

export const isSamePolicy = (a: Origin, b: Origin): boolean => a === b || (a.kind === b.kind && a.key === b.key);

/** E5: the same policy's, the same scope's and broader ones'; an Audit policy's findings are seen by itself only (S8). */
export function sees(viewer: Origin, origin: Origin): boolean {
  if (isSamePolicy(viewer, origin)) return true;
  return !origin.audit && rankOf(origin) <= rankOf(viewer);
}
