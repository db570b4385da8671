/**
 * Endpoints lag behind: for some seconds after a pod is told to end, connections still come. App containers that do not wait
 * by a hook of their own get one that sleeps, and the pod gets the time for it.
 */
import type { PodSpec } from './pod.ts';
import type { PodEditor } from './pod-editor.ts';

/** What the API server assumes. */
const DEFAULT_GRACE_SECONDS = 30;

export interface ShutdownOptions {
  /** 0: nothing is added. */
  readonly sleepSeconds: number;
  /** An earlier invocation has made the pod's grace period longer already. */
  readonly isReinvocation: boolean;
}

export interface ShutdownPlan {
  /** Indices of the app containers that get a hook. */
  readonly waiting: readonly number[];
  /** The pod's grace period as it will be. */
  readonly graceSeconds: number;
  readonly apply: (editor: PodEditor) => void;
}

export function planShutdown(spec: PodSpec, { sleepSeconds, isReinvocation }: ShutdownOptions): ShutdownPlan {
  const { containers, terminationGracePeriodSeconds: grace = DEFAULT_GRACE_SECONDS } = spec;
  // Without a grace period the containers are killed at once, whatever their hooks.
  const isDelayed = sleepSeconds > 0 && grace > 0;
  const waiting = containers.flatMap(({ lifecycle }, index) =>
    isDelayed && lifecycle?.preStop === undefined ? [index] : [],
  );
  const isLonger = waiting.length > 0 && !isReinvocation;
  const graceSeconds = isLonger ? grace + sleepSeconds : grace;
  return {
    waiting,
    graceSeconds,
    apply: editor => {
      for (const index of waiting) {
        editor.add(['spec', 'containers', index, 'lifecycle', 'preStop'], { sleep: { seconds: sleepSeconds } });
      }
      // `add` on a member that exists replaces it (RFC 6902 section 4.1).
      if (isLonger) editor.add(['spec', 'terminationGracePeriodSeconds'], graceSeconds);
    },
  };
}

const MOST_DRAIN_SECONDS = 25;
const RESERVE_SECONDS = 5;

/** How long the sidecar may wait for what is in flight once it is told to end: less than until it is killed. */
export const findDrainSeconds = (graceSeconds: number): number =>
  Math.max(1, Math.min(MOST_DRAIN_SECONDS, graceSeconds - RESERVE_SECONDS));
