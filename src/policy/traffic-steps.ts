/** Steps that count (P7): from the manifest to what the evaluator runs. */
import type { ConcurrencyStep, QuotaStep, RateLimitStep } from '../api/kinds/traffic-steps.ts';
import type { Expression, Template } from './expression.ts';
import type { StepCompiler } from './step-compiler.ts';
import type { CompiledConcurrency, CompiledCount, CompiledQuota, CompiledRateLimit } from './steps.ts';

type Counting = RateLimitStep | QuotaStep;

/** What every step has that counts. */
function compileCount(
  { key: source, scope }: Pick<Counting, 'key' | 'scope'>,
  field: string,
  compiler: StepCompiler,
): CompiledCount | undefined {
  const { needs, report, counter, supporting } = compiler;
  const key: Template | undefined = compiler.text(source, 'text', `${field}.key`);
  if (scope === 'Shared') {
    needs.uses.add('sharedStore');
    if (supporting.sharedStore === undefined) {
      report.error(`${field}.scope`, {
        problem: 'is Shared, but no ClusterAuthPolicy that applies here has a sharedStore',
        fix: 'add one, or write Pod or Workload',
      });
    }
  }
  if (key === undefined) return undefined;
  needs.counters.add(counter);
  return { counter, key, scope };
}

function compileCountWhen({ countWhen }: Counting, field: string, compiler: StepCompiler): { countWhen?: Expression } {
  const expression = countWhen === undefined ? undefined : compiler.answerExpression(countWhen, `${field}.countWhen`);
  return expression === undefined ? {} : { countWhen: expression };
}

export function compileRateLimit(
  step: RateLimitStep,
  field: string,
  compiler: StepCompiler,
): CompiledRateLimit | undefined {
  const count = compileCount(step, field, compiler);
  const { calls, period, maxKeys, headers } = step;
  const when = compileCountWhen(step, field, compiler);
  return count && { ...count, ...when, calls, periodMs: period, maxKeys, headers };
}

export function compileQuota(step: QuotaStep, field: string, compiler: StepCompiler): CompiledQuota | undefined {
  const count = compileCount(step, field, compiler);
  const { calls, period, maxKeys } = step;
  const when = compileCountWhen(step, field, compiler);
  return count && { ...count, ...when, calls, periodMs: period, maxKeys };
}

export function compileConcurrency(
  step: ConcurrencyStep,
  field: string,
  compiler: StepCompiler,
): CompiledConcurrency | undefined {
  const count = compileCount(step, field, compiler);
  return count && { ...count, max: step.max };
}
