/** Acknowledgements as differences: the first of a stream says everything, later ones what changed, in bounded lines. */
import { identify } from '../policy/inventory.ts';
import { objectKey } from '../api/object.ts';
import { BOUNDS, type Acknowledge, type AcknowledgedObject } from './protocol.ts';

/** What a sidecar has in force, whole. */
export type EnforcedState = Omit<Acknowledge, 'type' | 'full' | 'gone'>;

export const identifyAcknowledged = ({ kind, namespace, name }: AcknowledgedObject): string =>
  identify({ kind, key: objectKey(namespace, name) });

export interface AcknowledgementWriter {
  /** The lines that bring the other side from what was said before to this; none when nothing changed. */
  next(state: EnforcedState): readonly Acknowledge[];
}

/** One for each stream. */
export function createAcknowledgementWriter(): AcknowledgementWriter {
  let said: ReadonlyMap<string, string> | undefined;
  let rest = '';
  return {
    next: state => {
      const { objects, ...others } = state;
      const now = new Map(objects.map(object => [identifyAcknowledged(object), JSON.stringify(object)]));
      const before = said;
      const changed = objects.filter(object => {
        const id = identifyAcknowledged(object);
        return before?.get(id) !== now.get(id);
      });
      const gone = [...(before?.keys() ?? [])].filter(id => !now.has(id));
      const othersNow = JSON.stringify(others);
      const isSame = before !== undefined && changed.length === 0 && gone.length === 0 && othersNow === rest;
      [said, rest] = [now, othersNow];
      return isSame
        ? []
        : split({ type: 'acknowledge', ...others, full: before === undefined, objects: changed, gone });
    },
  };
}

function split(whole: Acknowledge): readonly Acknowledge[] {
  const most = BOUNDS.objectsInAcknowledgement;
  const lines: Acknowledge[] = [];
  for (let at = 0; at === 0 || at < Math.max(whole.objects.length, whole.gone.length); at += most) {
    const objects = whole.objects.slice(at, at + most);
    lines.push({ ...whole, full: whole.full && at === 0, objects, gone: whole.gone.slice(at, at + most) });
  }
  return lines;
}

/** What the other side holds after such a line; `state` is what it held before. */
export function applyAcknowledgement(state: EnforcedState | undefined, line: Acknowledge): EnforcedState {
  const { full, gone, objects, hash, issuers, certificates, appExposed, closedPorts, wouldDeny } = line;
  const known = new Map(full ? [] : (state?.objects ?? []).map(object => [identifyAcknowledged(object), object]));
  for (const id of gone) known.delete(id);
  for (const object of objects) known.set(identifyAcknowledged(object), object);
  const now = { hash, objects: [...known.values()], issuers, certificates, appExposed, wouldDeny };
  return closedPorts === undefined ? now : { ...now, closedPorts };
}
