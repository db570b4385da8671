/** Conditions that warn, and what Audit policies would have denied. Present only while there is something to say. */
import { find, type Finding } from './conditions.ts';
import type { KnownObject } from './objects.ts';
import type { PodStates } from './pod-states.ts';
import type { PodFacts } from './pods.ts';

/** S1: tenants write the labels by which it selects. */
export function warnOfTenants({ parsed }: KnownObject): readonly Finding[] {
  if (parsed?.kind !== 'ClusterAuthPolicy' || (parsed.spec.targetSelectors ?? []).length === 0) return [];
  const message =
    'targetSelectors select by labels of Apis, which whoever may write Apis can change, and so leave this policy';
  return [find('TenantControlled', true, 'LabelSelected', message)];
}

/** In explicit mode an app that listens on more than loopback can be reached beside its sidecar. */
export function warnOfExposure(object: KnownObject, pods: readonly PodFacts[], states: PodStates): readonly Finding[] {
  const { parsed } = object;
  if (parsed?.kind !== 'Api') return [];
  const { port } = parsed.spec;
  const numberOf = ({ ports }: PodFacts): number | undefined => (typeof port === 'number' ? port : ports[port]);
  const exposed = pods.filter(pod => {
    const number = numberOf(pod);
    return number !== undefined && states.get(pod.uid)?.appExposed.includes(number) === true;
  });
  if (exposed.length === 0) return [];
  const message = `on ${exposed.length}/${pods.length} pods the app listens on port ${port} beyond 127.0.0.1, past its sidecar`;
  return [find('AppExposed', true, 'NotLoopback', message)];
}

export function countWouldDeny({ id }: KnownObject, pods: readonly PodFacts[], states: PodStates): number {
  const counts = pods.flatMap(({ uid }) => states.get(uid)?.wouldDeny.filter(({ policy }) => policy === id) ?? []);
  return counts.reduce((sum, { count }) => sum + count, 0);
}

export function describeAudit({ parsed }: KnownObject, wouldDeny: number): readonly Finding[] {
  const isAudit =
    (parsed?.kind === 'AuthPolicy' || parsed?.kind === 'ClusterAuthPolicy') && parsed.spec.mode === 'Audit';
  if (!isAudit) return [];
  const message = `denies nothing; would have denied ${wouldDeny} requests since its pods started`;
  return [find('Audit', true, 'Audit', message)];
}
