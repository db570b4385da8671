/** Which Apis are in force (S6), and which of them select this workload. */
import { draftApi, type ApiDraft, type ApiObject } from './apis.ts';
import { identify, matchLabels, type Inventory, type Labels } from './inventory.ts';
import type { Lookup } from './references.ts';
import type { LastApi, Remembered } from './remembered.ts';
import { reportOn, type Report } from './report.ts';
import { shadowApi } from './shadow-api.ts';
import type { Supporting } from './supporting.ts';

interface SettleContext {
  readonly workload: {
    readonly namespace: string;
    readonly labels: Labels;
    readonly ports?: Readonly<Record<string, number>>;
  };
  readonly lookup: Lookup;
  readonly inventory: Inventory;
  readonly supporting: Supporting;
  readonly report: Report;
  readonly remembered: Remembered;
  readonly invalidIds: ReadonlySet<string>;
}

export interface SettledApis {
  /** All valid Apis of the namespace, last good ones included. */
  readonly known: readonly ApiDraft[];
  /** Those whose podSelector selects this workload. */
  readonly selected: readonly ApiDraft[];
  /** Invalid ones that select this workload and have no last good generation. */
  readonly shadows: readonly ApiDraft[];
  /** Identities of Apis that passed in this compilation. */
  readonly fresh: ReadonlySet<string>;
  readonly kept: Remembered['apis'];
  readonly borrowed: readonly Supporting[];
  /** An invalid one selects this workload, and nobody knows on which port. */
  readonly unplaced: boolean;
}

/** Each Api of the namespace: as it is, as it last was when it was good, or as a shadow that answers 503 (S6). */
export function settleApis(context: SettleContext): SettledApis {
  const { workload, lookup, inventory, supporting, report, remembered, invalidIds } = context;
  const ports = workload.ports ?? {};
  const known: ApiDraft[] = [];
  const shadows: ApiDraft[] = [];
  const fresh = new Set<string>();
  const kept = new Map<string, LastApi>();
  let unplaced = false;
  for (const object of inventory.all('Api').filter(({ meta }) => meta.namespace === workload.namespace)) {
    const id = identify(object);
    // A named port of another workload cannot be resolved here, and need not be.
    const foreign = typeof object.spec.port === 'string' && !selects(object, workload.labels);
    const own = foreign ? { ...ports, [object.spec.port]: 0 } : ports;
    const draft = draftApi(object, { supporting, lookup, ports: own }, reportOn(report, object));
    const last = remembered.apis.get(id);
    if (draft !== undefined) {
      known.push(draft);
      fresh.add(id);
    } else if (last !== undefined) {
      known.push(last.draft);
      kept.set(id, last);
    } else {
      const shadow = shadowApi(object, ports);
      shadows.push(...shadow);
      unplaced ||= shadow.length === 0 && selects(object, workload.labels);
    }
  }
  for (const [id, last] of remembered.apis) {
    if (!invalidIds.has(id) || fresh.has(id) || kept.has(id)) continue;
    known.push(last.draft);
    kept.set(id, last);
  }
  return {
    known,
    selected: known.filter(({ object }) => selects(object, workload.labels)),
    shadows: shadows.filter(({ object }) => selects(object, workload.labels)),
    fresh,
    kept,
    unplaced,
    borrowed: [...kept.values()].map(({ plans }) => plans),
  };
}

export const selects = ({ spec }: ApiObject, labels: Labels): boolean =>
  matchLabels(spec.podSelector.matchLabels, labels);
