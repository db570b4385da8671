/** Compiles expressions: parsed and type-checked by the CEL library, inspected and evaluated here, at bounded cost. */
import { ParseError, type ASTNode } from '@marcbachmann/cel-js';
import type { Environment } from './cel-environment.ts';
import { demandsCaller } from './cel-demands.ts';
import { inspect, type Problem, type Reference } from './cel-inspect.ts';
import { compileNode, type Run } from './cel-program.ts';
import { BUDGET, charge, fail } from './cel-values.ts';
import { SHARED_METER, type Bindings, type Expression } from './expression.ts';

export type Expected = 'bool' | 'text';

export interface CompiledExpression extends Expression {
  /** Everything it reads by a name known at load: rules E7 and E10 are checked on it. */
  readonly references: readonly Reference[];
  /** It fails where nobody is authenticated. */
  readonly demandsCaller: boolean;
}

/** Characters. */
export const MAX_SOURCE = 4096;
/** What may stand in a template (E9); dyn is looked at when it is rendered. */
const TEXT_TYPES = new Set(['string', 'int', 'bool', 'dyn']);

/** A program, or what is wrong with the source. Never throws for bad source. */
export function compileExpression(
  source: string,
  environment: Environment,
  expected: Expected,
): CompiledExpression | Problem {
  if (source.length > MAX_SOURCE) return { problem: `is longer than ${MAX_SOURCE} characters`, fix: 'split it' };
  if (source.trim() === '') return { problem: 'is empty', fix: 'write an expression' };
  const library = environment.library();
  let ast: ASTNode;
  try {
    ast = library.parse(source).ast;
  } catch (error) {
    return explainSyntax(source, error);
  }
  const inspection = inspect(ast, environment);
  if ('problem' in inspection) return inspection;
  const checked = library.check(source);
  if (!checked.valid) return { problem: `has a wrong type: ${summarize(checked.error)}`, fix: 'mend the expression' };
  const refusal = checkType(checked.type ?? 'dyn', expected);
  if (refusal !== undefined) return refusal;
  const demands = { demandsCaller: demandsCaller(ast) };
  return { source, ...inspection, ...demands, evaluate: createEvaluate(ast, expected, checked.type === 'dyn') };
}

/** What one evaluation uses, the decision's other ones no longer have. */
function runMetered(run: Run, bindings: Bindings): unknown {
  const shared = bindings[SHARED_METER];
  if (shared === undefined) return run({ bindings, locals: [], left: BUDGET });
  charge(shared, 1);
  const given = Math.min(BUDGET, shared.left);
  const frame = { bindings, locals: [], left: given };
  try {
    return run(frame);
  } finally {
    shared.left -= given - frame.left;
  }
}

function checkType(type: string, expected: Expected): Problem | undefined {
  if (expected === 'bool') {
    return type === 'bool' || type === 'dyn'
      ? undefined
      : { problem: `is of type ${type}, but a bool is wanted`, fix: 'write a condition: true or false' };
  }
  return TEXT_TYPES.has(type)
    ? undefined
    : {
        problem: `holds a value of type ${type}, but only string, int and bool may stand in a template`,
        fix: 'convert it with string(…) or join(…)',
      };
}

function createEvaluate(ast: ASTNode, expected: Expected, dynamic: boolean): Expression['evaluate'] {
  const run = compileNode(ast, new Map());
  const evaluate = (bindings: Bindings): unknown => runMetered(run, bindings);
  if (expected !== 'bool' || !dynamic) return evaluate;
  return bindings => {
    const value = evaluate(bindings);
    return typeof value === 'boolean' ? value : fail('a condition is not a bool');
  };
}

/** What people write who know another language; CEL's own spelling. */
const MEANT: Readonly<Record<string, string>> = {
  '=': '==',
  '&': '&&',
  '|': '||',
  and: '&&',
  or: '||',
  AND: '&&',
  OR: '||',
};

function explainSyntax(source: string, error: unknown): Problem {
  const problem = `is not valid CEL: ${summarize(error)}`;
  const range = error instanceof ParseError ? error.range : undefined;
  if (range === undefined) return { problem, fix: 'mend the expression' };
  const before = source.slice(0, range.start).split('\n');
  const column = `column ${(before.at(-1) ?? '').length + 1}`;
  const where = before.length === 1 ? column : `line ${before.length}, ${column}`;
  const found = source.slice(range.start, range.end);
  const meant = Object.hasOwn(MEANT, found) ? MEANT[found] : undefined;
  if (found === '$')
    return { problem: `${problem} (${where})`, fix: 'leave ${ and } out: the whole field is an expression' };
  return {
    problem: `${problem} (${where})`,
    fix: meant === undefined ? 'mend the expression' : `did you mean ${meant}?`,
  };
}

/** The library's first sentence, without its drawing of the source. */
function summarize(error: unknown): string {
  const message = error instanceof Error ? error.message : 'it could not be read';
  return (message.split('\n')[0] ?? '').slice(0, 200);
}
