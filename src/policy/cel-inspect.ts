/** Walks a parsed expression before its types are checked: which variables it reads, and what this version refuses. */
import type { ASTNode } from '@marcbachmann/cel-js';
import { listWords, nearestName, quote } from '../api/words.ts';
import type { Environment, Shape } from './cel-environment.ts';
import { GLOBAL_FUNCTIONS, METHODS } from './cel-functions.ts';
import { compileTimePart, isTimePart } from './cel-time.ts';
import { compileRegex } from './linear-regex.ts';

export interface Problem {
  /** What is wrong, in words that follow the field's name. */
  readonly problem: string;
  readonly fix: string;
}

/** A member read through a name that is known when the policy loads: `['steps', 'device', 'body']`. */
export type Reference = readonly string[];

export interface Inspection {
  readonly reads: ReadonlySet<string>;
  readonly references: readonly Reference[];
}

export const MACROS: ReadonlyMap<string, readonly number[]> = new Map([
  ['all', [2]],
  ['exists', [2]],
  ['exists_one', [2]],
  ['map', [2, 3]],
  ['filter', [2]],
]);

class Refused extends Error {
  readonly refusal: Problem;
  constructor(problem: string, fix: string) {
    super(problem);
    this.refusal = { problem, fix };
  }
}

function refuse(problem: string, fix: string): never {
  throw new Refused(problem, fix);
}

interface Walk {
  readonly environment: Environment;
  readonly reads: Set<string>;
  readonly references: Reference[];
}

/** What the expression reads, or the first thing that it may not do. */
export function inspect(ast: ASTNode, environment: Environment): Inspection | Problem {
  const walk: Walk = { environment, reads: new Set(), references: [] };
  try {
    visit(ast, walk, new Set());
  } catch (error) {
    if (error instanceof Refused) return error.refusal;
    throw error;
  }
  // Not the walk itself: an expression lives as long as its snapshot, and must not keep the library's environment alive.
  return { reads: walk.reads, references: walk.references };
}

type Locals = ReadonlySet<string>;

function visit(node: ASTNode, walk: Walk, locals: Locals): void {
  switch (node.op) {
    case 'value':
      return checkLiteral(node.args);
    case 'id':
    case '.':
    case '[]':
      return visitAccess(node, walk, locals);
    case 'call':
      return visitCall(node.args[0], node.args[1], walk, locals);
    case 'rcall':
      return visitMethod(node.args[0], node.args[1], node.args[2], walk, locals);
    case 'list':
      return node.args.forEach(item => visit(item, walk, locals));
    case 'map':
      return node.args.flat().forEach(item => visit(item, walk, locals));
    case '!_':
    case '-_':
      return visit(node.args, walk, locals);
    case '.?':
    case '[?]':
      return refuse('uses optional access, which does not exist here', 'test with has(…) first');
    case '?:':
    case '||':
    case '&&':
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
      return node.args.forEach(item => visit(item, walk, locals));
  }
}

function checkLiteral(value: unknown): void {
  if (typeof value === 'object' && value !== null) {
    refuse('holds a literal of type bytes or uint, which do not exist here', 'use a string or an int');
  }
}

/** A chain of names from a variable, or undefined when the node is something else. */
function readChain(node: ASTNode, locals: Locals): { readonly path: string[]; readonly rest?: ASTNode } | undefined {
  if (node.op === 'id') return locals.has(node.args) ? undefined : { path: [node.args] };
  if (node.op !== '.' && node.op !== '[]') return undefined;
  const before = readChain(node.args[0], locals);
  if (before === undefined || before.rest !== undefined) return before;
  const member = node.op === '.' ? node.args[1] : node.args[1].op === 'value' ? node.args[1].args : undefined;
  if (typeof member === 'string') return { path: [...before.path, member] };
  return node.op === '[]' ? { path: before.path, rest: node.args[1] } : before;
}

function visitAccess(node: ASTNode, walk: Walk, locals: Locals, whole = false): void {
  visitIndices(node, walk, locals);
  const chain = readChain(node, locals);
  if (chain === undefined) return visitBase(node, walk, locals);
  const { path } = chain;
  const root = path[0] ?? '';
  const shape = resolve(path, walk.environment);
  if (typeof shape !== 'string' && !whole) {
    if (chain.rest !== undefined) {
      refuse(`reads ${path.join('.')} by a computed name`, 'write the name literally, so that it can be checked');
    }
    const members = listMembers(shape);
    const fix = members === '' ? 'remove it: it has no members here' : `read one of its members: ${members}`;
    refuse(`uses ${path.join('.')} as a whole`, fix);
  }
  walk.reads.add(root);
  walk.references.push(path);
}

/** Expressions within brackets. */
function visitIndices(node: ASTNode, walk: Walk, locals: Locals): void {
  for (let at: ASTNode = node; at.op === '.' || at.op === '[]'; at = at.args[0]) {
    if (at.op === '[]') visit(at.args[1], walk, locals);
  }
}

/** What a chain hangs on when that is no variable: a call, a literal, an iteration variable. */
function visitBase(node: ASTNode, walk: Walk, locals: Locals): void {
  let base = node;
  while (base.op === '.' || base.op === '[]') base = base.args[0];
  if (base.op !== 'id') visit(base, walk, locals);
}

/** The shape at the end of a path; members of maps are not looked into. */
function resolve(path: readonly string[], environment: Environment): Shape {
  let shape: Shape = environment.roots;
  for (const [depth, name] of path.entries()) {
    if (typeof shape === 'string') return shape;
    const member: Shape | undefined = shape.get(name);
    if (member === undefined) return refuseUnknown(path.slice(0, depth + 1), shape, environment);
    shape = member;
  }
  return shape;
}

function refuseUnknown(path: readonly string[], among: ReadonlyMap<string, Shape>, environment: Environment): never {
  const text = path.join('.');
  const reason = environment.reasons.get(text);
  if (reason !== undefined) return refuse(`reads ${text}, which ${reason}`, 'read what is known at this place');
  const name = path.at(-1) ?? '';
  const near = nearestName(name, [...among.keys()]);
  const known = among.size === 0 ? 'remove it: nothing is known here' : `use one of ${listMembers(among)}`;
  const what = path.length === 1 ? `uses the variable ${quote(name)}, which does not exist here` : '';
  const fix = near === undefined ? known : `write ${[...path.slice(0, -1), near].join('.')}`;
  return refuse(what === '' ? `reads ${quote(text).slice(1, -1)}, which does not exist here` : what, fix);
}

const listMembers = (members: ReadonlyMap<string, Shape>): string => listWords([...members.keys()].slice(0, 12), 'and');

function visitCall(name: string, args: readonly ASTNode[], walk: Walk, locals: Locals): void {
  const [first] = args;
  if (name === 'has' && args.length === 1 && first !== undefined) return visitHas(first, walk, locals);
  if (GLOBAL_FUNCTIONS.get(name)?.arity.includes(args.length) !== true) {
    refuseFunction(`${name}()`, [...GLOBAL_FUNCTIONS.keys(), 'has']);
  }
  args.forEach(arg => visit(arg, walk, locals));
}

function visitHas(arg: ASTNode, walk: Walk, locals: Locals): void {
  if (arg.op !== '.') refuse('uses has() on something else than a member', 'write has(a.b)');
  else visitAccess(arg, walk, locals, true);
}

function visitMethod(name: string, target: ASTNode, args: readonly ASTNode[], walk: Walk, locals: Locals): void {
  const [first, ...rest] = args;
  if (MACROS.get(name)?.includes(args.length) === true && first?.op === 'id') {
    visit(target, walk, locals);
    return rest.forEach(arg => visit(arg, walk, new Set([...locals, first.args])));
  }
  if (name === 'matches' && first !== undefined) checkPattern(first);
  else if (isTimePart(name)) checkZone(name, first);
  else if (METHODS.get(name)?.arity.includes(args.length) !== true) {
    refuseFunction(`.${name}()`, [...METHODS.keys(), ...MACROS.keys(), 'matches']);
  }
  visit(target, walk, locals);
  args.forEach(arg => visit(arg, walk, locals));
}

function refuseFunction(name: string, known: readonly string[]): never {
  const near = nearestName(name.replace(/[.()]/g, ''), known);
  return refuse(
    `calls ${quote(name).slice(1, -1)} in a way that does not exist here`,
    near === undefined ? `use one of ${listWords(known, 'and')}` : `is ${near} meant, with other arguments?`,
  );
}

/** Patterns are compiled when the policy loads, so that no request ever decides what is compiled. */
function checkPattern(pattern: ASTNode): void {
  if (pattern.op !== 'value' || typeof pattern.args !== 'string') {
    return refuse('calls matches() with a computed pattern', 'write the regular expression as a literal string');
  }
  const regex = compileRegex(pattern.args);
  if ('problem' in regex) refuse(`the regular expression ${quote(pattern.args)} ${regex.problem}`, 'write it for RE2');
}

function checkZone(name: string, zone: ASTNode | undefined): void {
  if (zone === undefined) return;
  if (zone.op !== 'value' || typeof zone.args !== 'string') {
    return refuse(`calls ${name}() with a computed time zone`, 'write the zone as a literal string: "Europe/Berlin"');
  }
  try {
    compileTimePart(name, zone.args);
  } catch {
    refuse(`names the time zone ${quote(zone.args)}, which does not exist`, 'write an IANA name: "Europe/Berlin"');
  }
}
