/**
 * Compiles a checked expression into closures. The CEL library parses and checks types; it does not evaluate, since its
 * evaluator cannot be bounded and its `matches` backtracks. A term that no client can make slow is what this adds: every
 * loop and every function charges a meter (cel-values.ts), and patterns are RE2's.
 */
import type { ASTNode, BinaryOperator } from '@marcbachmann/cel-js';
import { GLOBAL_FUNCTIONS, METHODS } from './cel-functions.ts';
import { MACROS } from './cel-inspect.ts';
import { compileMacro } from './cel-macros.ts';
import { compileTimePart, isTimePart } from './cel-time.ts';
import {
  add,
  calculate,
  charge,
  compare,
  fail,
  findMember,
  isEqual,
  isIn,
  negate,
  readIndex,
  readMember,
  subtract,
  type Meter,
} from './cel-values.ts';
import type { Bindings } from './expression.ts';
import { compileRegex } from './linear-regex.ts';

/** One evaluation. */
export interface Frame extends Meter {
  readonly bindings: Bindings;
  /** Iteration variables by depth. */
  readonly locals: unknown[];
}

export type Run = (frame: Frame) => unknown;

/** Iteration variables in sight, by their depth. */
export type Slots = ReadonlyMap<string, number>;

export function compileNode(node: ASTNode, slots: Slots): Run {
  switch (node.op) {
    case 'value': {
      const value: unknown = node.args;
      return () => value;
    }
    case 'id':
      return compileName(node.args, slots);
    case '.':
      return compileMember(node.args[0], node.args[1], slots);
    case '[]': {
      const [target, index] = [compileNode(node.args[0], slots), compileNode(node.args[1], slots)];
      return frame => readIndex(target(frame), index(frame));
    }
    case 'call':
      return compileCall(node.args[0], node.args[1], slots);
    case 'rcall':
      return compileMethod(node.args[0], node.args[1], node.args[2], slots);
    case 'list':
      return compileList(node.args, slots);
    case 'map':
      return compileMap(node.args, slots);
    case '?:':
      return compileChoice(node.args, slots);
    case '||':
      return compileLogic(true, node.args, slots);
    case '&&':
      return compileLogic(false, node.args, slots);
    case '!_': {
      const operand = compileNode(node.args, slots);
      return frame => !toBool(operand(frame));
    }
    case '-_': {
      const operand = compileNode(node.args, slots);
      return frame => negate(operand(frame));
    }
    case '.?':
    case '[?]':
      throw new Error('refused by inspect()');
    case '==':
    case '!=':
    case '<':
    case '<=':
    case '>':
    case '>=':
    case 'in':
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
      return compileBinary(node.op, node.args, slots);
  }
}

export const toBool = (value: unknown): boolean =>
  typeof value === 'boolean' ? value : fail('a condition is not a bool');

function compileName(name: string, slots: Slots): Run {
  const slot = slots.get(name);
  if (slot !== undefined) return frame => frame.locals[slot];
  return frame => frame.bindings[name] ?? fail('a variable is not bound');
}

function compileMember(targetNode: ASTNode, name: string, slots: Slots): Run {
  const target = compileNode(targetNode, slots);
  return frame => readMember(target(frame), name);
}

function compileCall(name: string, args: readonly ASTNode[], slots: Slots): Run {
  const [first] = args;
  if (first === undefined) throw new Error('refused by inspect()');
  if (name === 'has') return compileHas(first, slots);
  const run = GLOBAL_FUNCTIONS.get(name)?.run;
  if (run === undefined) throw new Error('refused by inspect()');
  const argument = compileNode(first, slots);
  return frame => run(frame, argument(frame), undefined, undefined);
}

function compileHas(node: ASTNode, slots: Slots): Run {
  if (node.op !== '.') throw new Error('refused by inspect()');
  const [targetNode, name] = node.args;
  const target = compileNode(targetNode, slots);
  return frame => findMember(target(frame), name) !== undefined;
}

function compileMethod(name: string, targetNode: ASTNode, args: readonly ASTNode[], slots: Slots): Run {
  const [first, second, third] = args;
  if (MACROS.get(name)?.includes(args.length) === true && first?.op === 'id') {
    return compileMacro(name, compileNode(targetNode, slots), first.args, args.slice(1), slots);
  }
  const target = compileNode(targetNode, slots);
  if (name === 'matches' && first?.op === 'value') return compileMatches(target, String(first.args));
  if (isTimePart(name)) {
    const part = compileTimePart(name, first?.op === 'value' ? String(first.args) : undefined);
    return frame => part((charge(frame, 100), target(frame)));
  }
  const run = METHODS.get(name)?.run;
  if (run === undefined) throw new Error('refused by inspect()');
  const [a, b, c] = [first, second, third].map(arg => (arg === undefined ? absent : compileNode(arg, slots)));
  return frame => run(frame, target(frame), (a ?? absent)(frame), (b ?? absent)(frame), (c ?? absent)(frame));
}

const absent: Run = () => undefined;

function compileMatches(target: Run, pattern: string): Run {
  const regex = compileRegex(pattern);
  if ('problem' in regex) throw new Error('refused by inspect()');
  return frame => {
    const text = target(frame);
    if (typeof text !== 'string') return fail('matches() wants a string');
    charge(frame, 1 + text.length * regex.unitsPerCharacter);
    return regex.test(text);
  };
}

function compileList(nodes: readonly ASTNode[], slots: Slots): Run {
  if (nodes.every(node => node.op === 'value')) {
    const constant = nodes.map(node => node.args);
    return () => constant;
  }
  const items = nodes.map(node => compileNode(node, slots));
  return frame => items.map(item => item(frame));
}

function compileMap(entries: readonly (readonly [ASTNode, ASTNode])[], slots: Slots): Run {
  const compiled = entries.map(([key, value]) => [compileNode(key, slots), compileNode(value, slots)] as const);
  return frame => new Map(compiled.map(([key, value]) => [key(frame), value(frame)]));
}

function compileChoice(nodes: readonly [ASTNode, ASTNode, ASTNode], slots: Slots): Run {
  const [condition, yes, no] = [
    compileNode(nodes[0], slots),
    compileNode(nodes[1], slots),
    compileNode(nodes[2], slots),
  ];
  return frame => (toBool(condition(frame)) ? yes(frame) : no(frame));
}

/** `||` (decided by true) and `&&` (decided by false): a side that decides makes up for one that fails. */
function compileLogic(decides: boolean, nodes: readonly [ASTNode, ASTNode], slots: Slots): Run {
  const [left, right] = [compileNode(nodes[0], slots), compileNode(nodes[1], slots)];
  return frame => {
    let first: boolean;
    try {
      first = toBool(left(frame));
    } catch (error) {
      if (frame.left >= 0 && toBool(right(frame)) === decides) return decides;
      throw error;
    }
    return first === decides ? decides : toBool(right(frame));
  };
}

function compileBinary(operator: BinaryOperator, nodes: readonly [ASTNode, ASTNode], slots: Slots): Run {
  const [left, right] = [compileNode(nodes[0], slots), compileNode(nodes[1], slots)];
  switch (operator) {
    case '==':
      return frame => isEqual(left(frame), right(frame), frame);
    case '!=':
      return frame => !isEqual(left(frame), right(frame), frame);
    case 'in':
      return frame => isIn(left(frame), right(frame), frame);
    case '<':
      return frame => compare(left(frame), right(frame), frame) < 0;
    case '<=':
      return frame => compare(left(frame), right(frame), frame) <= 0;
    case '>':
      return frame => compare(left(frame), right(frame), frame) > 0;
    case '>=':
      return frame => compare(left(frame), right(frame), frame) >= 0;
    case '+':
      return frame => add(left(frame), right(frame), frame);
    case '-':
      return frame => subtract(left(frame), right(frame));
    case '*':
    case '/':
    case '%':
      return frame => calculate(operator, left(frame), right(frame));
  }
}
