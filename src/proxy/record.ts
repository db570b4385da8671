/** One finished request, as telemetry sees it. */
import { createHash } from 'node:crypto';
import type { Reason } from '../api/reasons.ts';
import { nameStep } from '../telemetry/requests.ts';
import type { RequestRecord } from '../telemetry/telemetry.ts';
import type { Exchange } from './exchange.ts';
import { describePeer } from './trusted-peers.ts';

/** Status of a request whose client left before an answer began. */
const CLIENT_CLOSED = 499;
/** Status of a WebSocket's answer. */
const SWITCHED = 101;

/** `whole`: the answer left as a whole. */
export function recordRequest(exchange: Exchange, now: number, whole: boolean): void {
  const { verdict, route, head, client, decidedAt, sentAt, answeredAt } = exchange;
  if (verdict === undefined) return;
  const denied = verdict.verdict === 'Deny' ? verdict : undefined;
  const reason = exchange.failure ?? denied?.reason;
  const made = verdict.verdict === 'Respond' ? verdict : denied;
  const { principal } = verdict;
  const record: Writable<RequestRecord> = {
    requestId: exchange.requestId,
    method: head.method,
    api: route?.api.key ?? '',
    operation: route?.operation ?? '',
    template: route?.template ?? '',
    status: exchange.status === 0 ? CLIENT_CLOSED : exchange.status,
    verdict: verdict.verdict,
    auditDenials: verdict.auditDenials,
    totalMs: now - exchange.startedAt,
    decideMs: decidedAt === 0 ? now - exchange.startedAt : decidedAt - exchange.startedAt,
    bytesIn: exchange.body.bytes,
    bytesOut: exchange.bytesOut,
  };
  if (reason !== undefined) record.reason = reason;
  // A tunnel has no other end.
  if (!whole && exchange.status !== 0 && exchange.status !== SWITCHED) record.cut = true;
  if (made?.label !== undefined) record.step = nameStep(made.label);
  if (made?.origin !== undefined) record.policy = made.origin.key;
  if (denied?.detail !== undefined) record.detail = denied.detail;
  if (principal !== undefined) record.principalKind = principal.kind;
  const certificate =
    principal?.certificate?.sha256 ?? (denied === undefined ? undefined : findCertificate(exchange, denied.reason));
  if (certificate !== undefined) record.certificateSha256 = certificate;
  if (principal?.issuer !== undefined) record.issuer = principal.issuer;
  if (exchange.deviceAuthMs !== 0) record.deviceAuthMs = exchange.deviceAuthMs;
  if (answeredAt !== 0 && sentAt !== 0) record.appMs = answeredAt - sentAt;
  client.shared.telemetry.request(record);
}

/** Denials that are about the certificate that was presented. */
const ABOUT_CERTIFICATE: ReadonlySet<Reason> = new Set<Reason>([
  'ClientCertificateUntrusted',
  'ClientCertificateExpired',
  'ClientCertificateNotYetValid',
  'ClientCertificateRevoked',
  'ClientCertificatePurpose',
  'ClientCertificateIdentityNotAllowed',
  'RevocationUnavailable',
  'DeviceRevoked',
]);

/** What the denied step looked at, in the handshake or a trusted peer's header: worked out for the denial's line alone. */
function findCertificate({ active, view, client, certificateTrust }: Exchange, reason: Reason): string | undefined {
  if (certificateTrust === undefined || active === undefined || view === undefined) return undefined;
  if (!ABOUT_CERTIFICATE.has(reason)) return undefined;
  const peer = describePeer(client, active, client.shared.clock());
  const [leaf] = active.generation.trust.findPresented(certificateTrust, view.headers, peer).chain;
  return leaf === undefined ? undefined : createHash('sha256').update(leaf).digest('hex');
}

/** While it is put together. */
type Writable<T> = { -readonly [K in keyof T]: T[K] };
