/**
 * Probes of the app that the injector moved to the health port, replayed as the kubelet would make them. The only way to the
 * app that no policy guards, so each replay is fixed to the byte, found by an unguessable path only, and bounded in number.
 */
import { isHook, type ProbeReplay } from '../api/probe-replay.ts';
import type { AppCertificate } from './generation.ts';
import { replayGrpc } from './probe-grpc.ts';
import { replayHttp } from './probe-http.ts';
import { replayTcp } from './probe-tcp.ts';
import { asText, NO_ANSWER, type ServiceReply } from './service-port.ts';

/** Where a port of the app is reached, and as whom. */
export interface ProbeTarget {
  /** What is dialled: an address of the pod, or loopback where the app listens there only. */
  readonly address: string;
  /** The address that the kubelet would write into Host: the pod's. */
  readonly podAddress: string;
  /** The `app.credential` of the Api of that port. */
  readonly certificate?: AppCertificate;
}

export type FindProbeTarget = (port: number) => ProbeTarget;

/** Undefined: no probe has this path. Never rejects: what went wrong is the answer. */
export type ReplayProbe = (path: string, userAgent: string) => Promise<ServiceReply> | undefined;

export interface ReplayContext {
  readonly find: FindProbeTarget;
  readonly userAgent: string;
}

/** A status to pass on. */
export type Outcome = number;

/** The kubelet asks once a second at most; whoever has got hold of a path gets no more out of it. */
const PER_SECOND = 5;
const AT_ONCE = 4;
const KUBE_AGENT = /^kube-(probe|lifecycle)\/[\w.+-]{1,32}$/;

export function createProbeReplays(options: {
  readonly replays: readonly ProbeReplay[];
  readonly find: FindProbeTarget;
  /** Milliseconds that only grow. */
  readonly monotonic: () => number;
}): ReplayProbe {
  const { find, monotonic } = options;
  const doors = new Map(options.replays.map(replay => [replay.path, { replay, gate: createGate(monotonic) }]));
  return (path, userAgent) => {
    const door = doors.get(path);
    if (door === undefined) return undefined;
    if (!door.gate.enter()) return Promise.resolve(asText(429, 'too many\n'));
    const context = { find, userAgent: KUBE_AGENT.test(userAgent) ? userAgent : 'kube-probe/1' };
    return run(door.replay, context).finally(() => door.gate.leave());
  };
}

async function run(replay: ProbeReplay, context: ReplayContext): Promise<ServiceReply> {
  const signal = AbortSignal.timeout(replay.timeoutMs);
  try {
    const status = await REPLAY[replay.kind](replay, context, signal);
    // No text of the app leaves by this way.
    return asText(status >= 200 && status <= 599 ? status : 502, '');
  } catch {
    // Any status at all is success to the kubelet's hooks (pkg/kubelet/lifecycle, runHTTPHandler): without an answer they fail.
    if (isHook(replay)) return NO_ANSWER;
    return signal.aborted ? asText(504, 'timeout\n') : asText(502, 'failed\n');
  }
}

const REPLAY = { http: replayHttp, tcp: replayTcp, grpc: replayGrpc } as const;

interface Gate {
  enter(): boolean;
  leave(): void;
}

function createGate(monotonic: () => number): Gate {
  let [running, second, count] = [0, -1, 0];
  return {
    enter: () => {
      const now = Math.floor(monotonic() / 1000);
      if (now !== second) [second, count] = [now, 0];
      if (running >= AT_ONCE || count >= PER_SECOND) return false;
      running += 1;
      count += 1;
      return true;
    },
    leave: () => {
      running -= 1;
    },
  };
}
