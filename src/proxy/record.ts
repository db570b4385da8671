/** One finished request, as telemetry sees it. */
import type { RequestRecord } from '../telemetry/telemetry.ts';
import type { Exchange } from './exchange.ts';

/** Status of a request whose client left before an answer began. */
const CLIENT_CLOSED = 499;

export function recordRequest(exchange: Exchange, now: number): void {
  const { verdict, route, head, client, decidedAt, sentAt, answeredAt } = exchange;
  if (verdict === undefined) return;
  const denied = verdict.verdict === 'Deny' ? verdict : undefined;
  const reason = exchange.failure ?? denied?.reason;
  const label = verdict.verdict === 'Respond' ? verdict.label : denied?.label;
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
  if (label !== undefined) record.step = label;
  if (denied?.origin !== undefined) record.policy = denied.origin.key;
  if (denied?.detail !== undefined) record.detail = denied.detail;
  if (principal !== undefined) record.principalKind = principal.kind;
  if (principal?.certificate !== undefined) record.certificateSha256 = principal.certificate.sha256;
  if (principal?.issuer !== undefined) record.issuer = principal.issuer;
  if (exchange.deviceAuthMs !== 0) record.deviceAuthMs = exchange.deviceAuthMs;
  if (answeredAt !== 0 && sentAt !== 0) record.appMs = answeredAt - sentAt;
  client.shared.telemetry.request(record);
}

/** While it is put together. */
type Writable<T> = { -readonly [K in keyof T]: T[K] };
