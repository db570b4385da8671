/** Groups of routes: the operations of an Api to which the same policies apply, with the policies in effective order. */
import type { ApiDraft } from './apis.ts';
import { shapeStep, type Members, type Shape } from './cel-environment.ts';
import { flattenRequest } from './flat-steps.ts';
import { isBroader } from './in-force.ts';
import { typeOf, type Surroundings } from './step-compiler.ts';
import type { Scope } from './model.ts';
import {
  indexOperationTargets,
  orderPolicies,
  participate,
  sortParticipations,
  type Participation,
  type PolicyObject,
  type Targets,
} from './scopes.ts';

export interface Group {
  readonly api: ApiDraft;
  /** By effective order (S2). */
  readonly ordered: readonly Participation[];
  /** All that apply, those included whose request steps an `inherit: None` leaves out. */
  readonly all: readonly Participation[];
  /** Operation names; undefined is the rest of the Api (M1). */
  readonly operations: readonly (string | undefined)[];
  /** Parameters that some and that every operation of it has. */
  readonly params: Shared;
}

interface Shared {
  readonly some: ReadonlySet<string>;
  readonly every: ReadonlySet<string>;
}

export function createGroups(
  apis: readonly ApiDraft[],
  targets: readonly Targets[],
  isSealed: (targets: Targets) => boolean,
): readonly Group[] {
  return apis.flatMap(api => groupApi(api, targets, isSealed));
}

function groupApi(
  api: ApiDraft,
  targets: readonly Targets[],
  isSealed: (targets: Targets) => boolean,
): readonly Group[] {
  const { meta } = api.object;
  const names = api.operations.map(operation => operation.name);
  const identity = { name: meta.name, labels: meta.labels, operations: new Set(names) };
  const wide = targets
    .map(target => participate(target, identity))
    .filter(participation => participation !== undefined);
  const narrow = indexOperationTargets(targets, identity);
  const parameters = new Map(api.operations.map(({ name, template }) => [name, new Set(template.parameters)]));
  const shared = [...names.filter(name => !narrow.has(name)), ...(api.servesRest ? [undefined] : [])];
  const create = (operation: string | undefined, operations: readonly (string | undefined)[]): Group => {
    const own = operation === undefined ? [] : (narrow.get(operation) ?? []);
    const all = [...wide, ...own];
    const params = combine(
      operations.map(name => (name === undefined ? undefined : parameters.get(name)) ?? new Set()),
    );
    return { api, all: sortParticipations(all), ordered: orderPolicies(all, isSealed), operations, params };
  };
  const own = names.filter(name => narrow.has(name)).map(name => create(name, [name]));
  return shared.length === 0 ? own : [create(undefined, shared), ...own];
}

/** What surrounds a policy in the groups that it takes part in; undefined when there are none. */
export function findSurroundings(
  policy: Targets,
  own: readonly { readonly group: Group; readonly viewOf: ViewOf }[],
): Surroundings | undefined {
  if (own.length === 0) return undefined;
  const seen = own.map(({ viewOf }) => viewOf(policy));
  const steps = combine(seen.map(({ steps: names }) => new Set(names.keys())));
  const vars = combine(seen.map(({ vars: names }) => names));
  return {
    params: combine(own.map(({ group }) => group.params.some)).some,
    commonParams: combine(own.map(({ group }) => group.params.every)).every,
    steps: mergeShapes(seen.map(({ steps: members }) => members)),
    commonSteps: steps.every,
    vars: vars.some,
    commonVars: vars.every,
  };
}

function combine(sets: readonly ReadonlySet<string>[]): Shared {
  const some = new Set(sets.flatMap(set => [...set]));
  return { some, every: new Set([...some].filter(name => sets.every(set => set.has(name)))) };
}

interface View {
  readonly steps: Members;
  readonly vars: ReadonlySet<string>;
}

/** What a policy of a group sees of its broader ones. */
export type ViewOf = (policy: Targets) => View;

interface Giver {
  readonly object: PolicyObject;
  readonly at: number;
}

const NO_VIEW: View = { steps: new Map(), vars: new Set() };

/**
 * E7: what broader policies give. Audit policies keep theirs to themselves (S8). Policies of one scope with the same
 * broader ones before them share a view, since thousands may take part in one group.
 */
export function createViews({ ordered, all }: Group, objectOf: (targets: Targets) => PolicyObject | undefined): ViewOf {
  const places = new Map(ordered.map(({ targets }, at) => [targets.id, at]));
  const scopes = new Map(all.map(({ targets, scope }) => [targets.id, scope]));
  const givers = new Map<string, readonly Giver[]>();
  const views = new Map<string, View>();
  return ({ id }) => {
    const scope = scopes.get(id);
    if (scope === undefined) return NO_VIEW;
    // Left out by an `inherit: None`: its response part still sees variables, of all that apply.
    const at = places.get(id) ?? -1;
    const from = `${scope} ${at < 0 ? 'all' : 'ordered'}`;
    const broader = getOrMake(givers, from, () => listGivers(at < 0 ? all : ordered, scope, objectOf));
    const before = broader.filter(giver => giver.at < at).length;
    return getOrMake(views, `${from} ${before}`, () => look(broader, before));
  };
}

function getOrMake<T>(known: Map<string, T>, id: string, make: () => T): T {
  const found = known.get(id) ?? make();
  known.set(id, found);
  return found;
}

const listGivers = (
  participations: readonly Participation[],
  scope: Scope,
  objectOf: (targets: Targets) => PolicyObject | undefined,
): readonly Giver[] =>
  participations.flatMap((other, at) => {
    const object = isBroader(other.scope, scope) ? objectOf(other.targets) : undefined;
    return object?.spec.mode === 'Enforce' ? [{ object, at }] : [];
  });

/** Variables of all, steps only of those that run before. */
function look(givers: readonly Giver[], before: number): View {
  const steps = new Map<string, Shape>();
  const vars = new Set<string>();
  for (const [index, { object }] of givers.entries()) {
    Object.keys(object.spec.variables).forEach(name => vars.add(name));
    if (index >= before) continue;
    for (const { step } of flattenRequest(object.spec.request)) {
      steps.set(step.name, shapeStep(typeOf(step)));
      Object.keys(step.setVariables ?? {}).forEach(name => vars.add(name));
    }
  }
  return { steps, vars };
}

/** A name may mean steps of different types on different routes: every member that one of them has. */
function mergeShapes(views: readonly Members[]): Members {
  const merged = new Map<string, Map<string, Shape>>();
  for (const view of views) {
    for (const [name, shape] of view) {
      const members = merged.get(name) ?? new Map<string, Shape>();
      if (typeof shape !== 'string') for (const [member, type] of shape) members.set(member, type);
      merged.set(name, members);
    }
  }
  return merged;
}
