/** Compiles the texts of one step at its place: what it may read there (E7), and what only some routes have (E10). */
import type { RequestStep } from '../api/kinds/steps.ts';
import type { ObjectKey } from '../api/object.ts';
import {
  createOpenEnvironment,
  createPolicyEnvironment,
  shapeStep,
  type Environment,
  type Members,
  type Shape,
} from './cel-environment.ts';
import { compileExpression, type CompiledExpression, type Expected } from './cel.ts';
import type { Problem, Reference } from './cel-inspect.ts';
import type { Expression, Template } from './expression.ts';
import type { FlatStep } from './flat-steps.ts';
import type { Lookup } from './references.ts';
import type { ObjectReport } from './report.ts';
import type { PolicyObject } from './scopes.ts';
import type { Supporting } from './supporting.ts';
import { compileDictionary, compilePairs, compileTemplate, type TextPlace } from './template.ts';

/** What the routes of a policy have in common, and what only some of them have (E10). */
export interface Surroundings {
  readonly params: ReadonlySet<string>;
  /** Parameters that every route has. */
  readonly commonParams: ReadonlySet<string>;
  /** Steps of broader policies that run before this one's, in some route and in every route (E7). */
  readonly steps: Members;
  readonly commonSteps: ReadonlySet<string>;
  readonly vars: ReadonlySet<string>;
  readonly commonVars: ReadonlySet<string>;
}

export interface BodyContext {
  readonly supporting: Supporting;
  readonly lookup: Lookup;
  /** Absent: the policy applies to nothing that is known, so any parameter and step may exist where it will. */
  readonly surroundings: Surroundings | undefined;
}

export interface Needs {
  readonly issuers: Set<ObjectKey>;
  readonly trusts: Set<ObjectKey>;
  readonly services: Set<ObjectKey>;
  readonly credentials: Set<ObjectKey>;
  /** What only some steps need of the namespace. */
  readonly uses: Set<'subscriptions' | 'sharedStore'>;
  /** Names of what its steps count and remember. */
  readonly counters: Set<string>;
}

/** A text of a step that fails where nobody is authenticated yet. */
export interface CallerRead {
  /** Name of the step. */
  readonly step: string;
  readonly field: string;
}

export interface BodyScene {
  readonly policy: PolicyObject;
  /** Of its request part. */
  readonly steps: readonly FlatStep<RequestStep>[];
  readonly context: BodyContext;
  readonly report: ObjectReport;
  readonly vars: Variables;
  readonly needs: Needs;
  /** Filled while steps are compiled. */
  readonly callerReads: CallerRead[];
}

export interface Variables {
  readonly known: Readonly<Record<string, string>>;
  /** Declared, but the Secret or ConfigMap is missing: what reads it cannot run (S6). */
  readonly missing: ReadonlySet<string>;
}

/** Compiles texts of one step at its place, and reports what they read that only some routes have. */
export interface StepCompiler {
  readonly policy: PolicyObject;
  readonly namespace: string;
  /** `policy/step`. */
  readonly label: string;
  /** Names what the step counts and remembers, the same over reloads: `AuthPolicy shop/orders/rate` (P7). */
  readonly counter: string;
  readonly lookup: Lookup;
  readonly supporting: Supporting;
  readonly needs: Needs;
  readonly report: ObjectReport;
  /** Of the step: `spec.request[0]`. */
  readonly field: string;
  readonly expression: (source: string, field: string, expected?: Expected) => Expression | undefined;
  /** Of what is known when the answer is there: `response` too. Type bool. */
  readonly answerExpression: (source: string, field: string) => Expression | undefined;
  readonly text: (source: string, place: TextPlace, field: string) => Template | undefined;
  readonly members: (
    kind: 'pairs' | 'dictionary',
    entries: Readonly<Record<string, string>>,
    field: string,
  ) => Template | undefined;
}

/** What an expression of the step at `index` may read: earlier steps of the same policy, and what is around it. */
export function placeOf(scene: BodyScene, index: number, response: boolean): Environment {
  const { context, vars } = scene;
  const { surroundings } = context;
  if (surroundings === undefined) return createOpenEnvironment(response);
  const steps = new Map<string, Shape>(surroundings.steps);
  const reasons = new Map<string, string>();
  const names = new Set([...surroundings.vars, ...Object.keys(vars.known), ...vars.missing]);
  for (const [at, { step }] of scene.steps.entries()) {
    const set = Object.keys(step.setVariables ?? {});
    if (at < index) {
      steps.set(step.name, shapeStep(typeOf(step)));
      set.forEach(name => names.add(name));
    } else {
      for (const name of set) reasons.set(`vars.${name}`, at === index ? 'is set here' : 'is set later in this policy');
      // A step of this policy hides a broader one of the same name, before it ran too: names mean one thing in a policy.
      steps.delete(step.name);
      reasons.set(`steps.${step.name}`, at === index ? 'is this step itself' : 'runs later in this policy');
    }
  }
  return createPolicyEnvironment({ params: surroundings.params, steps, vars: names, response, reasons });
}

export const typeOf = (step: RequestStep): string =>
  Object.keys(step).find(key => key !== 'name' && key !== 'when') ?? '';

/** What a policy is told that would bring a Secret of its own to tenants (security rule 8). */
export const SHARES_SECRET: Problem = {
  problem: 'would bring a Secret of the cluster policy to tenants’ sidecars',
  fix: 'set shareSecrets: true if that is meant',
};

export function createStepCompiler(
  field: string,
  environment: Environment,
  scene: BodyScene,
  reads: Reference[],
  own?: { readonly name: string; readonly whenAnswered: () => Environment },
): StepCompiler {
  const { report, policy, context } = scene;
  const accept = <T extends { readonly references: readonly Reference[]; readonly demandsCaller: boolean }>(
    compiled: T | Problem,
    at: string,
    answered = false,
  ): T | undefined => {
    if ('problem' in compiled) {
      report.error(at, compiled);
      return undefined;
    }
    reads.push(...compiled.references);
    if (compiled.demandsCaller && own !== undefined && !answered) scene.callerReads.push({ step: own.name, field: at });
    warnOfGaps(compiled.references, at, scene);
    return compiled;
  };
  // A policy that is tried out counts for itself: enforced, it begins afresh (S8).
  const audit = policy.spec.mode === 'Audit' ? 'Audit ' : '';
  return {
    policy,
    label: `${policy.meta.name}/${own?.name ?? ''}`,
    counter: `${audit}${policy.kind} ${policy.key}/${own?.name ?? ''}`,
    lookup: context.lookup,
    namespace: policy.meta.namespace,
    supporting: context.supporting,
    needs: scene.needs,
    report,
    field,
    expression: (source, at, expected = 'bool'): CompiledExpression | undefined =>
      accept(compileExpression(source, environment, expected), at),
    answerExpression: (source, at) =>
      accept(compileExpression(source, own?.whenAnswered() ?? environment, 'bool'), at, true),
    text: (source, place, at) => accept(compileTemplate(source, place, environment), at),
    members: (kind, entries, at) =>
      accept((kind === 'pairs' ? compilePairs : compileDictionary)(entries, environment), at),
  };
}

/** E10: what some targets lack is a warning. */
function warnOfGaps(
  references: readonly Reference[],
  field: string,
  { context, steps, vars, report }: BodyScene,
): void {
  const { surroundings } = context;
  if (surroundings === undefined) return;
  const own = new Set(steps.map(({ step }) => step.name));
  const set = new Set(steps.flatMap(({ step }) => Object.keys(step.setVariables ?? {})));
  for (const [root = '', name] of references) {
    if (name === undefined) continue;
    const lacking =
      (root === 'params' && !surroundings.commonParams.has(name)) ||
      (root === 'steps' && !own.has(name) && !surroundings.commonSteps.has(name)) ||
      (root === 'vars' &&
        !(name in vars.known) &&
        !vars.missing.has(name) &&
        !set.has(name) &&
        !surroundings.commonVars.has(name));
    if (!lacking) continue;
    report.warn(field, {
      problem: `reads ${root}.${name}, which some targets lack`,
      fix: field.includes('.deviceAuth.')
        ? 'devices are refused there; if that is not meant, narrow the targets'
        : `test has(${root}.${name}) first, or narrow the targets`,
    });
  }
}
