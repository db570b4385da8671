/**
 * The metrics as text, written by prom-client's registry from our own numbers (store.ts). Read when metrics are first
 * asked for, and of prom-client only the registry: half a megabyte instead of twelve.
 */
import Registry, { type Collected, type Sample } from 'prom-client/lib/registry.js';
import type { Distribution, Family } from './store.ts';

/** Text of OpenMetrics 1.0. */
export function renderMetrics(families: readonly Family[]): Promise<string> {
  const registry = new Registry(Registry.OPENMETRICS_CONTENT_TYPE);
  for (const family of families) {
    registry.registerMetric({ name: family.name, get: () => Promise.resolve(collect(family)) });
  }
  return registry.metrics();
}

function collect({ name, definition, values, distributions }: Family): Collected {
  const { type, help } = definition;
  // In OpenMetrics a counter's family is named without the _total that its samples carry; prom-client adds it to them.
  if (type === 'counter') return { name: name.replace(/_total$/, ''), help, type, values: [...values.values()] };
  if (type === 'gauge') return { name, help, type, values: [...values.values()] };
  return { name, help, type, values: [...distributions.values()].flatMap(one => collectBuckets(name, one)) };
}

/** Buckets of the exposition format are cumulative. */
function collectBuckets(name: string, { labels, bounds, buckets, sum }: Distribution): Sample[] {
  let count = 0;
  const counted = [...bounds, '+Inf'].map((le, i) => {
    count += buckets[i] ?? 0;
    return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count };
  });
  return [
    ...counted,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
