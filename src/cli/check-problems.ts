/** All problems of a set of manifests: those of reading, those of every workload's policies, those of material. */
import type { SallyportObject } from '../api/kinds/index.ts';
import type { Violation } from '../api/violation.ts';
import { createLookup, type Material } from '../material/material.ts';
import { compileSnapshot } from '../policy/compile.ts';
import type { Resources } from '../sources/source.ts';
import { assumePorts } from '../policy-tests/assumed-ports.ts';
import { findTestProblems } from '../policy-tests/test-references.ts';
import { checkMaterial, type Soon } from './check-material.ts';
import { findClosedRoutes, mayBeLetIn } from './check-routes.ts';

export interface CheckOptions {
  /** Milliseconds since the epoch: what certificates are compared with. */
  readonly now: number;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** What a live cluster knows; absent: manifests are all there is. */
  readonly live?: LiveFacts;
}

export interface LiveFacts {
  /** Pods as they are, one for each sort, and pods as Apis without any want them. */
  readonly workloads: readonly Workload[];
  /** What references lead to for the compiler: entries that may not be read count as there. */
  readonly material: Material;
  /** `Secret shop/tls`, or `AuthPolicy *` for all of a kind: what is there and could not be read, or may be there. */
  readonly unread: ReadonlySet<string>;
}

/** How LiveFacts.unread names all objects of a kind. */
export const everyOf = (kind: string): string => `${kind} *`;

export interface Workload {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Numbers of named container ports; absent: each name is taken for one. */
  readonly ports?: Readonly<Record<string, number>>;
}

type Labels = Readonly<Record<string, string>>;

/** Errors first, each part by file, line and field. */
export function collectProblems(resources: Resources, options: CheckOptions): readonly Violation[] {
  const { live } = options;
  const workloads = live?.workloads ?? findWorkloads(resources.objects, options);
  const compiled = workloads.flatMap(workload => compileFor(workload, resources, live));
  const refused = new Set([
    ...resources.violations.filter(isError).map(({ object }) => object),
    ...(live?.unread ?? []),
  ]);
  const found = [
    ...resources.violations,
    ...compiled.filter(violation => !followsFrom(violation, refused)),
    ...checkMaterial(resources, options.now, live === undefined ? undefined : SOON),
    ...resources.objects.flatMap(object =>
      object.kind === 'PolicyTest' ? findTestProblems(object, resources.objects) : [],
    ),
  ];
  return sortProblems(found);
}

/** Errors first, each once. */
export function sortProblems(found: readonly Violation[]): readonly Violation[] {
  const unique = new Map(found.map(violation => [JSON.stringify(violation), violation]));
  return [...unique.values()].sort(compareViolations);
}

/** In a cluster certificates are renewed by somebody: whoever is this late needs to be looked at. */
const SOON: Soon = { ofLife: 0.25, atMostMs: 30 * 86_400_000, ofListMs: 86_400_000 };

/** One workload for each podSelector of an Api; a namespace without Apis is looked at once, for its policies. */
function findWorkloads(objects: readonly SallyportObject[], { namespace, labels }: CheckOptions): readonly Workload[] {
  const workloads = new Map<string, Workload>();
  const add = (workload: Workload): unknown => workloads.set(JSON.stringify(workload), workload);
  const apis = objects.flatMap(object => (object.kind === 'Api' ? [object] : []));
  const all = objects.map(object => object.meta.namespace).filter(name => name !== '');
  const namespaces = namespace !== undefined ? [namespace] : all.length > 0 ? [...new Set(all)] : ['default'];
  for (const name of namespaces) {
    const own = apis.filter(api => api.meta.namespace === name);
    if (labels !== undefined || own.length === 0) add({ namespace: name, labels: labels ?? {} });
    else for (const api of own) add({ namespace: name, labels: api.spec.podSelector.matchLabels });
  }
  return [...workloads.values()];
}

function compileFor(workload: Workload, resources: Resources, live: LiveFacts | undefined): readonly Violation[] {
  const { objects, invalid, namespaces, hash } = resources;
  const known = namespaces.get(workload.namespace);
  const namespaceLabels = known ?? assumeLabels(objects);
  const { snapshot } = compileSnapshot({
    objects,
    invalid,
    lookup: createLookup(live?.material ?? resources.material),
    workload: { ...workload, namespaceLabels, ports: workload.ports ?? assumePorts(objects) },
    generation: 1,
    hash,
    source: live === undefined ? 'files' : 'kubernetes',
  });
  const isSure = !lacksPolicies(resources, live) && (known !== undefined || !mayBeLetIn(objects, namespaceLabels));
  return isSure ? [...snapshot.violations, ...findClosedRoutes(snapshot, objects)] : snapshot.violations;
}

/** Whether there may be policies that could not be read: a file with broken YAML, a kind that one may not list. */
const lacksPolicies = ({ violations }: Resources, live: LiveFacts | undefined): boolean =>
  violations.some(violation => isError(violation) && violation.object === '') ||
  ['AuthPolicy', 'ClusterAuthPolicy'].some(kind => live?.unread.has(everyOf(kind)) === true);

/** A namespace that the manifests do not hold is taken for one that cluster policies select, so that they are checked. */
function assumeLabels(objects: readonly SallyportObject[]): Labels {
  const selectors = objects.map(({ kind, spec }) =>
    kind === 'ClusterAuthPolicy' ? spec.namespaceSelector : undefined,
  );
  return Object.assign(Object.create(null) as object, ...selectors.map(selector => selector?.matchLabels)) as Labels;
}

function compareViolations(a: Violation, b: Violation): number {
  return (
    rank(a) - rank(b) ||
    compareText(a.position?.file ?? '', b.position?.file ?? '') ||
    (a.position === undefined && b.position === undefined ? compareText(a.object, b.object) : 0) ||
    (a.position?.line ?? 0) - (b.position?.line ?? 0) ||
    compareText(a.field, b.field)
  );
}

const isError = ({ severity }: Violation): boolean => severity === 'error';

/** Whether a reference leads nowhere only because the text of what it names was refused, which is reported there. */
function followsFrom({ object, problem }: Violation, refused: ReadonlySet<string>): boolean {
  const [, kind, name] = /\bthe ([A-Za-z]+) "([^"]+)", which (?:is invalid|does not exist)/.exec(problem) ?? [];
  if (kind === undefined || name === undefined) return false;
  const namespace = /^[A-Za-z]+ ([^/]+)\//.exec(object)?.[1] ?? '';
  return refused.has(`${kind} ${name}`) || refused.has(`${kind} ${namespace}/${name}`);
}

const rank = ({ severity }: Violation): number => (severity === 'error' ? 0 : 1);
const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
