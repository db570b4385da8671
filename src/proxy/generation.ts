/**
 * proxy: floor 3. The data path: listeners, connections, the pool to the app, health and admin. May import every floor below.
 *
 * One generation: everything that a request is judged by, published with one assignment. A request reads it once, when its
 * head is complete, and keeps it to its end, so that no request is judged by a mixture of two.
 */
import type { ObjectKey } from '../api/object.ts';
import type { CredentialView } from '../credentials/credentials.ts';
import type { Signatures } from '../callers/signatures.ts';
import type { ConcurrencyRequest, EvidenceSource } from '../decision/evidence.ts';
import type { Material } from '../material/material.ts';
import type { HostPort } from '../policy/allowed-hosts.ts';
import type { ListenerPlan, Snapshot } from '../policy/model.ts';
import type { TrustView } from '../trust/trust.ts';

/** What the proxy asks of the adapters' views (tokens/, trust/, devices/, credentials/, limits/). */
export interface TokenAnswers {
  verify: EvidenceSource['token'];
}
export type TrustAnswers = Pick<
  TrustView,
  'judgeRequest' | 'findPresented' | 'proveIdentity' | 'strippedHeaders' | 'anchorsPem' | 'allowsPartialChain'
>;
export interface DeviceAnswers {
  device: EvidenceSource['device'];
  revocation: EvidenceSource['revocation'];
}
export interface CallerAnswers extends Signatures {
  subscription: EvidenceSource['subscription'];
}
export interface LimitAnswers {
  rate: EvidenceSource['rate'];
  quota: EvidenceSource['quota'];
  /** What ends it, to be called once; undefined: as many are open already. */
  acquire(request: ConcurrencyRequest): Lease | undefined | Promise<Lease | undefined>;
}
/** Gives back what a request holds. */
export type Lease = () => void;
/** A certificate that is presented to the app. */
export interface AppCertificate {
  /** PEM, chain included. */
  readonly certificate: string;
  readonly key: string;
  readonly sha256: string;
}
export interface CredentialAnswers extends Pick<CredentialView, 'present' | 'refused'> {
  /** Undefined: it could not be had. The same object as long as the certificate is the same. */
  clientCertificate(key: ObjectKey, host?: HostPort): AppCertificate | undefined;
}

export interface Generation {
  readonly snapshot: Snapshot;
  readonly tokens: TokenAnswers;
  readonly trust: TrustAnswers;
  readonly devices: DeviceAnswers;
  readonly credentials: CredentialAnswers;
  readonly callers: CallerAnswers;
  readonly limits: LimitAnswers;
  /** Where certificates of listeners and trust in the app are read from. */
  readonly material: Material;
  /** Why Apis of the manifests are not served here, each with what to change: said when a listener serves none. */
  readonly unserved?: readonly string[];
}

/**
 * The plan of a listener. `port` is the Api's container port; absent (`--listen ADDR:PORT` without `PORT=`), the port that
 * is bound counts if an Api has it, else the only Api port there is.
 */
export function findPlan(snapshot: Snapshot, port: number | undefined, boundPort: number): ListenerPlan | undefined {
  if (port !== undefined) return snapshot.listeners.get(port);
  const bound = snapshot.listeners.get(boundPort);
  if (bound !== undefined) return bound;
  const plans = [...snapshot.listeners.values()];
  const served = plans.filter(({ held }) => held !== true);
  const [only, another] = served.length > 0 ? served : plans;
  return another === undefined ? only : undefined;
}
