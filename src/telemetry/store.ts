/**
 * The numbers behind the metrics, in plain objects and arrays: counting costs a look-up and an addition, and nothing of
 * prom-client is read before somebody asks for the metrics (exposition.ts).
 */
import { CATALOGUE, type MetricDefinition } from './catalogue.ts';
import type { Metrics } from './telemetry.ts';

export type Labels = Readonly<Record<string, string>>;

export interface Value {
  readonly labels: Labels;
  value: number;
}

export interface Distribution {
  readonly labels: Labels;
  /** Upper bounds, rising; an observation equal to a bound belongs to it. */
  readonly bounds: readonly number[];
  /** Not cumulative; one more than `bounds`, for what lies above the last. */
  readonly buckets: Float64Array;
  sum: number;
}

export interface Family {
  readonly name: string;
  readonly definition: MetricDefinition;
  readonly values: Map<string, Value>;
  /** The series that was asked for last: who counts often brings the same labels, by identity, and needs no key. */
  last: Value | undefined;
  readonly distributions: Map<string, Distribution>;
}

export interface MetricStore extends Metrics {
  /** The series itself, for those who count often and keep it. Past the bound: one that is not shown. */
  value(name: string, labels?: Labels): Value;
  distribution(name: string, labels?: Labels): Distribution;
  /** Counters and gauges alike: sets what is read elsewhere (CPU time, memory). */
  set(name: string, value: number, labels?: Labels): void;
  families(): readonly Family[];
}

/** Labels are names from policies, so this bound is met only by very large ones; what is over it is counted, not kept. */
const MAX_SERIES = 10_000;
const NO_LABELS: Labels = {};
const DROPPED = 'sallyport_series_dropped_total';

export function createMetricStore(maxSeries = MAX_SERIES): MetricStore {
  const families = new Map<string, Family>();

  const family = (name: string): Family => {
    const found = families.get(name);
    if (found !== undefined) return found;
    // A test holds every name in the source to the catalogue; a request must not fail over one that slipped through.
    const definition = CATALOGUE.get(name) ?? { type: 'gauge', help: 'Not in the catalogue' };
    const made: Family = { name, definition, values: new Map(), last: undefined, distributions: new Map() };
    families.set(name, made);
    return made;
  };

  const keep = <S>(series: Map<string, S>, key: string, made: S): S => {
    if (series.size < maxSeries) series.set(key, made);
    else value(DROPPED, NO_LABELS).value++;
    return made;
  };

  const value = (name: string, labels: Labels = NO_LABELS): Value => {
    const found = family(name);
    const { values, last } = found;
    if (last?.labels === labels) return last;
    const key = keyOf(labels);
    const known = values.get(key);
    if (known === undefined) return keep(values, key, { labels, value: 0 });
    found.last = known;
    return known;
  };

  const distribution = (name: string, labels: Labels = NO_LABELS): Distribution => {
    const { distributions, definition } = family(name);
    const key = keyOf(labels);
    const found = distributions.get(key);
    if (found !== undefined) return found;
    const bounds = definition.type === 'histogram' ? definition.bounds : [];
    return keep(distributions, key, { labels, bounds, buckets: new Float64Array(bounds.length + 1), sum: 0 });
  };

  const set = (name: string, to: number, labels?: Labels): void => void (value(name, labels).value = to);

  return {
    value,
    distribution,
    set,
    families: () => [...families.values()],
    count: (name, labels, by = 1) => void (value(name, labels).value += by),
    gauge: (name, to, labels) => set(name, to, labels),
    observe: (name, observed, labels) => observe(distribution(name, labels), observed),
  };
}

export function observe(into: Distribution, observed: number): void {
  const { bounds, buckets } = into;
  let i = 0;
  while (i < bounds.length && observed > (bounds[i] ?? 0)) i++;
  buckets[i] = (buckets[i] ?? 0) + 1;
  into.sum += observed;
}

function keyOf(labels: Labels): string {
  if (labels === NO_LABELS) return '';
  let key = '';
  for (const name in labels) key += `${name}\u0000${labels[name] ?? ''}\u0000`;
  return key;
}
