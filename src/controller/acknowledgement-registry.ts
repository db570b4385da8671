/** What the pods of this replica's streams enforce, and for a while those whose stream ended. */
import { applyAcknowledgement, type EnforcedState } from '../material/acknowledgement.ts';
import type { Acknowledge } from '../material/protocol.ts';
import { indexAcknowledged, type PodState, type PodStates } from './pod-states.ts';

/** Silence of this length makes a pod unknown. */
export const FORGET_MS = 90_000;

/** A pod’s state as one replica tells it to another. */
export interface ToldState {
  readonly uid: string;
  readonly version: string;
  /** Its stream is open. */
  readonly open: boolean;
  /** Milliseconds since it was heard last. */
  readonly heardMsAgo: number;
  readonly state: EnforcedState;
}

export interface PodVoice {
  /** Something came: the pod is there. */
  heard(): void;
  /**
   * `counts`: the hash is one that was sent. Else the line is remembered, since later ones build upon it, and nothing of it
   * is believed yet.
   */
  acknowledge(line: Acknowledge, counts: boolean): void;
  /** Its stream ended. What it said counts until it is forgotten. */
  close(): void;
}

export interface AcknowledgementRegistry {
  /** A stream of a pod; a later one of the same pod takes its place. */
  open(uid: string, version: string): PodVoice;
  states(): PodStates;
  /** Everything that is known, for another replica. */
  tell(): readonly ToldState[];
  tellOne(uid: string): ToldState | undefined;
  /** Told the uids of pods that said something else, or that came or went. Returns how to stop. */
  subscribe(listener: (uid: string) => void): () => void;
  /** Forgets who has been silent for too long. */
  sweep(): void;
}

interface Entry {
  readonly version: string;
  open: boolean;
  heardAt: number;
  state: EnforcedState | undefined;
  shown: PodState | undefined;
}

export function createAcknowledgementRegistry({ clock }: { readonly clock: () => number }): AcknowledgementRegistry {
  const entries = new Map<string, Entry>();
  const listeners = new Set<(uid: string) => void>();
  const announce = (uid: string): void => listeners.forEach(listener => listener(uid));

  const tell = (uid: string, { version, open, heardAt, state }: Entry): ToldState[] =>
    state === undefined ? [] : [{ uid, version, open, heardMsAgo: clock() - heardAt, state }];

  return {
    open(uid, version) {
      const before = entries.get(uid);
      // Until the new stream acknowledges, what the last one said is the best that is known.
      const entry: Entry = { version, open: true, heardAt: clock(), state: before?.state, shown: undefined };
      entries.set(uid, entry);
      let own: EnforcedState | undefined;
      const isCurrent = (): boolean => entries.get(uid) === entry;
      return {
        heard: () => void (entry.heardAt = clock()),
        acknowledge(line, counts) {
          own = applyAcknowledgement(own, line);
          if (!counts) return;
          [entry.state, entry.shown, entry.heardAt] = [own, undefined, clock()];
          if (isCurrent()) announce(uid);
        },
        close() {
          entry.open = false;
          if (isCurrent()) announce(uid);
        },
      };
    },
    states() {
      const states = new Map<string, PodState>();
      for (const [uid, entry] of entries) {
        if (entry.state === undefined) continue;
        entry.shown ??= showState(uid, entry.version, entry.state, entry.heardAt);
        states.set(uid, { ...entry.shown, heardAt: entry.open ? clock() : entry.heardAt });
      }
      return states;
    },
    tell: () => [...entries].flatMap(([uid, entry]) => tell(uid, entry)),
    tellOne(uid) {
      const entry = entries.get(uid);
      return entry === undefined ? undefined : tell(uid, entry)[0];
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    sweep() {
      for (const [uid, { open, heardAt }] of entries) {
        if (open || clock() - heardAt < FORGET_MS) continue;
        entries.delete(uid);
        announce(uid);
      }
    },
  };
}

export const showState = (uid: string, version: string, state: EnforcedState, heardAt: number): PodState => ({
  uid,
  version,
  heardAt,
  objects: indexAcknowledged(state.objects),
  issuers: state.issuers,
  certificates: state.certificates,
  appExposed: state.appExposed,
  // Another replica may be older.
  closedPorts: state.closedPorts ?? [],
  wouldDeny: state.wouldDeny,
});
