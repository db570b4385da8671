/** The effective order of a route, for `explain` and `check`: which steps run, in which order, and where they came from. */
import type { Origin, Route, Scope } from './model.ts';
import type { Branch, CompiledResponseStep, CompiledStep } from './steps.ts';

export interface EffectiveStep {
  readonly part: 'request' | 'response';
  readonly scope: Scope;
  /** `AuthPolicy shop/fleet`. */
  readonly policy: string;
  readonly generation: number;
  readonly step: string;
  readonly type: string;
  /** The source of its condition. */
  readonly when?: string;
  /** The choose that it stands in, and which of its branches: `tier when[0]`, `tier otherwise`. */
  readonly branch?: string;
  readonly sealed: boolean;
  readonly audit: boolean;
  /** S6: applied to the whole Api until its target is mended; does not count as authentication. */
  readonly widened: boolean;
  /** Headers that it would write and a sealed broader policy owns (S4). */
  readonly overridden: readonly string[];
}

export function describeEffective({ pipeline }: Route): readonly EffectiveStep[] {
  const branches = nameBranches([...pipeline.steps, ...pipeline.response.steps]);
  return [
    ...pipeline.steps.map(step => describeStep('request', step, branches)),
    ...pipeline.response.steps.map(step => describeStep('response', step, branches)),
  ];
}

type AnyStep = CompiledStep | CompiledResponseStep;
type NameBranch = (branch: Branch) => string;

function nameBranches(steps: readonly AnyStep[]): NameBranch {
  const counts = new Map(
    steps.flatMap(step => (step.type === 'choose' ? [[step.choose.choice, step.choose.conditions.length]] : [])),
  );
  return ({ choice, at }) => `${choice.name} ${at < (counts.get(choice) ?? 0) ? `when[${at}]` : 'otherwise'}`;
}

function describeStep(part: EffectiveStep['part'], step: AnyStep, nameBranch: NameBranch): EffectiveStep {
  const { origin, name, type, when, branch, widened } = step;
  const settings = step.type === 'setHeaders' ? step.setHeaders : [];
  return {
    part,
    scope: origin.scope,
    policy: `${origin.kind} ${origin.key}`,
    generation: origin.generation,
    step: name,
    type,
    sealed: origin.sealed,
    audit: origin.audit,
    widened,
    overridden: settings.filter(setting => setting.overridden).map(setting => setting.name),
    ...(when === undefined ? {} : { when: when.source }),
    ...(branch === undefined ? {} : { branch: nameBranch(branch) }),
  };
}

/** Most characters of a summary, as status takes them. */
const MOST_CHARACTERS = 1024;

/**
 * The order of a set of routes in one line, for `kubectl get -o wide`: `Cluster baseline: limit; Api fleet: caller, device
 * | answers: Api fleet: hide; Cluster baseline: hide`. Operations that differ stand apart, each group with its names.
 */
export function summarizeRoutes(routes: readonly Route[]): string {
  const groups = new Map<string, string[]>();
  const several = new Set(routes.map(({ api }) => api.key)).size > 1;
  for (const route of routes) {
    const text = summarizePipeline(route);
    const names = groups.get(text) ?? [];
    groups.set(text, names);
    names.push(`${several ? `${route.api.name}/` : ''}${route.operation ?? '*'}`);
  }
  const [only, another] = [...groups.keys()];
  if (another === undefined) return cut(only ?? '');
  return cut([...groups].map(([text, names]) => `[${[...new Set(names)].join(', ')}] ${text}`).join(' '));
}

function summarizePipeline({ pipeline }: Route): string {
  const request = summarizeSteps(pipeline.steps);
  const answers = summarizeSteps(pipeline.response.steps);
  const stance = pipeline.authenticates === 'Never' ? ' (nobody is let in: NoPolicyMatches)' : '';
  return `${request === '' ? 'no steps' : request}${stance}${answers === '' ? '' : ` | answers: ${answers}`}`;
}

/** Neighbours of one policy together; a step within a choose stands with it. */
function summarizeSteps(steps: readonly AnyStep[]): string {
  const runs: { readonly origin: Origin; readonly names: string[] }[] = [];
  for (const { origin, name, branch } of steps) {
    const last = runs.at(-1);
    const shown = branch === undefined ? name : `(${name})`;
    if (last?.origin === origin) last.names.push(shown);
    else runs.push({ origin, names: [shown] });
  }
  return runs.map(({ origin, names }) => `${nameOrigin(origin)}: ${names.join(', ')}`).join('; ');
}

const nameOrigin = ({ scope, name, audit, sealed }: Origin): string =>
  `${scope} ${name}${audit ? ' (audit)' : ''}${sealed ? '' : ' (unsealed)'}`;

const cut = (text: string): string =>
  text.length <= MOST_CHARACTERS ? text : `${text.slice(0, MOST_CHARACTERS - 1)}…`;

/** By identity (`Api shop/fleet`, `AuthPolicy shop/fleet`): the order of the routes that it has, or takes part in. */
export function summarizeEffective(routes: readonly Route[]): ReadonlyMap<string, string> {
  const byObject = new Map<string, Route[]>();
  const add = (id: string, route: Route): void => {
    const known = byObject.get(id);
    if (known === undefined) byObject.set(id, [route]);
    else known.push(route);
  };
  for (const route of routes) {
    add(`Api ${route.api.key}`, route);
    const steps: readonly AnyStep[] = [...route.pipeline.steps, ...route.pipeline.response.steps];
    for (const id of new Set(steps.map(({ origin }) => `${origin.kind} ${origin.key}`))) add(id, route);
  }
  return new Map([...byObject].map(([id, own]) => [id, summarizeRoutes(own)]));
}
