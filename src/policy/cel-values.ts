/**
 * Values of CEL expressions and what the language does with them: members, equality, order, arithmetic.
 *
 * string, bool and null are JavaScript's own; int is bigint (64 bits), double is number, a list is an array, a map is an
 * object or a Map, a timestamp is a Date, a duration is a Duration. Names come from outside: only own members count.
 */
import { ExpressionError, type Meter } from './expression.ts';

export type { Meter } from './expression.ts';

/** A span of time; the language's resolution here is the millisecond. */
export class Duration {
  readonly milliseconds: number;
  constructor(milliseconds: number) {
    this.milliseconds = milliseconds;
  }
}

const MAX_INT = 9223372036854775807n;
const MIN_INT = -9223372036854775808n;
/** Longest text that an expression may make. */
export const MAX_TEXT = 1 << 20;

/** @throws ExpressionError always; the words say what happened, never a value of the request. */
export function fail(what: string): never {
  throw new ExpressionError(what);
}

/** Units of one evaluation: about 10 ms at the very worst; an ordinary condition uses none or a few dozen. */
export const BUDGET = 400_000;
/** Units of all evaluations of one decision together: a policy has many expressions, and one request meets them all. */
export const DECISION_BUDGET = 1_000_000;

export function charge(meter: Meter, units: number): void {
  meter.left -= units;
  if (meter.left < 0) fail('the expression costs too much');
}

export const chargeText = (meter: Meter, text: string): void => charge(meter, 1 + (text.length >> 8));

type CelMap = Readonly<Record<string, unknown>> | ReadonlyMap<unknown, unknown>;

export function isCelMap(value: unknown): value is CelMap {
  if (typeof value !== 'object' || value === null) return false;
  return !(Array.isArray(value) || value instanceof Date || value instanceof Duration);
}

/** An own member, or undefined when it is absent. @throws ExpressionError when the value has no members at all. */
export function findMember(value: unknown, name: unknown): unknown {
  if (!isCelMap(value)) return fail('a value has no members');
  if (value instanceof Map) return (value as ReadonlyMap<unknown, unknown>).get(name);
  if (typeof name !== 'string') return undefined;
  return Object.hasOwn(value, name) ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

/** @throws ExpressionError when the member is absent. */
export function readMember(value: unknown, name: unknown): unknown {
  const member = findMember(value, name);
  return member === undefined ? fail('a member is absent') : member;
}

/** `value[index]` on lists and maps. */
export function readIndex(value: unknown, index: unknown): unknown {
  if (!Array.isArray(value)) return readMember(value, index);
  const at = typeof index === 'bigint' || (typeof index === 'number' && Number.isInteger(index)) ? Number(index) : -1;
  const item: unknown = at >= 0 ? value[at] : undefined;
  return item === undefined ? fail('an index is out of range') : item;
}

/** Listing a client's 5,000 parameters takes a quarter of a millisecond (measured: 52 ns a name), and a loop does it again and again. */
export function readKeys(map: CelMap, meter: Meter): unknown[] {
  const keys = map instanceof Map ? [...(map as ReadonlyMap<unknown, unknown>).keys()] : Object.keys(map);
  charge(meter, 2 * keys.length);
  return keys;
}

export function countMembers(map: CelMap, meter: Meter): number {
  return map instanceof Map ? map.size : readKeys(map, meter).length;
}

/** Deep; values of different types are unequal, but numbers compare by value. */
export function isEqual(left: unknown, right: unknown, meter: Meter): boolean {
  charge(meter, 1);
  if (left === right) {
    if (typeof left === 'string') chargeText(meter, left);
    return true;
  }
  if (typeof left === 'bigint' || typeof left === 'number') {
    // eslint-disable-next-line eqeqeq -- the only comparison in which an int equals a double
    return (typeof right === 'bigint' || typeof right === 'number') && left == right;
  }
  if (typeof left === 'string' && typeof right === 'string') return (chargeText(meter, left), false);
  if (left instanceof Date) return right instanceof Date && left.getTime() === right.getTime();
  if (left instanceof Duration) return right instanceof Duration && left.milliseconds === right.milliseconds;
  if (Array.isArray(left)) return Array.isArray(right) && areListsEqual(left, right, meter);
  return isCelMap(left) && isCelMap(right) && areMapsEqual(left, right, meter);
}

function areListsEqual(left: readonly unknown[], right: readonly unknown[], meter: Meter): boolean {
  return left.length === right.length && left.every((item, index) => isEqual(item, right[index], meter));
}

function areMapsEqual(left: CelMap, right: CelMap, meter: Meter): boolean {
  const keys = readKeys(left, meter);
  if (keys.length !== countMembers(right, meter)) return false;
  return keys.every(key => {
    const other = findMember(right, key);
    return other !== undefined && isEqual(findMember(left, key), other, meter);
  });
}

/** Negative, zero or positive. @throws ExpressionError for values that have no order, NaN among them. */
export function compare(left: unknown, right: unknown, meter: Meter): number {
  const [a, b] = [orderKey(left), orderKey(right)];
  if (typeof a === 'string') chargeText(meter, a);
  const comparable = typeof a === 'string' || typeof b === 'string' ? typeof a === typeof b : sameOrder(left, right);
  if (!comparable || a === undefined || b === undefined) return fail('two values have no order');
  if (a < b) return -1;
  return a > b ? 1 : 0;
}

function orderKey(value: unknown): string | number | bigint | undefined {
  if (typeof value === 'string' || typeof value === 'bigint') return value;
  if (typeof value === 'number') return Number.isNaN(value) ? undefined : value;
  if (typeof value === 'boolean') return Number(value);
  if (value instanceof Date) return value.getTime();
  return value instanceof Duration ? value.milliseconds : undefined;
}

function sameOrder(left: unknown, right: unknown): boolean {
  const isNumber = (value: unknown): boolean => typeof value === 'number' || typeof value === 'bigint';
  if (isNumber(left) || isNumber(right)) return isNumber(left) && isNumber(right);
  if (typeof left === 'boolean') return typeof right === 'boolean';
  return left instanceof Date ? right instanceof Date : left instanceof Duration && right instanceof Duration;
}

/** `needle in haystack`, for lists by equality and for maps by key. */
export function isIn(needle: unknown, haystack: unknown, meter: Meter): boolean {
  if (Array.isArray(haystack)) return haystack.some(item => isEqual(needle, item, meter));
  return findMember(haystack, needle) !== undefined;
}

export function checkInt(value: bigint): bigint {
  return value <= MAX_INT && value >= MIN_INT ? value : fail('an int overflows');
}

const TIME_LIMIT = 253402300799999;
const TIME_START = -62135596800000;

/** Years 1 to 9999, as the language says. */
export function toTime(milliseconds: number): Date {
  return milliseconds <= TIME_LIMIT && milliseconds >= TIME_START
    ? new Date(milliseconds)
    : fail('a timestamp is out of range');
}

export function add(left: unknown, right: unknown, meter: Meter): unknown {
  if (typeof left === 'string' && typeof right === 'string') return joinTexts(left, right, meter);
  if (Array.isArray(left) && Array.isArray(right)) {
    charge(meter, left.length + right.length);
    return [...(left as unknown[]), ...(right as unknown[])];
  }
  if (left instanceof Date && right instanceof Duration) return toTime(left.getTime() + right.milliseconds);
  if (left instanceof Duration && right instanceof Date) return toTime(left.milliseconds + right.getTime());
  if (left instanceof Duration && right instanceof Duration)
    return new Duration(left.milliseconds + right.milliseconds);
  return calculate('+', left, right);
}

function joinTexts(left: string, right: string, meter: Meter): string {
  if (left.length + right.length > MAX_TEXT) fail('a text grows too long');
  charge(meter, 1 + ((left.length + right.length) >> 8));
  return left + right;
}

export function subtract(left: unknown, right: unknown): unknown {
  if (left instanceof Date && right instanceof Date) return new Duration(left.getTime() - right.getTime());
  if (left instanceof Date && right instanceof Duration) return toTime(left.getTime() - right.milliseconds);
  if (left instanceof Duration && right instanceof Duration)
    return new Duration(left.milliseconds - right.milliseconds);
  return calculate('-', left, right);
}

/** Two ints or two doubles; the language converts neither into the other. */
export function calculate(operator: '+' | '-' | '*' | '/' | '%', left: unknown, right: unknown): bigint | number {
  if (typeof left === 'bigint' && typeof right === 'bigint') return calculateInts(operator, left, right);
  if (typeof left !== 'number' || typeof right !== 'number') return fail('an operator does not fit its operands');
  if (operator === '+') return left + right;
  if (operator === '-') return left - right;
  if (operator === '*') return left * right;
  return operator === '/' ? left / right : fail('an operator does not fit its operands');
}

function calculateInts(operator: '+' | '-' | '*' | '/' | '%', left: bigint, right: bigint): bigint {
  if (operator === '+') return checkInt(left + right);
  if (operator === '-') return checkInt(left - right);
  if (operator === '*') return checkInt(left * right);
  if (right === 0n) return fail('a division by zero');
  return operator === '/' ? checkInt(left / right) : left % right;
}

export function negate(value: unknown): bigint | number {
  if (typeof value === 'bigint') return checkInt(-value);
  return typeof value === 'number' ? -value : fail('an operator does not fit its operand');
}
