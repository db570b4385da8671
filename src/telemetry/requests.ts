/** Counts finished requests. The series of an operation are found once and kept, so that a request costs a few additions. */
import { type Distribution, type MetricStore, type Value, observe } from './store.ts';
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
    for (const { label, reason } of record.auditDenials) {
      store.count('sallyport_audit_denials_total', { ...splitLabel(label), reason });
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
  const labels = { api, operation, verdict, reason: reason ?? '', status_class: `${statusClass}xx` };
  return store.value('sallyport_requests_total', labels);
}

function countDenial(store: MetricStore, record: RequestRecord): void {
  const { policy, step } = splitLabel(record.step ?? '');
  store.count('sallyport_denials_total', {
    policy: policy || (record.policy ?? ''),
    step,
    reason: record.reason ?? '',
  });
}

/** `policy/step` → both; a step name holds no slash, a cluster-wide policy's name none either. */
function splitLabel(label: string): { policy: string; step: string } {
  const at = label.indexOf('/');
  return at < 0 ? { policy: '', step: label } : { policy: label.slice(0, at), step: label.slice(at + 1) };
}
