/** One finished request, as telemetry sees it. */
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
  client.shared.telemetry.request({
    requestId: exchange.requestId,
    method: head.method,
    api: route?.api.key ?? '',
    operation: route?.operation ?? '',
    template: route?.template ?? '',
    status: exchange.status === 0 ? CLIENT_CLOSED : exchange.status,
    verdict: verdict.verdict,
    ...(reason === undefined ? {} : { reason }),
    ...(label === undefined ? {} : { step: label }),
    ...(denied?.origin === undefined ? {} : { policy: denied.origin.key }),
    ...(principal === undefined ? {} : { principalKind: principal.kind }),
    ...(principal?.certificate === undefined ? {} : { certificateSha256: principal.certificate.sha256 }),
    ...(principal?.issuer === undefined ? {} : { issuer: principal.issuer }),
    auditDenials: verdict.auditDenials,
    totalMs: now - exchange.startedAt,
    decideMs: decidedAt === 0 ? now - exchange.startedAt : decidedAt - exchange.startedAt,
    ...(exchange.deviceAuthMs === 0 ? {} : { deviceAuthMs: exchange.deviceAuthMs }),
    ...(answeredAt === 0 || sentAt === 0 ? {} : { appMs: answeredAt - sentAt }),
    bytesIn: exchange.body.bytes,
    bytesOut: exchange.bytesOut,
  });
}
