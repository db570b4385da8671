/** The leader's ear: the other replicas of the controller, found by the EndpointSlices of its Service, and what they tell. */
import { createBackoff, pause } from '../kube/backoff.ts';
import { readLines, readText, startCall } from '../kube/exchange.ts';
import { createLocalError } from '../kube/kube-error.ts';
import { isRecord, type KubeObject } from '../kube/objects.ts';
import { createSession } from '../kube/session.ts';
import { ACKNOWLEDGEMENTS_PATH, TIMING } from '../material/protocol.ts';
import type { Log } from '../telemetry/telemetry.ts';
import { FORGET_MS, showState, type ToldState } from './acknowledgement-registry.ts';
import type { PodState, PodStates } from './pod-states.ts';
import type { FromReplica } from './replica-stream.ts';

/** `address:port`. */
export type ReplicaAddress = string;

export interface ReplicasOptions {
  /** Name in the certificate of every replica. */
  readonly serverName: string;
  /** PEM, read for each connection. */
  readonly ca: () => Promise<string>;
  /** With our own audience. */
  readonly token: () => Promise<string>;
  /** A pod said something else, came or went. */
  readonly onChange: (uid: string) => void;
  readonly log: Log;
  readonly clock: () => number;
  readonly random: () => number;
  readonly timings?: { readonly silenceMs: number; readonly retryMinMs: number };
}

export interface Replicas {
  /** Listens to these and no others; none: nobody is asked. */
  follow(addresses: readonly ReplicaAddress[]): void;
  states(): readonly PodState[];
  /** Forgets pods that were heard last too long ago. */
  sweep(): void;
  stop(): Promise<void>;
}

interface Peer {
  readonly ending: AbortController;
  readonly done: Promise<void>;
}

interface Told {
  readonly state: PodState;
  /** Its stream is open there, as far as is known. */
  open: boolean;
  heardAt: number;
  readonly from: ReplicaAddress;
}

const MOST_LINE = 64 * 1024 * 1024;

export function createReplicas(options: ReplicasOptions): Replicas {
  const { log, clock, random, onChange } = options;
  const { silenceMs, retryMinMs } = options.timings ?? { silenceMs: TIMING.silenceMs, retryMinMs: 800 };
  const peers = new Map<ReplicaAddress, Peer>();
  const told = new Map<string, Told>();

  function take(line: string, from: ReplicaAddress): void {
    const message = readFromReplica(line);
    if (message?.type !== 'states') return;
    if (message.full) loseContact(from);
    for (const uid of message.gone) {
      if (told.get(uid)?.from === from && told.delete(uid)) onChange(uid);
    }
    for (const { uid, version, open, heardMsAgo, state } of message.states) {
      const heardAt = clock() - heardMsAgo;
      const known = told.get(uid);
      // Its stream may have moved: what an open stream says counts, else what was heard last.
      const isOlder = known !== undefined && known.from !== from && known.open && !open;
      if (isOlder || (known !== undefined && known.heardAt > heardAt && known.from !== from && !open)) continue;
      told.set(uid, { state: showState(uid, version, state, heardAt), open, heardAt, from });
      onChange(uid);
    }
  }

  /** Its pods have time to come back, there or elsewhere. */
  function loseContact(from: ReplicaAddress): void {
    for (const entry of told.values()) {
      if (entry.from !== from || !entry.open) continue;
      entry.open = false;
      entry.heardAt = clock();
    }
  }

  async function listen(address: ReplicaAddress, signal: AbortSignal): Promise<void> {
    const connection = {
      server: `https://${address}`,
      ca: options.ca,
      serverName: options.serverName,
      minVersion: 'TLSv1.3' as const,
    };
    const session = createSession({ connection });
    try {
      const answer = await startCall(await session.open(), {
        method: 'GET',
        path: ACKNOWLEDGEMENTS_PATH,
        headers: { authorization: `Bearer ${await options.token()}` },
        signal,
        timeoutMs: 10_000,
      });
      if (answer.status !== 200) {
        const text = await readText(answer, { signal, timeoutMs: 5000, maxLength: 4096 });
        throw createLocalError('Protocol', `the replica answered ${answer.status} ${text.slice(0, 200)}`);
      }
      const guard = guardSilence(silenceMs, signal);
      try {
        for await (const line of readLines(answer, { signal: guard.signal, maxLength: MOST_LINE })) {
          guard.heard();
          take(line, address);
        }
      } finally {
        guard.disarm();
      }
    } finally {
      session.close();
    }
  }

  async function run(address: ReplicaAddress, signal: AbortSignal): Promise<void> {
    const backoff = createBackoff({ random, minMs: retryMinMs });
    const isEnded = (): boolean => signal.aborted;
    while (!isEnded()) {
      const startedAt = clock();
      try {
        await listen(address, signal);
      } catch (error) {
        if (isEnded()) break;
        log.warn({ address, problem: error instanceof Error ? error.message : 'failed' }, 'cannot hear a replica');
      }
      loseContact(address);
      if (clock() - startedAt > silenceMs) backoff.reset();
      await pause(backoff.next(), signal);
    }
    loseContact(address);
  }

  return {
    follow(addresses) {
      for (const [address, { ending }] of peers) {
        if (addresses.includes(address)) continue;
        ending.abort();
        peers.delete(address);
      }
      for (const address of addresses) {
        if (peers.has(address)) continue;
        const ending = new AbortController();
        peers.set(address, { ending, done: run(address, ending.signal) });
      }
    },
    states() {
      const now = clock();
      return [...told.values()].map(({ state, open, heardAt }) => ({ ...state, heardAt: open ? now : heardAt }));
    },
    sweep() {
      for (const [uid, { open, heardAt }] of told) {
        if (!open && clock() - heardAt >= FORGET_MS && told.delete(uid)) onChange(uid);
      }
    },
    async stop() {
      const all = [...peers.values()];
      for (const { ending } of all) ending.abort();
      peers.clear();
      await Promise.all(all.map(({ done }) => done));
    },
  };
}

/** Own states and those of the others: of one pod what was heard last. */
export function mergeStates(own: PodStates, others: readonly PodState[]): PodStates {
  const merged = new Map(own);
  for (const state of others) {
    const known = merged.get(state.uid);
    if (known === undefined || known.heardAt < state.heardAt) merged.set(state.uid, state);
  }
  return merged;
}

/** Replicas speak as the same program does: the token says that it is one. */
function readFromReplica(line: string): FromReplica | undefined {
  const value: unknown = JSON.parse(line);
  if (!isRecord(value)) return undefined;
  if (value['type'] === 'ping') return { type: 'ping' };
  const { full, states, gone } = value;
  if (value['type'] !== 'states' || typeof full !== 'boolean' || !Array.isArray(states) || !Array.isArray(gone)) {
    return undefined;
  }
  return { type: 'states', full, states: states as ToldState[], gone: gone as string[] };
}

function guardSilence(silenceMs: number, outer: AbortSignal) {
  const ending = new AbortController();
  const stop = (): void => ending.abort();
  outer.addEventListener('abort', stop, { once: true });
  if (outer.aborted) stop();
  const timer = setTimeout(stop, silenceMs);
  return {
    signal: ending.signal,
    heard: () => void timer.refresh(),
    disarm() {
      clearTimeout(timer);
      outer.removeEventListener('abort', stop);
    },
  };
}

/** Addresses of the other replicas, of the port called `material`; `own` is the name of this pod. */
export function listReplicaAddresses(slices: Iterable<KubeObject>, own: string): readonly ReplicaAddress[] {
  const addresses = new Set<ReplicaAddress>();
  for (const slice of slices as Iterable<KubeObject & Record<string, unknown>>) {
    const ports = Array.isArray(slice['ports']) ? slice['ports'].filter(isRecord) : [];
    const port = ports.find(({ name }) => name === 'material')?.['port'];
    const endpoints = Array.isArray(slice['endpoints']) ? slice['endpoints'].filter(isRecord) : [];
    for (const { addresses: all, targetRef } of endpoints) {
      if (isRecord(targetRef) && targetRef['name'] === own) continue;
      const first: unknown = Array.isArray(all) ? all[0] : undefined;
      if (typeof first !== 'string' || typeof port !== 'number') continue;
      addresses.add(`${first.includes(':') ? `[${first}]` : first}:${port}`);
    }
  }
  return [...addresses].sort();
}
