/** A mesh certificate for the pod that asked, as long as its BackendCredential says. */
import type { CertificateResponse } from '../material/protocol.ts';
import type { MeshCa } from './mesh-ca.ts';
import { issueMeshCertificate } from './mesh-certificate.ts';
import type { KnownObject } from './objects.ts';
import type { PodFacts } from './pods.ts';

export interface IssueContext {
  readonly ca: MeshCa | undefined;
  readonly trustDomain: string;
  readonly find: (id: string) => KnownObject | undefined;
  readonly now: number;
  readonly random: (size: number) => Uint8Array;
}

const HOUR = 3_600_000;
const DEFAULT_LIFETIME_MS = 72 * HOUR;

/** Undefined: there is no CA yet. `credential`: of the pod's namespace, or one that cluster policies may name. */
export function issueForPod(
  csr: string,
  { namespace, serviceAccount }: PodFacts,
  credential: string | undefined,
  { ca, trustDomain, find, now, random }: IssueContext,
): CertificateResponse | { readonly problem: string } | undefined {
  if (ca === undefined) return undefined;
  const lifetimeMs = credential === undefined ? DEFAULT_LIFETIME_MS : findLifetime(credential, find);
  return issueMeshCertificate(csr, { ca, trustDomain, namespace, serviceAccount, lifetimeMs, now, random });
}

/** The schema bounds it; an object that is wrong, gone or of another sort says nothing. */
function findLifetime(credential: string, find: IssueContext['find']): number {
  const known = find(`BackendCredential ${credential}`);
  const object = known?.parsed ?? known?.lastGood;
  const managed = object?.kind === 'BackendCredential' ? object.spec.meshCertificate?.managed : undefined;
  return managed?.lifetime ?? DEFAULT_LIFETIME_MS;
}
