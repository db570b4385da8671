/** What sidecars said they enforce, by the uid of the pod whose token they showed. */
import { identifyAcknowledged, type EnforcedState } from '../material/acknowledgement.ts';
import type { AcknowledgedObject } from '../material/protocol.ts';

export interface PodState {
  readonly uid: string;
  /** Of the sidecar. */
  readonly version: string;
  /** When the stream was last heard, milliseconds since the epoch by this replica's clock. */
  readonly heardAt: number;
  /** By identity (`AuthPolicy shop/fleet`). */
  readonly objects: ReadonlyMap<string, AcknowledgedObject>;
  readonly issuers: EnforcedState['issuers'];
  readonly certificates: EnforcedState['certificates'];
  readonly appExposed: EnforcedState['appExposed'];
  readonly closedPorts: readonly number[];
  readonly wouldDeny: EnforcedState['wouldDeny'];
}

/** By uid of the pod. */
export type PodStates = ReadonlyMap<string, PodState>;

export const indexAcknowledged = (objects: readonly AcknowledgedObject[]): PodState['objects'] =>
  new Map(objects.map(object => [identifyAcknowledged(object), object]));
