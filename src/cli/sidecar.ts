/** `sallyport sidecar`: the data path, from a folder of manifests or in a pod of a cluster. */
import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { BOUNDS } from '../material/protocol.ts';
import { createFetcher } from '../outbound/fetcher.ts';
import type { Generation } from '../proxy/generation.ts';
import { createProxy } from '../proxy/proxy.ts';
import type { SavedEntries } from '../sources/saved-entries.ts';
import { createTelemetry, type RunningTelemetry } from '../telemetry/create-telemetry.ts';
import { createLineOutput } from '../telemetry/line-output.ts';
import { LOG_LEVELS } from '../telemetry/log.ts';
import type { Log } from '../telemetry/telemetry.ts';
import { createAssembly } from './assembly.ts';
import { openFeed } from './feed.ts';
import { chooseInterception, chooseProbes, listAuthorities } from './interception.ts';
import { EXIT, type Io, type RunCommand } from './io.ts';
import { allowOptimizing } from './optimizing.ts';
import { reportUsage, runCommandLine } from './options.ts';
import { createMemory, keepTrimmed, openRelease } from './trim-memory.ts';
import { findProblems, SIDECAR, type SidecarValues } from './sidecar-options.ts';
import { findSource } from './source-options.ts';
import { createWarmUp } from './warm-up.ts';
import { countWouldDeny } from './would-deny.ts';

/** Keys are fetched for at most this long before ready (runtime.md "Lifecycle"). */
const KEYS_WITHIN_MS = 5000;
const DEFAULT_DRAIN_MS = 25_000;

export const runSidecar: RunCommand = (args, io, signal) =>
  runCommandLine(SIDECAR, args, io, async values => {
    const problems = findProblems(values, io.env);
    if (problems.length > 0) {
      reportUsage('sidecar', problems, io);
      return EXIT.usage;
    }
    return serve(values, io, signal);
  });

async function serve(values: SidecarValues, io: Io, signal: AbortSignal): Promise<number> {
  const telemetry = await openTelemetry(values);
  const { log, metrics } = telemetry;
  const wouldDeny = countWouldDeny(telemetry);
  const isCluster = findSource(values, io.env) === 'kubernetes';
  const fetcher = createFetcher({ resolve: values.resolve, log });
  const file = (name: string | undefined): string => resolve(io.cwd, name ?? '');
  const interception = chooseInterception(values);
  const probes = chooseProbes(values);
  const release = await openRelease();
  let inForce: Generation | undefined;
  const proxy = createProxy({
    listen: values.listen,
    ...(interception === undefined ? {} : { interception }),
    apps: values.app,
    resolve: values.resolve,
    telemetry: wouldDeny.telemetry,
    exposition: () => telemetry.exposition(),
    clock: Date.now,
    monotonic: () => performance.now(),
    randomBytes,
    memory: createMemory(release),
    setLogLevel: level => setLevel(telemetry, level),
    // Most sidecars are never asked, so what answers is read when one is.
    explain: async question => (await import('./explain-live.ts')).explainLive(question, inForce, Date.now),
    publicKeys: () => assembly.publicKeys(),
    describe: () => ({ ...feed.describe(), ...assembly.describe() }),
    problems: () => [...feed.problems(), ...warmUp.problems()],
    ...(values.health === undefined ? {} : { health: values.health }),
    ...(probes === undefined ? {} : { probes }),
    ...(values['admin-socket'] === undefined ? {} : { adminSocket: file(values['admin-socket']) }),
    ...(values['max-memory'] === undefined ? {} : { maxMemoryBytes: values['max-memory'] }),
  });
  const feed = await openFeed({
    ...{ values, io, log, metrics, clock: Date.now, random: Math.random },
    enforced: () => ({
      ...assembly.enforced(),
      appExposed: proxy.exposedPorts(),
      // A scan of all ports is not worth an Event for each.
      closedPorts: proxy.closedPorts().slice(0, BOUNDS.closedPorts),
      wouldDeny: wouldDeny.counts(),
    }),
  });
  const keyStore = await openKeyStore(values, io, log);
  const assembly = createAssembly({
    workload: {
      namespace: values.namespace ?? 'default',
      labels: values['workload-labels'] ?? {},
      ports: values['container-ports'] ?? {},
      appAuthorities: port => listAuthorities(values, port),
    },
    fetcher,
    telemetry,
    clock: Date.now,
    random: Math.random,
    randomBytes,
    monotonic: () => performance.now(),
    resolve: values.resolve,
    readyPods: () => feed.readyPods(),
    source: isCluster ? 'kubernetes' : 'files',
    publish: generation => {
      inForce = generation;
      proxy.publish(generation);
    },
    keyStore,
    ...(values['mesh-certificate'] === undefined
      ? { managed: feed.managed }
      : { meshCertificate: { certificateFile: file(values['mesh-certificate']), keyFile: file(values['mesh-key']) } }),
  });
  telemetry.onExposition(() => {
    assembly.refreshMetrics();
    feed.refreshMetrics();
  });
  let stopTrimming = (): void => undefined;
  const warmUp = createWarmUp({
    ready: () => assembly.ready(KEYS_WITHIN_MS),
    missingCertificates: feed.managed === undefined ? undefined : () => assembly.missingCertificates(),
    onWarm() {
      stopTrimming = keepTrimmed(release);
      allowOptimizing();
    },
  });
  try {
    await feed.start(resources => {
      const outcome = assembly.accept(resources);
      // In a pod the health port says what is waited for, so it is open before the first policy is there.
      if (isCluster && outcome !== undefined && resources.rehearsal !== true) void warmUp.begin();
      return outcome;
    });
    // Before the first connection: nobody waits for it.
    if (!isCluster) await warmUp.begin();
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
    await feed.stop();
    await assembly.close();
    await keyStore?.settle();
    telemetry.close();
    telemetry.flush();
  }
}

/** Public keys of issuers on the memory volume, read before the first issuer is asked for. */
async function openKeyStore({ state }: SidecarValues, { cwd }: Io, log: Log): Promise<SavedEntries | undefined> {
  if (state === undefined) return undefined;
  const [{ openSavedEntries }, { createSavedFile }] = await Promise.all([
    import('../sources/saved-entries.ts'),
    import('../sources/saved-file.ts'),
  ]);
  return openSavedEntries(createSavedFile(resolve(cwd, state, 'keys.json'), log));
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
