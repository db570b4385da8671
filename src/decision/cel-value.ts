/** Values of requests, tokens and answers as CEL sees them: integers as bigint, objects without a prototype. */
import { ExpressionError } from '../policy/expression.ts';

const MAX_DEPTH = 32;

export type CelRecord = Readonly<Record<string, unknown>> | ReadonlyMap<string, unknown>;

/**
 * An object from names that a client may choose. Without a prototype, `__proto__` is an ordinary name; the CEL library
 * tells types apart by `constructor`, so an object that has a member of that name becomes a Map, which it reads as well.
 */
export function celRecord(entries: Iterable<readonly [string, unknown]>): CelRecord {
  const plain = Object.create(null) as Record<string, unknown>;
  for (const [name, value] of entries) plain[name] = value;
  return withoutConstructor(plain);
}

const withoutConstructor = (plain: Readonly<Record<string, unknown>>): CelRecord =>
  'constructor' in plain ? new Map(Object.entries(plain)) : plain;

/**
 * A JSON value. Numbers without a fraction become ints, as a policy's author writes them.
 * @throws ExpressionError when it is nested more than 32 deep: converting it could exhaust the stack.
 */
export function celValue(value: unknown, depth = 0): unknown {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) throw new ExpressionError('nested too deep');
  if (Array.isArray(value)) return value.map(item => celValue(item, depth + 1));
  return celObject(value, depth);
}

/** A JSON object. @throws ExpressionError when it is nested more than 32 deep */
export function celObject(value: object, depth = 0): CelRecord {
  const plain = Object.create(null) as Record<string, unknown>;
  const members = value as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(value)) plain[name] = celValue(members[name], depth + 1);
  return withoutConstructor(plain);
}

/** Nothing known, frozen: `has(…)` on it is false and never fails (E4). */
export const EMPTY_RECORD: Readonly<Record<string, unknown>> = Object.freeze(
  Object.create(null) as Record<string, unknown>,
);

/** A frozen object without a prototype. */
export function frozenRecord(members: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.freeze(Object.assign(Object.create(null) as Record<string, unknown>, members));
}
