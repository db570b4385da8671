/** What of the manifests applies to nothing here, and why: a forgotten namespace or label must not look like success. */
import type { InvalidObject } from '../api/object.ts';
import { quote } from '../api/words.ts';
import type { ApiObject, ApiDraft } from './apis.ts';
import { identify, identifyInvalid, type Inventory, type Labels } from './inventory.ts';
import { nameObject } from './report.ts';
import { selects } from './settle-apis.ts';

export interface IdleObject {
  /** `AuthPolicy shop/fleet`. */
  readonly object: string;
  /** What to say of it: `targets no Api of this workload`. */
  readonly why: string;
  /** What of the workload an Api does not fit; `name` is the namespace or the named port. Absent: another cause. */
  readonly misfit?: { readonly part: 'namespace' | 'labels' | 'port'; readonly name: string };
}

interface IdleContext {
  readonly inventory: Inventory;
  readonly invalid: readonly InvalidObject[];
  readonly workload: {
    readonly namespace: string;
    readonly labels: Labels;
    readonly ports?: Readonly<Record<string, number>>;
  };
  /** Identities of the policies that take part. */
  readonly active: ReadonlySet<string>;
  readonly served: readonly { readonly draft: ApiDraft }[];
}

export function listIdle({ inventory, invalid, workload, active, served }: IdleContext): readonly IdleObject[] {
  const isHere = (namespace: string): boolean => namespace === workload.namespace;
  const policies = [...inventory.all('ClusterAuthPolicy'), ...inventory.all('AuthPolicy')]
    .filter(object => !active.has(identify(object)))
    .map((object): IdleObject => {
      const elsewhere = object.kind === 'AuthPolicy' && !isHere(object.meta.namespace);
      return elsewhere
        ? { object: nameObject(object), ...describeElsewhere(object.meta.namespace, workload.namespace) }
        : { object: nameObject(object), why: 'targets no Api of this workload' };
    });
  const ids = new Set(served.map(({ draft }) => identify(draft.object)));
  const apis = inventory
    .all('Api')
    .filter(object => !ids.has(identify(object)))
    .map((object): IdleObject => ({ object: nameObject(object), ...describeApi(object, workload) }));
  const unreadable = invalid
    .filter(object => object.kind === 'Api' && isHere(object.namespace) && !ids.has(identifyInvalid(object)))
    .map((object): IdleObject => ({ object: identifyInvalid(object), why: 'is invalid and was never valid before' }));
  return [...policies, ...apis, ...unreadable];
}

type Described = Omit<IdleObject, 'object'>;

const describeElsewhere = (namespace: string, own: string): Described => ({
  why: `is in namespace ${namespace}, this workload is in ${quote(own)}`,
  misfit: { part: 'namespace', name: namespace },
});

function describeApi(object: ApiObject, { namespace, labels, ports }: IdleContext['workload']): Described {
  const { meta, spec } = object;
  if (meta.namespace !== namespace) return describeElsewhere(meta.namespace, namespace);
  if (!selects(object, labels)) {
    const [wanted, own] = [showLabels(spec.podSelector.matchLabels), showLabels(labels)];
    return { why: `has podSelector ${wanted}, which does not match ${own}`, misfit: { part: 'labels', name: '' } };
  }
  if (typeof spec.port === 'string' && !Object.hasOwn(ports ?? {}, spec.port)) {
    const why = `names the container port ${quote(spec.port)}, which this workload does not have`;
    return { why, misfit: { part: 'port', name: spec.port } };
  }
  return { why: 'is not served' };
}

function showLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  return pairs.length === 0 ? 'a workload without labels' : pairs.join(',');
}
