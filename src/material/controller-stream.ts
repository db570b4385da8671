/**
 * The sidecar’s end of the material stream (protocol.ts): asks for material, says what is in force, answers pings, and
 * asks again with jitter whenever the stream ends. What was received stays with the caller; nothing here forgets it.
 */
import { createBackoff, pause } from '../kube/backoff.ts';
import type { KubeConnection } from '../kube/connection.ts';
import { readLines, readText, startCall, type Answer } from '../kube/exchange.ts';
import { createLocalError, KubeError } from '../kube/kube-error.ts';
import { createSession } from '../kube/session.ts';
import type { Log } from '../telemetry/telemetry.ts';
import { createAcknowledgementWriter, type EnforcedState } from './acknowledgement.ts';
import { encodeLine } from './lines.ts';
import { BOUNDS, MATERIAL_PATH, PROTOCOL, TIMING, type FromSidecar, type MaterialMessage } from './protocol.ts';
import { readFromController, readRefusal } from './read-controller.ts';

export interface ControllerStreamOptions {
  /** `token` is the one with the controller’s audience; TLS 1.3 is asked for whatever it says. */
  readonly connection: KubeConnection;
  readonly hello: { readonly version: string };
  readonly onMaterial: (material: MaterialMessage) => void;
  /** Ready pods of this pod’s workload. */
  readonly onReadyPods: (count: number) => void;
  readonly log: Log;
  /** Milliseconds. */
  readonly clock: () => number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly timings?: { readonly silenceMs?: number; readonly retryMinMs?: number };
}

export interface ControllerStatus {
  readonly connected: boolean;
  /** Milliseconds since the last line of the controller; undefined: there was none. */
  readonly heardMsAgo: number | undefined;
  /** Why it is not connected: a sentence, nothing secret. */
  readonly problem?: string;
}

export interface ControllerStream {
  start(): void;
  /** What is in force now; said at once when connected, and whole to each new stream. */
  acknowledge(state: EnforcedState): void;
  status(): ControllerStatus;
  stop(): Promise<void>;
}

/** One open stream. */
interface Open {
  readonly answer: Answer;
  readonly writer: ReturnType<typeof createAcknowledgementWriter>;
}

export function createControllerStream(options: ControllerStreamOptions): ControllerStream {
  const { log, clock, random, timings = {} } = options;
  const { silenceMs = TIMING.silenceMs, retryMinMs } = timings;
  const backoff = createBackoff({ random, ...(retryMinMs === undefined ? {} : { minMs: retryMinMs }) });
  const stopping = new AbortController();
  const isStopped = (): boolean => stopping.signal.aborted;
  let running: Promise<void> | undefined;
  let open: Open | undefined;
  let state: EnforcedState | undefined;
  let heardAt: number | undefined;
  let problem: string | undefined;

  function say(stream: Open, message: FromSidecar): void {
    if (stream.answer.stream.writable) stream.answer.stream.write(encodeLine(message));
  }

  function sayState(): void {
    if (open === undefined || state === undefined) return;
    for (const line of open.writer.next(state)) say(open, line);
  }

  /** How long the controller asks us to wait; undefined: the stream goes on. */
  function take(line: string, stream: Open): number | undefined {
    const message = readFromController(line);
    switch (message?.type) {
      case 'material':
        options.onMaterial(message);
        return undefined;
      case 'workload':
        options.onReadyPods(message.readyPods);
        return undefined;
      case 'ping':
        say(stream, { type: 'pong' });
        return undefined;
      case 'bye':
        problem = `the controller ended the stream: ${message.reason}`;
        return Math.max(1, message.retryAfterMs);
      // A newer controller may say more than this version knows.
      case undefined:
        return undefined;
    }
  }

  /** Reads until the stream ends. Answers how long to wait before the next one. */
  async function converse(answer: Answer): Promise<number> {
    const stream = { answer, writer: createAcknowledgementWriter() };
    const silence = guardSilence(silenceMs, stopping.signal);
    [open, problem, heardAt] = [stream, undefined, clock()];
    log.info({}, 'connected to the controller');
    sayState();
    try {
      for await (const line of readLines(answer, { signal: silence.signal, maxLength: BOUNDS.toSidecar })) {
        silence.heard();
        heardAt = clock();
        backoff.reset();
        const wait = take(line, stream);
        if (wait !== undefined) return wait;
      }
    } catch (error) {
      throw silence.isOver() ? createLocalError('Timeout', 'the controller is silent') : error;
    } finally {
      silence.disarm();
      open = undefined;
    }
    throw createLocalError('ConnectionLost', 'the controller ended the stream');
  }

  /** A connection for each stream, so that a new one may reach another replica. */
  async function attempt(): Promise<number> {
    const session = createSession({ connection: { ...options.connection, minVersion: 'TLSv1.3' } });
    try {
      const token = await options.connection.token?.();
      const hello: FromSidecar = { type: 'hello', protocol: PROTOCOL, ...options.hello };
      const answer = await startCall(await session.open(), {
        method: 'POST',
        path: MATERIAL_PATH,
        headers: {
          'content-type': 'application/x-ndjson',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        body: encodeLine(hello),
        keepOpen: true,
        signal: stopping.signal,
        timeoutMs: silenceMs,
      });
      if (answer.status === 200) return await converse(answer);
      const body = await readText(answer, {
        signal: stopping.signal,
        timeoutMs: silenceMs,
        maxLength: BOUNDS.problem * 8,
      });
      throw readRefusal(answer.status, body, answer.headers['retry-after'], clock());
    } finally {
      session.close();
    }
  }

  async function run(): Promise<void> {
    while (!isStopped()) {
      let wait: number;
      try {
        wait = backoff.next(await attempt());
      } catch (error) {
        if (isStopped()) return;
        const text = error instanceof Error ? error.message : 'the stream failed';
        if (text !== problem)
          log.warn({ problem: text }, 'no connection to the controller; what is known stays in force');
        problem = text;
        wait = backoff.next(error instanceof KubeError ? error.retryAfterMs : undefined);
      }
      await pause(wait, stopping.signal);
    }
  }

  return {
    start() {
      running ??= run();
    },
    acknowledge(next) {
      state = next;
      sayState();
    },
    status: () => ({
      connected: open !== undefined,
      heardMsAgo: heardAt === undefined ? undefined : clock() - heardAt,
      ...(problem === undefined ? {} : { problem }),
    }),
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/** Aborts when nothing is heard for so long. */
function guardSilence(silenceMs: number, outer: AbortSignal) {
  const ending = new AbortController();
  let isOver = false;
  const stop = (): void => ending.abort();
  outer.addEventListener('abort', stop, { once: true });
  if (outer.aborted) stop();
  const timer = setTimeout(() => {
    isOver = true;
    stop();
  }, silenceMs);
  return {
    signal: ending.signal,
    heard: () => void timer.refresh(),
    isOver: () => isOver,
    disarm() {
      clearTimeout(timer);
      outer.removeEventListener('abort', stop);
    },
  };
}
