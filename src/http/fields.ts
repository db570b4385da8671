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
  const from = at;
  let to = at;
  for (; at < end; at++) {
    const code = text.charCodeAt(at);
    if (VALUE[code] === 1) to = at + 1;
    else if (!isBlank(code)) break;
  }
  if (at === end) return MORE;
  if (text.charCodeAt(at) !== 0x0d) return BROKEN;
  if (at + 1 === end) return MORE;
  if (text.charCodeAt(at + 1) !== 0x0a) return BROKEN;
  addField(list, table.classify(text.slice(start, colon)), text.slice(from, to));
  return at + 2;
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
