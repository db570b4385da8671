/** What all allowances of a namespace give together (S9). */
import { isInForce } from '../policy/allowances.ts';
import type { AllowancePlan } from '../policy/model.ts';

export interface Allowance {
  /** Ascending. */
  readonly excludePorts: readonly number[];
  readonly udpPorts: readonly number[];
  readonly privilegedContainers: boolean;
}

export function sumAllowances(allowances: readonly AllowancePlan[], now: number): Allowance {
  const inForce = allowances.filter(allowance => isInForce(allowance, now));
  const sort = (ports: readonly number[]): readonly number[] => [...new Set(ports)].sort((a, b) => a - b);
  return {
    excludePorts: sort(inForce.flatMap(({ excludePorts }) => excludePorts)),
    udpPorts: sort(inForce.flatMap(({ udpPorts }) => udpPorts)),
    privilegedContainers: inForce.some(({ privilegedContainers }) => privilegedContainers),
  };
}
