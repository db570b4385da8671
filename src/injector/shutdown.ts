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

export function delayShutdown(editor: PodEditor, { sleepSeconds, isReinvocation }: ShutdownOptions): void {
  const { containers, terminationGracePeriodSeconds: grace = DEFAULT_GRACE_SECONDS }: PodSpec = editor.pod.spec;
  // Without a grace period the containers are killed at once, whatever their hooks.
  if (sleepSeconds === 0 || grace === 0) return;
  const waiting = containers.flatMap(({ lifecycle }, index) => (lifecycle?.preStop === undefined ? [index] : []));
  if (waiting.length === 0) return;
  for (const index of waiting) {
    editor.add(['spec', 'containers', index, 'lifecycle', 'preStop'], { sleep: { seconds: sleepSeconds } });
  }
  // `add` on a member that exists replaces it (RFC 6902 section 4.1).
  if (!isReinvocation) editor.add(['spec', 'terminationGracePeriodSeconds'], grace + sleepSeconds);
}
