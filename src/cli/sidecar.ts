/** `sallyport sidecar`: the data path, from a folder of manifests. */
import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { createFetcher } from '../outbound/fetcher.ts';
import { createProxy } from '../proxy/proxy.ts';
import { createFilesSource } from '../sources/files.ts';
import { createTelemetry, type RunningTelemetry } from '../telemetry/create-telemetry.ts';
import { createLineOutput } from '../telemetry/line-output.ts';
import { LOG_LEVELS } from '../telemetry/log.ts';
import { createAssembly } from './assembly.ts';
import { EXIT, type RunCommand } from './io.ts';
import { allowOptimizing } from './optimizing.ts';
import { reportUsage, runCommandLine } from './options.ts';
import { createMemory, keepTrimmed } from './trim-memory.ts';
import { findProblems, SIDECAR, type SidecarValues } from './sidecar-options.ts';

/** Keys are fetched for at most this long before ready (runtime.md "Lifecycle"). */
const KEYS_WITHIN_MS = 5000;
const DEFAULT_DRAIN_MS = 25_000;

export const runSidecar: RunCommand = (args, io, signal) =>
  runCommandLine(SIDECAR, args, io, async values => {
    const problems = findProblems(values);
    if (problems.length > 0) {
      reportUsage('sidecar', problems, io);
      return EXIT.usage;
    }
    return serve(values, io.cwd, signal);
  });

async function serve(values: SidecarValues, cwd: string, signal: AbortSignal): Promise<number> {
  const telemetry = await openTelemetry(values);
  const { log } = telemetry;
  const fetcher = createFetcher({ resolve: values.resolve, log });
  const file = (name: string | undefined): string => resolve(cwd, name ?? '');
  const proxy = createProxy({
    listen: values.listen,
    apps: values.app,
    resolve: values.resolve,
    telemetry,
    exposition: () => telemetry.exposition(),
    clock: Date.now,
    monotonic: () => performance.now(),
    randomBytes,
    memory: createMemory(),
    setLogLevel: level => setLevel(telemetry, level),
    describe: () => assembly.describe(),
    publicKeys: () => assembly.publicKeys(),
    ...(values.health === undefined ? {} : { health: values.health }),
    ...(values['admin-socket'] === undefined ? {} : { adminSocket: file(values['admin-socket']) }),
    ...(values['max-memory'] === undefined ? {} : { maxMemoryBytes: values['max-memory'] }),
  });
  const assembly = createAssembly({
    workload: {
      namespace: values.namespace ?? 'default',
      labels: values['workload-labels'] ?? {},
      ports: values['container-ports'] ?? {},
      appAuthorities: port =>
        values.app.filter(({ apiPort = port }) => apiPort === port).map(({ host, port: at }) => `${host}:${at}`),
    },
    fetcher,
    telemetry,
    clock: Date.now,
    random: Math.random,
    publish: generation => proxy.publish(generation),
    ...(values['mesh-certificate'] === undefined
      ? {}
      : { meshCertificate: { certificateFile: file(values['mesh-certificate']), keyFile: file(values['mesh-key']) } }),
  });
  telemetry.onExposition(() => assembly.refreshMetrics());
  const source = createFilesSource({
    directory: file(values.config),
    log,
    defaultNamespace: values.namespace ?? 'default',
  });
  let stopTrimming = (): void => undefined;
  try {
    await source.start(resources => assembly.accept(resources));
    await assembly.ready(KEYS_WITHIN_MS);
    // Before the first connection: nobody waits for it.
    stopTrimming = keepTrimmed();
    allowOptimizing();
    await proxy.start();
    await waitFor(signal);
    log.info({}, 'stopping: what is in flight may end');
    await proxy.stop(values['drain-timeout'] ?? DEFAULT_DRAIN_MS);
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    log.error({ code: 'code' in error ? error.code : error.name, problem: error.message }, 'cannot start');
    return EXIT.unavailable;
  } finally {
    stopTrimming();
    await source.stop();
    await assembly.close();
    telemetry.close();
    telemetry.flush();
  }
}

async function openTelemetry(values: SidecarValues) {
  const output =
    values['log-format'] === 'pretty'
      ? (await import('../telemetry/pretty-output.ts')).createPrettyOutput()
      : createLineOutput({ onDrop: () => telemetry.metrics.count('sallyport_log_lines_dropped_total') });
  const telemetry = createTelemetry({
    level: values['log-level'],
    output,
    logPermits: values['log-permits'],
    now: Date.now,
    random: Math.random,
    process,
  });
  return Object.assign(telemetry, { flush: () => output.flush() });
}

function setLevel({ log, setLevel: change }: Pick<RunningTelemetry, 'log' | 'setLevel'>, text: string): boolean {
  const level = LOG_LEVELS.find(each => each === text);
  if (level === undefined) return false;
  const tell = (): void => log.info({ level }, `log level is now ${level}`);
  const isQuieter = level === 'warn' || level === 'error';
  // Before the line itself is no longer logged.
  if (isQuieter) tell();
  change(level);
  if (!isQuieter) tell();
  return true;
}

function waitFor(signal: AbortSignal): Promise<void> {
  return new Promise(stop => {
    if (signal.aborted) stop();
    else signal.addEventListener('abort', () => stop(), { once: true });
  });
}
