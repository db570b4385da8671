/** What cluster policies let this namespace leave open (S9). Nobody else can weaken anything. */
import type { ClusterAuthPolicySpec } from '../api/kinds/policy.ts';
import { matchLabels, type Labels } from './inventory.ts';
import type { AllowancePlan } from './model.ts';

/** The allowances that a cluster policy gives to a namespace with these labels, ended ones included. */
export function listAllowances(
  policy: string,
  { namespaceSelector, allowances = [] }: Pick<ClusterAuthPolicySpec, 'namespaceSelector' | 'allowances'>,
  namespaceLabels: Labels,
): readonly AllowancePlan[] {
  const selects = (selector: { readonly matchLabels: Labels } | undefined): boolean =>
    selector === undefined || matchLabels(selector.matchLabels, namespaceLabels);
  if (!selects(namespaceSelector)) return [];
  return allowances
    .filter(allowance => selects(allowance.namespaceSelector))
    .map(({ defaultAction, excludePorts = [], udpPorts = [], privilegedContainers = false, until }) => ({
      policy,
      opensUnselectedPorts: defaultAction === 'Allow',
      excludePorts,
      udpPorts,
      privilegedContainers,
      until: until === undefined ? Infinity : Date.parse(until),
    }));
}

/** While an Api of the workload may mean any port, none is known to be without one. */
export const closePorts = (allowances: readonly AllowancePlan[]): readonly AllowancePlan[] =>
  allowances.map(allowance => ({ ...allowance, opensUnselectedPorts: false }));

/** `now` in milliseconds since the epoch. An allowance ends at its `until` by itself. */
export const isInForce = ({ until }: AllowancePlan, now: number): boolean => now < until;

/** The allowance by which connections to ports without an Api pass; of several the one that ends last. */
export function findOpening(allowances: readonly AllowancePlan[], now: number): AllowancePlan | undefined {
  let found: AllowancePlan | undefined;
  for (const allowance of allowances) {
    if (!allowance.opensUnselectedPorts || !isInForce(allowance, now)) continue;
    if (found === undefined || allowance.until > found.until) found = allowance;
  }
  return found;
}

/** For status: each is named as long as a policy says it, ended or not. */
export function describeAllowance(allowance: AllowancePlan): string {
  const { policy, opensUnselectedPorts, excludePorts, udpPorts, privilegedContainers, until } = allowance;
  const parts = [
    ...(opensUnselectedPorts ? ['ports that no Api selects are open'] : []),
    ...(excludePorts.length > 0 ? [`TCP ports ${excludePorts.join(', ')} may be left out of interception`] : []),
    ...(udpPorts.length > 0 ? [`UDP ports ${udpPorts.join(', ')} may be opened`] : []),
    ...(privilegedContainers ? ['privileged containers are let in'] : []),
  ];
  const end = until === Infinity ? '' : ` until ${new Date(until).toISOString()}`;
  const what = parts.length === 0 ? 'nothing while an Api of this workload may mean any port' : parts.join('; ');
  return `ClusterAuthPolicy ${policy} allows${end}: ${what}`;
}
