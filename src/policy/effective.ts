/** The effective order of a route, for `explain` and `check`: which steps run, in which order, and where they came from. */
import type { Route, Scope } from './model.ts';
import type { CompiledResponseStep, CompiledStep } from './steps.ts';

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
  readonly sealed: boolean;
  readonly audit: boolean;
  /** S6: applied to the whole Api until its target is mended; does not count as authentication. */
  readonly widened: boolean;
  /** Headers that it would write and a sealed broader policy owns (S4). */
  readonly overridden: readonly string[];
}

export function describeEffective({ pipeline }: Route): readonly EffectiveStep[] {
  return [
    ...pipeline.steps.map(step => describeStep('request', step)),
    ...pipeline.response.steps.map(step => describeStep('response', step)),
  ];
}

function describeStep(part: EffectiveStep['part'], step: CompiledStep | CompiledResponseStep): EffectiveStep {
  const { origin, name, type, when, widened } = step;
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
  };
}
