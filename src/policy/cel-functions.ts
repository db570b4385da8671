/** Functions of expressions: CEL's standard ones and those of rule E10. Each charges for the text it reads and makes. */
import {
  charge,
  chargeText,
  checkInt,
  countMembers,
  Duration,
  fail,
  isCelMap,
  MAX_TEXT,
  toTime,
  type Meter,
} from './cel-values.ts';

/** `target` is the receiver of a method, or the first argument of a function. */
export type CelFunction = (meter: Meter, target: unknown, first: unknown, second: unknown) => unknown;

/** Longest list that `split` makes. */
const MAX_PIECES = 10_000;

const textOf = (value: unknown): string => (typeof value === 'string' ? value : fail('a function wants a string'));
const intOf = (value: unknown): number => (typeof value === 'bigint' ? Number(value) : fail('a function wants an int'));
const listOf = (value: unknown): readonly unknown[] =>
  Array.isArray(value) ? (value as readonly unknown[]) : fail('a function wants a list');

/** The engine's search is quadratic for needles made for it (measured: 0.3 ns for each pair of characters). */
const chargeSearch = (meter: Meter, text: string, wanted: string): void =>
  charge(meter, 1 + (text.length * (wanted.length + 1)) / 64);

function contains(meter: Meter, target: unknown, first: unknown): boolean {
  const [text, wanted] = [textOf(target), textOf(first)];
  chargeSearch(meter, text, wanted);
  return text.includes(wanted);
}

/**
 * Beyond the basic plane one character is two of JavaScript's; positions count characters. Telling them apart is dear
 * (measured: 11 ns for each), and a text is looked through up to twice for it.
 */
function isWide(meter: Meter, text: string): boolean {
  charge(meter, 1 + (text.length >> 4));
  if (!/[\ud800-\udfff]/.test(text)) return false;
  charge(meter, text.length);
  return true;
}

/** A function of a text and, perhaps, of a second one. */
function onText(act: (text: string, other: string) => unknown): CelFunction {
  return (meter, target, first) => {
    const text = textOf(target);
    chargeText(meter, text);
    return act(text, first === undefined ? '' : textOf(first));
  };
}

function size(meter: Meter, value: unknown): bigint {
  if (typeof value === 'string') {
    return BigInt(isWide(meter, value) ? Array.from(value).length : value.length);
  }
  if (Array.isArray(value)) return BigInt(value.length);
  return isCelMap(value) ? BigInt(countMembers(value, meter)) : fail('size() wants a string, list or map');
}

/** JavaScript's own conversion touches other letters too, so it is for text without any (measured elsewhere: 60 ns a run of letters). */
function inAscii(letters: RegExp, convert: (text: string) => string): CelFunction {
  return (meter, target) => {
    const text = textOf(target);
    charge(meter, 1 + (text.length >> 4));
    if (isAscii(text)) return convert(text);
    charge(meter, 2 * text.length);
    return text.replace(letters, convert);
  };
}

const isAscii = (text: string): boolean => /^[\0-\x7f]*$/.test(text);

function substring(meter: Meter, target: unknown, first: unknown, second: unknown): string {
  const text = textOf(target);
  const characters = isWide(meter, text) ? Array.from(text) : undefined;
  const length = characters?.length ?? text.length;
  const start = intOf(first);
  const end = second === undefined ? length : intOf(second);
  if (start < 0 || end < start || end > length) return fail('substring() is out of range');
  return characters === undefined ? text.slice(start, end) : characters.slice(start, end).join('');
}

function indexOf(last: boolean): CelFunction {
  return (meter, target, first, second) => {
    const [text, wanted] = [textOf(target), textOf(first)];
    chargeSearch(meter, text, wanted);
    const wide = isWide(meter, text);
    const toUnits = (at: number): number => (wide ? Array.from(text).slice(0, at).join('').length : at);
    const from = second === undefined ? undefined : intOf(second);
    if (from !== undefined && (from < 0 || from > text.length)) return fail('indexOf() is out of range');
    const units = last
      ? text.lastIndexOf(wanted, from === undefined ? undefined : toUnits(from))
      : text.indexOf(wanted, toUnits(from ?? 0));
    return BigInt(wide && units > 0 ? Array.from(text.slice(0, units)).length : units);
  };
}

function split(meter: Meter, target: unknown, first: unknown, second: unknown): readonly string[] {
  const [text, separator] = [textOf(target), textOf(first)];
  const limit = second === undefined ? -1 : intOf(second);
  if (limit === 0) return [];
  chargeSearch(meter, text, separator);
  const pieces = text.split(separator, MAX_PIECES + 1);
  charge(meter, pieces.length);
  if (pieces.length > MAX_PIECES) return fail('split() makes too many pieces');
  if (limit < 0 || pieces.length <= limit) return pieces;
  return [...pieces.slice(0, limit - 1), pieces.slice(limit - 1).join(separator)];
}

function join(meter: Meter, target: unknown, first: unknown): string {
  const [texts, separator] = [listOf(target).map(textOf), first === undefined ? '' : textOf(first)];
  const length = texts.reduce((sum, text) => sum + text.length + separator.length, 0);
  if (length > MAX_TEXT) return fail('join() makes too long a text');
  charge(meter, texts.length + (length >> 8));
  return texts.join(separator);
}

function replace(meter: Meter, target: unknown, first: unknown, second: unknown, third: unknown): string {
  const [text, wanted, other] = [textOf(target), textOf(first), textOf(second)];
  const limit = third === undefined ? -1 : intOf(third);
  chargeSearch(meter, text, wanted);
  if (wanted === '') charge(meter, text.length);
  const pieces = text.split(wanted);
  charge(meter, pieces.length);
  const count = limit < 0 ? pieces.length - 1 : Math.min(limit, pieces.length - 1);
  if (text.length + count * other.length > MAX_TEXT) return fail('replace() makes too long a text');
  return [pieces.slice(0, count + 1).join(other), ...pieces.slice(count + 1)].join(wanted);
}

function toInt(_meter: Meter, value: unknown): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return checkInt(BigInt(Math.trunc(value)));
  if (typeof value === 'string' && /^-?[0-9]{1,19}$/.test(value)) return checkInt(BigInt(value));
  return value instanceof Date ? BigInt(Math.floor(value.getTime() / 1000)) : fail('int() cannot convert its argument');
}

function toDouble(_meter: Meter, value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  return typeof value === 'string' && /^-?[0-9]{1,32}(\.[0-9]{1,32})?([eE][-+]?[0-9]{1,3})?$/.test(value)
    ? Number(value)
    : fail('double() cannot convert its argument');
}

function toText(_meter: Meter, value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'bigint' || typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (value instanceof Date) return value.toISOString().replace('.000Z', 'Z');
  return value instanceof Duration ? `${value.milliseconds / 1000}s` : fail('string() cannot convert its argument');
}

function toBool(_meter: Meter, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  if (value === 'true' || value === 'True' || value === 'TRUE' || value === 't' || value === '1') return true;
  if (value === 'false' || value === 'False' || value === 'FALSE' || value === 'f' || value === '0') return false;
  return fail('bool() cannot convert its argument');
}

const RFC3339 = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[-+][0-9]{2}:[0-9]{2})$/;

function toTimestamp(_meter: Meter, value: unknown): Date {
  if (value instanceof Date) return value;
  if (typeof value === 'bigint') return toTime(Number(value) * 1000);
  return typeof value === 'string' && RFC3339.test(value)
    ? toTime(Date.parse(value))
    : fail('timestamp() wants RFC 3339 text');
}

const UNITS: Readonly<Record<string, number>> = { h: 3600000, m: 60000, s: 1000, ms: 1, us: 1e-3, ns: 1e-6 };
const DURATION = /^-?([0-9]{1,12}(\.[0-9]{1,9})?(h|ms|m|s|us|ns)){1,6}$/;

function toDuration(_meter: Meter, value: unknown): Duration {
  if (value instanceof Duration) return value;
  if (typeof value !== 'string' || !DURATION.test(value)) return fail('duration() wants text such as 1h30m');
  let total = 0;
  for (const [, amount = '', unit = ''] of value.matchAll(/([0-9.]+)(h|ms|m|s|us|ns)/g)) {
    total += Number(amount) * (UNITS[unit] ?? 0);
  }
  return new Duration(value.startsWith('-') ? -total : total);
}

/** Functions that are called with their arguments alone, with how many they take. */
export const GLOBAL_FUNCTIONS: ReadonlyMap<string, { readonly run: CelFunction; readonly arity: readonly number[] }> =
  new Map([
    ['size', { run: size, arity: [1] }],
    ['int', { run: toInt, arity: [1] }],
    ['double', { run: toDouble, arity: [1] }],
    ['string', { run: toText, arity: [1] }],
    ['bool', { run: toBool, arity: [1] }],
    ['dyn', { run: (_meter: Meter, value: unknown) => value, arity: [1] }],
    ['timestamp', { run: toTimestamp, arity: [1] }],
    ['duration', { run: toDuration, arity: [1] }],
  ]);

type Method = (meter: Meter, target: unknown, first: unknown, second: unknown, third: unknown) => unknown;

/** Methods, called as `target.name(…)`; `matches` and those of timestamps are compiled in cel-program.ts. */
export const METHODS: ReadonlyMap<string, { readonly run: Method; readonly arity: readonly number[] }> = new Map<
  string,
  { readonly run: Method; readonly arity: readonly number[] }
>([
  ['size', { run: size, arity: [0] }],
  ['startsWith', { run: onText((text, other) => text.startsWith(other)), arity: [1] }],
  ['endsWith', { run: onText((text, other) => text.endsWith(other)), arity: [1] }],
  ['contains', { run: contains, arity: [1] }],
  ['lowerAscii', { run: inAscii(/[A-Z]+/g, text => text.toLowerCase()), arity: [0] }],
  ['upperAscii', { run: inAscii(/[a-z]+/g, text => text.toUpperCase()), arity: [0] }],
  ['trim', { run: onText(text => text.trim()), arity: [0] }],
  ['substring', { run: substring, arity: [1, 2] }],
  ['indexOf', { run: indexOf(false), arity: [1, 2] }],
  ['lastIndexOf', { run: indexOf(true), arity: [1, 2] }],
  ['split', { run: split, arity: [1, 2] }],
  ['join', { run: join, arity: [0, 1] }],
  ['replace', { run: replace, arity: [2, 3] }],
]);
