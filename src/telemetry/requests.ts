/** Counts finished requests. The series of an operation are found once and kept, so that a request costs a few additions. */
import { type Distribution, type MetricStore, type Value, observe } from './store.ts';
import type { AuditDenial } from '../decision/verdict.ts';
import type { RequestRecord } from './telemetry.ts';

export type CountRequest = (record: RequestRecord) => void;

interface OperationSeries {
  /** By status class, for the verdicts without a reason. */
  readonly plain: Map<RequestRecord['verdict'], (Value | undefined)[]>;
  /** By `verdict reason class`. */
  readonly reasons: Map<string, Value>;
}

interface ApiSeries {
  readonly operations: Map<string, OperationSeries>;
  readonly duration: Distribution;
  readonly added: Distribution;
}

export function createRequestCounter(store: MetricStore): CountRequest {
  const apis = new Map<string, ApiSeries>();

  const findApi = (api: string): ApiSeries => {
    const found = apis.get(api);
    if (found !== undefined) return found;
    const made: ApiSeries = {
      operations: new Map(),
      duration: store.distribution('sallyport_request_duration_seconds', { api }),
      added: store.distribution('sallyport_added_latency_seconds', { api }),
    };
    apis.set(api, made);
    return made;
  };

  return record => {
    const series = findApi(record.api);
    countOutcome(store, findOperation(series, record.operation), record);
    observe(series.duration, record.totalMs / 1000);
    observe(series.added, Math.max(0, record.totalMs - (record.appMs ?? 0)) / 1000);
    if (record.verdict === 'Deny') countDenial(store, record);
    for (const denial of record.auditDenials) {
      store.count('sallyport_audit_denials_total', describeAuditDenial(denial));
    }
  };
}

function findOperation({ operations }: ApiSeries, operation: string): OperationSeries {
  const found = operations.get(operation);
  if (found !== undefined) return found;
  const made: OperationSeries = { plain: new Map(), reasons: new Map() };
  operations.set(operation, made);
  return made;
}

function countOutcome(store: MetricStore, { plain, reasons }: OperationSeries, record: RequestRecord): void {
  const { verdict, reason } = record;
  const statusClass = Math.trunc(record.status / 100);
  if (reason !== undefined) {
    const key = `${verdict} ${reason} ${statusClass}`;
    let value = reasons.get(key);
    if (value === undefined) reasons.set(key, (value = findSeries(store, record, statusClass)));
    value.value++;
    return;
  }
  let byClass = plain.get(verdict);
  if (byClass === undefined) plain.set(verdict, (byClass = new Array<Value | undefined>(6).fill(undefined)));
  const value = (byClass[statusClass] ??= findSeries(store, record, statusClass));
  value.value++;
}

function findSeries(store: MetricStore, record: RequestRecord, statusClass: number): Value {
  const { api, operation, verdict, reason } = record;
  // A TCP connection has no status.
  const status_class = statusClass === 0 ? '' : `${statusClass}xx`;
  const labels = { api, operation, verdict, reason: reason ?? '', status_class };
  return store.value('sallyport_requests_total', labels);
}

function countDenial(store: MetricStore, record: RequestRecord): void {
  const { policy = '', step = '', reason = '' } = record;
  store.count('sallyport_denials_total', { policy, step, reason });
}

/** As a denial is named in lines and metrics: the policy's key, the step's name. */
export function describeAuditDenial({ origin, label, reason }: AuditDenial) {
  return { policy: origin.key, step: nameStep(label), reason };
}

/** `policy/step` → `step`; the name of a step holds no slash. */
export const nameStep = (label: string): string => label.slice(label.lastIndexOf('/') + 1);
