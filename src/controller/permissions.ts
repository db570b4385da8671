/** What exists and yet reaches no sidecar: Secrets of cluster policies that do not share them, Secrets without the label. */
import type { SallyportObject } from '../api/kinds/index.ts';
import { identify } from '../policy/inventory.ts';
import { listReferences, type Reference } from '../material/references.ts';
import type { NamedData } from './named-data.ts';

/** The label by which its owner lets a Secret be handed out, where the installation asks for it. */
export const USE_LABEL = 'sallyport.dev/use';

export interface PermissionContext {
  /** By identity, of any namespace. */
  readonly find: (id: string) => SallyportObject | undefined;
  readonly data: NamedData;
  readonly requireLabel: boolean;
}

/** As sentences, the field first; empty: everything may be used. */
export function listForbidden(object: SallyportObject, context: PermissionContext): readonly string[] {
  const references = listReferences(object);
  const unlabelled = references.filter(reference => isUnlabelled(reference, context));
  const labels = unlabelled.map(
    ({ field, key }) => `${field}: the Secret ${key} is not labelled ${USE_LABEL}, so no sidecar gets it; label it`,
  );
  if (object.kind !== 'ClusterAuthPolicy' || object.spec.shareSecrets) return labels;
  const unshared = references.flatMap(reference => listUnshared(reference, context));
  return [...labels, ...unshared];
}

function isUnlabelled({ kind, key }: Reference, { data, requireLabel }: PermissionContext): boolean {
  if (!requireLabel || kind !== 'Secret') return false;
  return data.find('Secret', key)?.released === false;
}

/** Secrets that an object needs on behalf of a cluster policy; those that it names itself the parser refuses. */
function listUnshared(from: Reference, { find }: PermissionContext): readonly string[] {
  const seen = new Set<string>();
  const sentences: string[] = [];
  const follow = (reference: Reference): void => {
    const id = identify(reference);
    const object = seen.has(id) ? undefined : find(id);
    seen.add(id);
    for (const next of object === undefined ? [] : listReferences(object)) {
      if (next.kind === 'ConfigMap') continue;
      if (next.kind !== 'Secret') follow(next);
      else {
        const what = `${id} needs the Secret ${next.key}, which reaches no sidecar on behalf of this policy`;
        sentences.push(`${from.field}: ${what}; set shareSecrets: true if that is meant`);
      }
    }
  };
  if (from.kind !== 'Secret' && from.kind !== 'ConfigMap') follow(from);
  return sentences;
}
