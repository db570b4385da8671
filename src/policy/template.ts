/** Templates: text with `${…}` holes, encoded for the place where they land (E9). */
import { compileExpression, type CompiledExpression } from './cel.ts';
import type { Environment } from './cel-environment.ts';
import type { Problem, Reference } from './cel-inspect.ts';
import { fail } from './cel-values.ts';
import {
  compareBytes,
  percentEncode,
  toHeaderText,
  toJsonText,
  toMarkupText,
  toPlainText,
  toStructuredMember,
} from './encoding.ts';
import type { Bindings, Template, TemplatePlace } from './expression.ts';

export interface CompiledTemplate extends Template {
  readonly references: readonly Reference[];
  /** One of its holes fails where nobody is authenticated. */
  readonly demandsCaller: boolean;
}

/** Places of single texts; pairs and dictionaries are made of several. */
export type TextPlace = Exclude<TemplatePlace, 'pairs' | 'dictionary'>;

type Part = string | CompiledExpression;

/** Longest text that a template makes. */
export const MAX_RENDERED = 65_536;
export const MAX_HEADER = 16_384;

const ENCODERS: Readonly<Record<TextPlace, (value: unknown) => string>> = {
  header: toHeaderText,
  text: toPlainText,
  query: value => percentEncode(toPlainText(value)),
  path: value => percentEncode(toPlainText(value)),
  json: toJsonText,
  markup: toMarkupText,
};

/**
 * How values are written in a body, so that none can end the string or element that the policy put it in. `source` counts
 * where no media type is given.
 */
export function placeOfBody(mediaType: string | undefined, source: string): TextPlace {
  if (mediaType === undefined) return /^\s*[[{]/.test(source) ? 'json' : 'text';
  const [type = ''] = mediaType.toLowerCase().split(';', 1);
  if (/[/+]json\s*$/.test(type)) return 'json';
  if (/[/+](?:html|xml)\s*$/.test(type)) return 'markup';
  return type.trim() === 'application/x-www-form-urlencoded' ? 'query' : 'text';
}

/** A template, or the first thing that is wrong with it. */
export function compileTemplate(
  source: string,
  place: TextPlace,
  environment: Environment,
): CompiledTemplate | Problem {
  const parts = compileParts(source, environment);
  if ('problem' in parts) return parts;
  const refusal = checkLiterals(parts, place);
  if (refusal !== undefined) return refusal;
  const literal = readLiteral(parts);
  const shared = { source, place, ...collect(parts) };
  if (literal !== undefined) return { ...shared, literal, render: () => literal };
  return { ...shared, render: createRender(parts, place) };
}

function createRender(parts: readonly Part[], place: TextPlace): Template['render'] {
  const encode = ENCODERS[place];
  const [only] = parts;
  const limit = place === 'header' ? MAX_HEADER : MAX_RENDERED;
  const check = (text: string): string => (text.length <= limit ? text : fail('a template grows too long'));
  if (place === 'path') return bindings => checkPath(check(renderParts(parts, bindings, encode)));
  if (parts.length === 1 && typeof only === 'object') return bindings => check(encode(only.evaluate(bindings)));
  return bindings => check(renderParts(parts, bindings, encode));
}

function renderParts(parts: readonly Part[], bindings: Bindings, encode: (value: unknown) => string): string {
  let text = '';
  for (const part of parts) text += typeof part === 'string' ? part : encode(part.evaluate(bindings));
  return text;
}

/** Dots are unreserved, so a value of `..` would climb out of the path that the policy wrote. */
function checkPath(url: string): string {
  const path = url.replace(/^[a-z]+:\/\/[^/?]*/, '').replace(/\?.*$/s, '');
  return path.split('/').some(segment => segment === '.' || segment === '..')
    ? fail('a value makes a dot segment')
    : url;
}

function checkLiterals(parts: readonly Part[], place: TextPlace): Problem | undefined {
  if (place !== 'header') return undefined;
  const bad = parts.find(part => typeof part === 'string' && !/^[\x20-\x7e]*$/.test(part));
  if (typeof bad === 'string' && /\p{Cc}/u.test(bad))
    return { problem: 'holds a control character, which no header can carry', fix: 'write it on one line' };
  return bad === undefined
    ? undefined
    : { problem: 'holds a character that is not visible ASCII', fix: 'write visible ASCII, or use dictionary' };
}

const readLiteral = (parts: readonly Part[]): string | undefined => {
  const [only = ''] = parts;
  return parts.length < 2 && typeof only === 'string' ? only : undefined;
};

function collect(parts: readonly Part[]): Pick<CompiledTemplate, 'reads' | 'references' | 'demandsCaller'> {
  const holes = parts.filter(part => typeof part === 'object');
  return {
    reads: new Set(holes.flatMap(hole => [...hole.reads])),
    references: holes.flatMap(hole => hole.references),
    demandsCaller: holes.some(hole => hole.demandsCaller),
  };
}

/** Literal texts and compiled holes in order; neighbouring literals are one. */
function compileParts(source: string, environment: Environment): readonly Part[] | Problem {
  const parts: Part[] = [];
  let text = '';
  for (let at = 0; at < source.length;) {
    if (source.startsWith('$${', at)) {
      text += '${';
      at += 3;
    } else if (source.startsWith('${', at)) {
      const end = findHoleEnd(source, at + 2);
      if (end < 0) return { problem: 'holds a ${ without its }', fix: 'close it, or write $${ for a literal ${' };
      const hole = compileExpression(source.slice(at + 2, end), environment, 'text');
      if ('problem' in hole) return { problem: `in \${…} ${hole.problem}`, fix: hole.fix };
      if (text !== '') parts.push(text);
      text = '';
      parts.push(hole);
      at = end + 1;
    } else {
      text += source.charAt(at);
      at += 1;
    }
  }
  if (text !== '') parts.push(text);
  return parts;
}

/** The position of the hole's balanced `}`; braces within strings do not count. -1 when there is none. */
function findHoleEnd(source: string, start: number): number {
  let depth = 0;
  for (let at = start; at < source.length; at += 1) {
    const character = source.charAt(at);
    if (character === '{') depth += 1;
    else if (character === '}') {
      if (depth === 0) return at;
      depth -= 1;
    } else if (character === '"' || character === "'") {
      at = findStringEnd(source, at);
      if (at < 0) return -1;
    }
  }
  return -1;
}

/** The position of a string's last quote. As the library reads it, a backslash skips a character in raw strings too. */
function findStringEnd(source: string, start: number): number {
  const quote = source.charAt(start);
  const delimiter = source.startsWith(quote.repeat(3), start) ? quote.repeat(3) : quote;
  for (let at = start + delimiter.length; at < source.length; at += 1) {
    if (source.charAt(at) === '\\') at += 1;
    else if (source.startsWith(delimiter, at)) return at + delimiter.length - 1;
  }
  return -1;
}

type Entries = Readonly<Record<string, string>>;
const TOKEN_KEY = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
const DICTIONARY_KEY = /^[a-z*][a-z0-9_.*-]*$/;

/** `key=value;` pairs in the keys' byte order, with a trailing `;`. */
export function compilePairs(entries: Entries, environment: Environment): CompiledTemplate | Problem {
  const key = { pattern: TOKEN_KEY, words: 'letters, digits and -._~' };
  return compileMembers(entries, environment, 'pairs', key, (members, bindings) =>
    members.map(({ name, read }) => `${name}=${percentEncode(toPlainText(read(bindings)))};`).join(''),
  );
}

/** A dictionary of RFC 9651; a value that is one hole keeps its type, others are strings. */
export function compileDictionary(entries: Entries, environment: Environment): CompiledTemplate | Problem {
  const key = { pattern: DICTIONARY_KEY, words: 'a lower-case letter or *, then lower-case letters, digits and _.*-' };
  return compileMembers(entries, environment, 'dictionary', key, (members, bindings) =>
    members.map(({ name, read }) => toStructuredMember(name, read(bindings))).join(', '),
  );
}

interface Member {
  readonly name: string;
  readonly read: (bindings: Bindings) => unknown;
}

function compileMembers(
  entries: Entries,
  environment: Environment,
  place: 'pairs' | 'dictionary',
  key: { readonly pattern: RegExp; readonly words: string },
  write: (members: readonly Member[], bindings: Bindings) => string,
): CompiledTemplate | Problem {
  const members: Member[] = [];
  const parts: Part[] = [];
  for (const name of Object.keys(entries).sort(compareBytes)) {
    if (!key.pattern.test(name))
      return { problem: `has a key that may not stand in a header`, fix: `use ${key.words}` };
    const compiled = compileParts(entries[name] ?? '', environment);
    if ('problem' in compiled) return { ...compiled, problem: `at ${name}: ${compiled.problem}` };
    members.push({ name, read: createRead(compiled) });
    parts.push(...compiled);
  }
  const source = Object.keys(entries)
    .map(name => `${name}: ${entries[name] ?? ''}`)
    .join(', ');
  const render = (bindings: Bindings): string => {
    const text = write(members, bindings);
    return text.length <= MAX_HEADER ? text : fail('a header grows too long');
  };
  const shared = { source, place, ...collect(parts) };
  if (parts.some(part => typeof part === 'object')) return { ...shared, render };
  try {
    const literal = render({});
    return { ...shared, literal, render: () => literal };
  } catch {
    return { problem: 'holds a control character, or grows too long', fix: 'write plain text' };
  }
}

function createRead(parts: readonly Part[]): Member['read'] {
  const [only] = parts;
  if (parts.length === 1 && typeof only === 'object') return bindings => only.evaluate(bindings);
  return bindings => renderParts(parts, bindings, toPlainText);
}
