/** telemetry: floor 1. Logger and metrics as narrow interfaces, passed in; pino and prom-client stand behind them. */
import type { AuditDenial, Verdict } from '../decision/verdict.ts';
import type { Reason } from '../api/reasons.ts';

export type LogFields = Readonly<Record<string, unknown>>;

/** Fields never hold a token, key, claim set, certificate body or secret; canary tests watch it. */
export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

/** A metric of runtime.md by its full name; labels are bounded sets of names, never values of a request. */
export interface Metrics {
  count(name: string, labels?: Readonly<Record<string, string>>, by?: number): void;
  gauge(name: string, value: number, labels?: Readonly<Record<string, string>>): void;
  observe(name: string, value: number, labels?: Readonly<Record<string, string>>): void;
}

/** One finished request. Durations in milliseconds; absent phases did not happen. */
export interface RequestRecord {
  readonly requestId: string;
  readonly method: string;
  /** `namespace/name` of the Api; empty before a match. */
  readonly api: string;
  readonly operation: string;
  /** Route.template; empty before a match. */
  readonly template: string;
  /** 0: a TCP connection, which has none. Of an open stream that was denied (M7) the one that it had been sent. */
  readonly status: number;
  readonly verdict: Verdict['verdict'];
  /** Of the denial, or of what failed after the permit (AppTimeout …). */
  readonly reason?: Reason;
  /** Name of the step that denied or answered. */
  readonly step?: string;
  /** Whose step it is: `namespace/name`, of a ClusterAuthPolicy its name. */
  readonly policy?: string;
  /** What within the step denied: `deny rule no-lab`. Names of the policy only; no label of a metric. */
  readonly detail?: string;
  readonly principalKind?: string;
  readonly certificateSha256?: string;
  readonly issuer?: string;
  readonly auditDenials: readonly AuditDenial[];
  readonly totalMs: number;
  readonly decideMs: number;
  readonly deviceAuthMs?: number;
  readonly appMs?: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** The answer had begun and ended before its end: the client left, or we broke it off. */
  readonly cut?: true;
}

export interface Telemetry {
  readonly log: Log;
  readonly metrics: Metrics;
  /** On the hot path: must cost well below a microsecond for an unsampled permit. */
  request(record: RequestRecord): void;
}

export const SILENT: Telemetry = {
  log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
  metrics: { count: () => undefined, gauge: () => undefined, observe: () => undefined },
  request: () => undefined,
};
