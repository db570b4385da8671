/** The sidecar of the demo: the real program in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { LOOPBACK } from './listening.ts';

export interface SidecarOptions {
  readonly program: readonly string[];
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly health: number;
  readonly showLog?: (text: string) => void;
  readonly signal: AbortSignal;
  /** As Io.onExit. */
  readonly onExit?: (clean: () => void) => () => void;
}

export interface SidecarProcess {
  /** Resolves when the process has ended by itself, with its last lines. */
  readonly ended: Promise<string>;
  close(): Promise<void>;
}

const READY_WITHIN_MS = 20_000;
const POLL_MS = 50;
const KEPT_CHARACTERS = 8_000;

export async function startSidecar(options: SidecarOptions): Promise<SidecarProcess> {
  const child = spawnSidecar(options);
  let tail = '';
  const listen = (text: string): void => {
    tail = (tail + text).slice(-KEPT_CHARACTERS);
    options.showLog?.(text);
  };
  child.stdout?.setEncoding('utf8').on('data', listen);
  child.stderr?.setEncoding('utf8').on('data', listen);
  const forget = options.onExit?.(() => child.kill('SIGKILL'));
  const ended = once(child, 'close').then(() => {
    forget?.();
    return tail;
  });
  const sidecar = { ended, close: () => stop(child, ended) };
  try {
    await waitUntilReady(options, ended);
  } catch (error) {
    await sidecar.close();
    throw error;
  }
  return sidecar;
}

function spawnSidecar({ program, args, env, showLog }: SidecarOptions): ChildProcess {
  const [node = process.execPath, ...script] = program;
  const format = ['--log-format', showLog === undefined ? 'json' : 'pretty'];
  return spawn(node, [...script, 'sidecar', ...args, ...format], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // The sidecar refuses to start among these, and settings meant for another sidecar must not reach this one.
    env: Object.fromEntries(
      Object.entries(env).filter(
        ([name]) => !/^(SALLYPORT_.*|NODE_OPTIONS|NODE_DEBUG|NODE_TLS_REJECT_UNAUTHORIZED)$/.test(name),
      ),
    ),
  });
}

async function waitUntilReady({ health, signal }: SidecarOptions, ended: Promise<string>): Promise<void> {
  let last: string | undefined;
  void ended.then(tail => (last = tail));
  for (let waited = 0; waited < READY_WITHIN_MS; waited += POLL_MS) {
    signal.throwIfAborted();
    if (await isReady(health)) return;
    if (last !== undefined) throw new Error(`the sidecar ended before it was ready:\n${last}`);
    await sleep(POLL_MS);
  }
  throw new Error(`the sidecar was not ready within ${READY_WITHIN_MS / 1000} s`);
}

function isReady(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  get({ host: LOOPBACK, port, path: '/readyz', agent: false, timeout: 1000 }, response => {
    response.resume();
    resolve(response.statusCode === 200);
  })
    .on('timeout', () => resolve(false))
    .on('error', () => resolve(false));
  return promise;
}

async function stop(child: ChildProcess, ended: Promise<string>): Promise<void> {
  child.kill('SIGTERM');
  const patience = setTimeout(() => child.kill('SIGKILL'), 5000);
  await ended;
  clearTimeout(patience);
}
