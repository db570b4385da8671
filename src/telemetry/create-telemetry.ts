/** Builds the telemetry of a process: log lines, metrics, finished requests. */
import { createRequestCounter, describeAuditDenial } from './requests.ts';
import { type LogLevel, type LogOutput, createLog } from './log.ts';
import { type ProcessReader, collectProcess, watchEventLoop } from './process-metrics.ts';
import { sanitizeText } from './fields.ts';
import { createMetricStore } from './store.ts';
import type { LogFields, RequestRecord, Telemetry } from './telemetry.ts';

/** Of exposition(). */
export const EXPOSITION_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

export interface TelemetryOptions {
  readonly level: LogLevel;
  /** Where lines go, each with its line feed. See createLineOutput and createPrettyOutput. */
  readonly output: LogOutput;
  /** Share of the permitted requests that get a line, 0 to 1. Denials, failures and would-denials always get one. */
  readonly logPermits: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** Absent: no process metrics (tests). */
  readonly process?: ProcessReader;
}

export interface RunningTelemetry extends Telemetry {
  /** Every metric as text of type EXPOSITION_TYPE. */
  exposition(): Promise<string>;
  /** Runs before every exposition: for gauges that only a moment can tell (ages, entries). */
  onExposition(refresh: () => void): void;
  level(): LogLevel;
  setLevel(level: LogLevel): void;
  /** Stops timers. */
  close(): void;
}

export function createTelemetry(options: TelemetryOptions): RunningTelemetry {
  const { logPermits, random } = options;
  const log = createLog(options);
  const store = createMetricStore();
  const countRequest = createRequestCounter(store);
  const refreshers: (() => void)[] = [];
  const stopWatching = options.process === undefined ? () => undefined : watchEventLoop(store);

  return {
    log,
    metrics: store,
    request: record => {
      countRequest(record);
      if (isWorthALine(record) || (logPermits > 0 && random() < logPermits)) {
        log.info(describeRequest(record), summarize(record));
      }
    },
    exposition: async () => {
      for (const refresh of refreshers) refresh();
      if (options.process !== undefined) collectProcess(store, options.process);
      const { renderMetrics } = await import('./exposition.ts');
      return renderMetrics(store.families());
    },
    onExposition: refresh => void refreshers.push(refresh),
    level: () => log.level(),
    setLevel: level => log.setLevel(level),
    close: stopWatching,
  };
}

/** Denials, what failed after a permit, and what an Audit policy would have denied (S8). */
function isWorthALine({ verdict, reason, auditDenials }: RequestRecord): boolean {
  return verdict === 'Deny' || reason !== undefined || auditDenials.length > 0;
}

function summarize({ verdict, reason, cut }: RequestRecord): string {
  if (verdict === 'Deny') return 'request denied';
  if (reason !== undefined) return 'request failed';
  return cut === true ? 'answer cut off' : 'request served';
}

/** The line of runtime.md "Logs": names of objects, digests and numbers; of the request only its id and method. */
function describeRequest(record: RequestRecord): LogFields {
  return {
    requestId: sanitizeText(record.requestId, 128),
    method: nameMethod(record.method),
    api: record.api,
    operation: record.operation,
    template: record.template,
    status: record.status === 0 ? undefined : record.status,
    verdict: record.verdict,
    reason: record.reason,
    policy: record.policy,
    step: record.step,
    detail: record.detail,
    principal: record.principalKind,
    certificateSha256: record.certificateSha256,
    issuer: record.issuer,
    wouldDeny: record.auditDenials.length === 0 ? undefined : record.auditDenials.map(describeWouldDeny),
    durations: {
      decide: round(record.decideMs),
      deviceAuth: round(record.deviceAuthMs),
      app: round(record.appMs),
      total: round(record.totalMs),
    },
    bytes: { in: record.bytesIn, out: record.bytesOut },
  };
}

function describeWouldDeny(denial: RequestRecord['auditDenials'][number]): LogFields {
  return { ...describeAuditDenial(denial), detail: denial.detail };
}

/** Of a head that broke off before its method nothing is known. */
function nameMethod(method: string): string | undefined {
  if (method === '') return undefined;
  return /^[A-Z]{1,20}$/.test(method) ? method : 'other';
}

function round(milliseconds: number | undefined): number | undefined {
  return milliseconds === undefined ? undefined : Math.round(milliseconds * 1000) / 1000;
}
