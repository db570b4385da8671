/** Field lines (RFC 9112 section 5): one reader for requests, answers and trailer sections. */
import { isFieldValue, TOKEN, VALUE } from './characters.ts';
import type { HeaderFields } from './head.ts';
import type { NameInfo, NameTable } from './names.ts';

declare const parsed: unique symbol;

/**
 * Fields whose names are tokens and whose values hold no control characters but tab: made by the readers and by
 * `makeFields` only. `infos[i]` says what the name of field `i` means.
 */
export interface ParsedFields extends HeaderFields {
  readonly infos: readonly NameInfo[];
  readonly [parsed]: true;
}

/** Fields while they are read. */
export interface FieldList {
  readonly names: string[];
  readonly lower: string[];
  readonly values: string[];
  readonly infos: NameInfo[];
}

export function createFieldList(): FieldList & ParsedFields {
  const list: FieldList = { names: [], lower: [], values: [], infos: [] };
  return list as FieldList & ParsedFields;
}

/** The line is not complete yet, and nothing in it is wrong so far. */
export const MORE = -1;
/** The line can never become valid. */
export const BROKEN = -2;

/**
 * Reads the line at `start` of `text` and adds its field to `list`. Gives the position after its CRLF, MORE or BROKEN.
 * Refused: no name, space before the colon, folded lines, bare CR or LF, NUL and other control characters. Bytes from
 * 0x80 pass in values only.
 */
export function readFieldLine(text: string, start: number, end: number, list: FieldList, table: NameTable): number {
  let at = start;
  while (at < end && TOKEN[text.charCodeAt(at)] === 1) at++;
  if (at === end) return MORE;
  if (at === start || text.charCodeAt(at) !== 0x3a) return BROKEN;
  const colon = at++;
  while (at < end && isBlank(text.charCodeAt(at))) at++;
  const carriageReturn = text.indexOf('\r', at);
  const stop = carriageReturn < 0 || carriageReturn > end ? end : carriageReturn;
  const from = at;
  if (!isFieldText(text, from, stop)) return BROKEN;
  at = stop;
  if (at === end) return MORE;
  if (at + 1 === end) return MORE;
  if (text.charCodeAt(at + 1) !== 0x0a) return BROKEN;
  addField(list, table.classify(text.slice(start, colon)), trimEnd(text, from, stop));
  return at + 2;
}

const CONTROL = /[\0-\x08\n-\x1f\x7f]/;
/** Up to here a loop is faster than a regular expression. */
const SHORT = 48;

function isFieldText(text: string, from: number, to: number): boolean {
  if (to - from > SHORT) return !CONTROL.test(text.slice(from, to));
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at);
    if (VALUE[code] !== 1 && !isBlank(code)) return false;
  }
  return true;
}

function trimEnd(text: string, from: number, end: number): string {
  let to = end;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function addField(list: FieldList, info: NameInfo | undefined, value: string): void {
  if (info === undefined) throw new TypeError('a field name that is no token was classified');
  list.names.push(info.raw);
  list.lower.push(info.lower);
  list.values.push(value);
  list.infos.push(info);
}

/** Adds field `index` of `from` again. */
export function repeatField(list: FieldList, from: FieldList, index: number): void {
  addField(list, from.infos[index], from.values[index] ?? '');
}

/** Fields that did not come through a reader (HTTP/2, tests); undefined when a name or a value cannot be written. */
export function makeFields(
  pairs: Iterable<readonly [name: string, value: string]>,
  table: NameTable,
): ParsedFields | undefined {
  const list = createFieldList();
  for (const [name, value] of pairs) {
    const info = table.classify(name);
    if (info === undefined || !isFieldValue(value)) return undefined;
    addField(list, info, value);
  }
  return list;
}
