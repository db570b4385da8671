/** What the data path is given: addresses, limits of the process, and the outside world as arguments. */
import type { AdminAnswer } from './admin.ts';
import type { ProbeReplay } from '../api/probe-replay.ts';
import type { FindDestination } from '../interception/original-destination.ts';
import type { ResolveRule } from '../outbound/resolve.ts';
import type { Memory } from './memory-watch.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';

export interface SocketAddress {
  readonly host: string;
  readonly port: number;
}

/** `--listen [PORT=]ADDR:PORT`. */
export interface ListenAddress extends SocketAddress {
  /** The Api's container port; absent: see findPlan. */
  readonly apiPort?: number;
}

/** `--app [PORT=]ADDR:PORT`: where the app of an Api's container port listens. */
export interface AppAddress extends SocketAddress {
  /** Absent: every Api without an entry of its own. */
  readonly apiPort?: number;
}

/** Probes of the app that the injector moved to the health port. */
export interface MovedProbes {
  readonly replays: readonly ProbeReplay[];
  /** The first address of the pod, which the kubelet would have asked. */
  readonly podAddress: string;
  /** Explicit interception: the pod's addresses are the sidecar's, the app listens at loopback. */
  readonly appOnLoopback: boolean;
}
/** How connections to the pod come in, instead of by `--listen`. The Api of a port is that of the port that was dialled. */
export type Interception =
  | {
      /** Rules of the kernel bring every connection to one port. */
      readonly mode: 'transparent';
      readonly port: number;
      /** @throws a sentence where they cannot be read: nothing is accepted then. */
      readonly openDestinations: () => Promise<FindDestination>;
    }
  | {
      /** No rules: the sidecar listens at the pod's addresses, the app at 127.0.0.1, both at the Api's port. */
      readonly mode: 'explicit';
      readonly podAddresses: readonly string[];
      readonly readFile: (path: string) => Promise<string>;
    };

export interface ProxyDeps {
  readonly listen: readonly ListenAddress[];
  /** Absent: `listen` says where connections come in. */
  readonly interception?: Interception;
  readonly apps: readonly AppAddress[];
  /** `--resolve`, for `app.url`. */
  readonly resolve: readonly ResolveRule[];
  /** `--health`; absent: no health port. An empty host: every address, IPv6 and IPv4 where there are both. */
  readonly health?: SocketAddress;
  /** Absent: none were moved. */
  readonly probes?: MovedProbes;
  /** `--admin-socket`; absent: no admin socket. */
  readonly adminSocket?: string;
  /** `--max-memory` in bytes; absent: unlimited. */
  readonly maxMemoryBytes?: number;
  readonly telemetry: Telemetry;
  /** OpenMetrics text for /metrics. */
  readonly exposition: () => Promise<string>;
  /** Milliseconds since the epoch: what tokens and certificates are judged by. */
  readonly clock: () => number;
  /** Milliseconds that only grow: deadlines and durations. */
  readonly monotonic: () => number;
  readonly randomBytes: (size: number) => Uint8Array;
  /** Of the process; asked for `maxMemoryBytes`. */
  readonly memory: Memory;
  /** Hooks of the admin socket that belong to others; a missing one answers 404. */
  readonly setLogLevel?: (level: string) => boolean;
  readonly explain?: (question: unknown) => Promise<AdminAnswer>;
  /** Public keys (JWK) by which signed contexts are verified. */
  readonly publicKeys?: () => readonly object[];
  /** What else keeps the sidecar from being ready; fixed words and names of objects, never a secret. */
  readonly problems?: () => readonly string[];
  /** What else status shows: key ages, violations, audits. Never a secret. */
  readonly describe?: () => Readonly<Record<string, unknown>>;
}
