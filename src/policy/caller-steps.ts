/** Steps that know callers by a shared secret: from the manifest to what the evaluator runs. */
import type { SubscriptionStep } from '../api/kinds/caller-steps.ts';
import type { StepCompiler } from './step-compiler.ts';
import type { CompiledSubscription } from './steps.ts';

export function compileSubscription(
  { header, query }: SubscriptionStep,
  { needs }: StepCompiler,
): CompiledSubscription {
  needs.uses.add('subscriptions');
  const inHeader = { in: 'header', name: header.toLowerCase() } as const;
  return { from: query === undefined ? [inHeader] : [inHeader, { in: 'query', name: query }] };
}
