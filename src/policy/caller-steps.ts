/** Steps that know callers by a shared secret: from the manifest to what the evaluator runs. */
import type { HmacSignatureStep, SubscriptionStep } from '../api/kinds/caller-steps.ts';
import { ID, TIMESTAMP } from '../api/signed-payload.ts';
import { readKeyRef } from './references.ts';
import { readScheme } from './signature-schemes.ts';
import { SHARES_SECRET, type StepCompiler } from './step-compiler.ts';
import type { CompiledSignature, CompiledSubscription } from './steps.ts';

export function compileSubscription(
  { header, query }: SubscriptionStep,
  { needs }: StepCompiler,
): CompiledSubscription {
  needs.uses.add('subscriptions');
  const inHeader = { in: 'header', name: header.toLowerCase() } as const;
  return { from: query === undefined ? [inHeader] : [inHeader, { in: 'query', name: query }] };
}

export function compileSignature(
  step: HmacSignatureStep,
  field: string,
  compiler: StepCompiler,
): CompiledSignature | undefined {
  const { namespace, lookup, report, policy } = compiler;
  const scheme = readScheme(step);
  if (scheme === undefined) return undefined;
  // `$${timestamp}` is text: the time would not be signed.
  const unsigned =
    (scheme.timestampHeader !== undefined && !scheme.payload.includes(TIMESTAMP)) ||
    (scheme.idHeader !== undefined && !scheme.payload.includes(ID));
  if (unsigned)
    report.error(`${field}.payload`, {
      problem: 'does not sign timestampHeader or idHeader',
      fix: 'write ${timestamp} and ${id}',
    });
  const keys = step.keys.map(({ secretKeyRef }, index) => {
    const at = `${field}.keys[${index}]`;
    if (policy.kind === 'ClusterAuthPolicy' && !policy.spec.shareSecrets) {
      report.error(`${at}.secretKeyRef`, SHARES_SECRET);
    }
    readKeyRef({ secretKeyRef }, namespace, lookup, at, report);
    return { secret: `${secretKeyRef.namespace ?? namespace}/${secretKeyRef.name}`, dataKey: secretKeyRef.key };
  });
  if (step.rejectReplays) compiler.needs.counters.add(compiler.counter);
  return {
    scheme,
    id: compiler.label,
    keys,
    toleranceMs: step.tolerance,
    maxBody: step.maxBody,
    ...(step.rejectReplays ? { memory: compiler.counter } : {}),
  };
}
