/** What a draft becomes: resources for the compiler, lines for the log, sentences for people. */
import type { Log } from '../telemetry/telemetry.ts';
import { toMaterial, type MaterialData } from './controller-material.ts';
import type { Draft } from './draft.ts';
import { describeKept, type Resources } from './source.ts';

export function toResources(draft: Draft, data: MaterialData, namespace: string): Resources {
  const { objects, invalid, kept, hash, violations, labels, namespaceLabels } = draft;
  const namespaces = new Map(namespaceLabels === undefined ? [] : [[namespace, namespaceLabels]]);
  return { complete: true, objects, invalid, kept, labels, namespaces, hash, violations, material: toMaterial(data) };
}

/** Logs each problem once, and each set that differs from `hash`, which is in force. */
export function createDraftLog(log: Log): (draft: Draft, hash: string | undefined) => void {
  let reported: ReadonlySet<string> = new Set();
  return (draft, inForce) => {
    const before = reported;
    reported = new Set(draft.violations.map(violation => JSON.stringify(violation)));
    for (const violation of draft.violations) {
      if (before.has(JSON.stringify(violation))) continue;
      const { severity, object, field, problem, fix } = violation;
      if (severity === 'error') log.error({ object, field, problem, fix }, 'configuration refused');
      else log.warn({ object, field, problem, fix }, 'configuration questionable');
    }
    const { objects, invalid, kept, hash } = draft;
    if (hash === inForce) return;
    const counts = { objects: objects.length, invalid: invalid.length, hash };
    if (kept.length === 0) log.info(counts, 'configuration read');
    else log.info({ ...counts, kept }, `configuration read, ${describeKept(kept.length)}`);
  };
}

const MOST_NAMED = 5;

export function describeMissing(missing: readonly string[], controllerProblem: string | undefined): string {
  const more = missing.length > MOST_NAMED ? ` and ${missing.length - MOST_NAMED} more` : '';
  const why = controllerProblem === undefined ? '' : ` (${controllerProblem})`;
  return `ControllerUnavailable: waiting for ${missing.slice(0, MOST_NAMED).join(', ')}${more}${why}`;
}
