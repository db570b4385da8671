/** What the controller is told by its installation, and by tests that cannot wait. */
import type { Violation } from '../api/violation.ts';
import type { AdmissionParameters } from '../injector/admission-parameters.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import type { LeaseTimings } from './lease.ts';
import type { ServingCertificate } from './material-service.ts';
import type { StreamTimings } from './material-stream.ts';
import type { MeshCaTimings } from './mesh-ca.ts';
import type { NamedData } from './named-data.ts';
import type { KnownObject } from './objects.ts';
import type { VerifySidecar } from './pods.ts';

export interface ControllerOptions {
  /** A connection to the API server as the controller's service account; called several times. */
  readonly openClient: () => KubeClient;
  readonly namespace: string;
  readonly podName: string;
  readonly serviceAccount: string;
  /** Name of the Service, whose EndpointSlices name the replicas and whose name stands in their certificates. */
  readonly service: string;
  readonly trustDomain: string;
  readonly requireLabel: boolean;
  /** Namespaces that are never injected nor granted anything. */
  readonly excluded: ReadonlySet<string>;
  readonly verify: VerifySidecar;
  /** Image of sidecars that are injected now. */
  readonly image: string;
  readonly meshCa?: { readonly given?: string; readonly timings?: MeshCaTimings };
  readonly checkData: (objects: readonly KnownObject[], data: NamedData) => readonly Violation[];
  /** Absent: no admission policy asks what is allowed. */
  readonly parameters?: Pick<AdmissionParameters, 'allow'>;
  readonly tls: ServingCertificate;
  /** PEM of the roots by which replicas know each other. */
  readonly rootCa: () => string;
  /** Of the controller's own service account, with the audience of sidecars. */
  readonly token: () => Promise<string>;
  readonly listen: { readonly host: string; readonly port: number };
  /** How a replica of that address is dialled, where it is not the address itself (tests without a pod network). */
  readonly dialReplica?: (address: string) => string;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly timings?: ControllerTimings;
}

export interface ControllerTimings {
  readonly lease?: LeaseTimings;
  readonly stream?: StreamTimings;
  /** Of conditions after a change. */
  readonly settleMs?: number;
  readonly statusIntervalMs?: number;
  /** How long a new leader does not lower counts. */
  readonly graceMs?: number;
}
