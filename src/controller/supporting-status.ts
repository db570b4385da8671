/** Status of issuers and credentials: what sidecars report of keys, and the certificate that an app will see. */
import type { ObjectOfKind } from '../api/kinds/index.ts';
import { find, formatTime, type Finding } from './conditions.ts';
import { readCertificate, type CertificateFacts, type NamedData } from './named-data.ts';
import type { PodStates } from './pod-states.ts';
import type { PodFacts } from './pods.ts';

type Fields = Readonly<Record<string, unknown>>;

/** An issuer’s keys as the pods report that use it; no pod, no statement. */
export function judgeIssuer(
  key: string,
  pods: Iterable<PodFacts>,
  states: PodStates,
): { readonly findings: readonly Finding[]; readonly fields: Fields } {
  const reports = [...pods].flatMap(({ uid }) => states.get(uid)?.issuers.filter(issuer => issuer.key === key) ?? []);
  if (reports.length === 0) return { findings: [], fields: {} };
  const without = reports.filter(({ keys }) => keys === 0);
  const stale = reports.filter(report => report.stale);
  const problem = reports.find(report => report.problem !== undefined)?.problem ?? '';
  const count = Math.max(...reports.map(({ keys }) => keys));
  const fetchedAt = Math.max(...reports.map(report => report.fetchedAt ?? 0));
  const keys = {
    count,
    stale: stale.length > 0,
    lastError: problem,
    ...(fetchedAt === 0 ? {} : { fetchedAt: formatTime(fetchedAt) }),
  };
  return { findings: [judgeKeys({ reports, without, stale, problem, count })], fields: { keys } };
}

interface KeyReports {
  readonly reports: readonly unknown[];
  readonly without: readonly unknown[];
  readonly stale: readonly unknown[];
  readonly problem: string;
  readonly count: number;
}

function judgeKeys({ reports, without, stale, problem, count }: KeyReports): Finding<'KeysAvailable'> {
  const why = problem === '' ? '' : `: ${problem}`;
  const share = (some: readonly unknown[]): string => `on ${some.length}/${reports.length} pods`;
  if (without.length > 0) return find('KeysAvailable', false, 'Unavailable', `no keys ${share(without)}${why}`);
  if (stale.length > 0) {
    return find('KeysAvailable', false, 'Stale', `keys are older than cache.maxAge ${share(stale)}${why}`);
  }
  return find('KeysAvailable', true, 'Fetched', `${count} ${count === 1 ? 'key' : 'keys'} on ${reports.length} pods`);
}

export interface MeshFacts {
  readonly trustDomain: string;
  /** Of the CA that signs; absent: not made yet. */
  readonly ca?: CertificateFacts;
}

export interface CredentialContext {
  readonly data: NamedData;
  readonly mesh: MeshFacts;
  readonly states: PodStates;
}

const MOST_IDENTITIES = 8;
/** Of a lifetime: hours of the usual 72. */
const STEPS = 72;

/** status.certificate of a BackendCredential; nothing for sorts without a certificate, or files, which only pods see. */
export function describeCredential(
  { meta, key, spec }: ObjectOfKind<'BackendCredential'>,
  pods: Iterable<PodFacts>,
  { data, mesh, states }: CredentialContext,
): Fields {
  const { meshCertificate } = spec;
  if (meshCertificate?.managed !== undefined) {
    const users = [...pods];
    const reports = users.flatMap(({ uid }) => states.get(uid)?.certificates ?? []);
    const ends = reports.filter(({ credential }) => credential === key).map(({ notAfter }) => notAfter);
    return {
      certificate: {
        ...describeManaged(meta.namespace, users, mesh),
        ...describeFirstEnd(ends, meshCertificate.managed.lifetime),
      },
    };
  }
  if (meshCertificate?.secretName === undefined) return {};
  const text = data.find('Secret', `${meta.namespace}/${meshCertificate.secretName}`)?.data.get('tls.crt');
  const certificate = text === undefined ? undefined : readCertificate(Buffer.from(text, 'base64'));
  if (certificate === undefined) return {};
  return { certificate: { ...certificate, notAfter: formatTime(certificate.notAfter) } };
}

/** Rounded down, so that a thousand renewals a day are no thousand writes that every sidecar is told of. */
function describeFirstEnd(ends: readonly number[], lifetimeMs: number): Fields {
  const first = ends.reduce((least, end) => Math.min(least, end), Infinity);
  return ends.length === 0 ? {} : { notAfter: formatTime(first - (first % (lifetimeMs / STEPS))) };
}

/** Leaves change daily, so apps pin the CA and the identity. */
function describeManaged(namespace: string, pods: Iterable<PodFacts>, { trustDomain, ca }: MeshFacts): Fields {
  const accounts = [...new Set([...pods].map(({ serviceAccount }) => serviceAccount))].sort();
  const ids = accounts.slice(0, MOST_IDENTITIES).map(account => formatSpiffeId(trustDomain, namespace, account));
  return {
    ...(ids.length === 0 ? {} : { spiffeId: ids.join(' ') }),
    ...(ca === undefined ? {} : { sha256: ca.sha256, caNotAfter: formatTime(ca.notAfter) }),
  };
}

export const formatSpiffeId = (trustDomain: string, namespace: string, serviceAccount: string): string =>
  `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
