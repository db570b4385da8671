/** Metrics of the process itself, under the names that prom-client gives them, and how late its timers fire. */
import { readdirSync } from 'node:fs';
import { type MetricStore, observe } from './store.ts';

/** The part of `process` that is read. */
export type ProcessReader = Pick<NodeJS.Process, 'cpuUsage' | 'memoryUsage' | 'uptime'>;

const LAG_INTERVAL_MS = 500;

export function collectProcess(store: MetricStore, reader: ProcessReader): void {
  const { user, system } = reader.cpuUsage();
  const { rss, heapTotal, heapUsed, external } = reader.memoryUsage();
  store.set('process_cpu_user_seconds_total', user / 1e6);
  store.set('process_cpu_system_seconds_total', system / 1e6);
  store.set('process_start_time_seconds', Math.round(performance.timeOrigin / 1000));
  store.set('process_resident_memory_bytes', rss);
  store.set('nodejs_heap_size_total_bytes', heapTotal);
  store.set('nodejs_heap_size_used_bytes', heapUsed);
  store.set('nodejs_external_memory_bytes', external);
  const descriptors = countDescriptors();
  if (descriptors !== undefined) store.set('process_open_fds', descriptors);
}

/** Two wake-ups a second; a monitor of Node's own would cost fifty. Answers how to stop it. */
export function watchEventLoop(store: MetricStore): () => void {
  const lag = store.distribution('sallyport_event_loop_lag_seconds');
  let due = performance.now() + LAG_INTERVAL_MS;
  const timer = setInterval(() => {
    const now = performance.now();
    observe(lag, Math.max(0, now - due) / 1000);
    due = now + LAG_INTERVAL_MS;
  }, LAG_INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}

function countDescriptors(): number | undefined {
  try {
    return readdirSync('/proc/self/fd').length - 1; // less the one that reads the folder
  } catch {
    return undefined;
  }
}
