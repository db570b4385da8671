/** Distinguished names: comparison (RFC 5280 7.1), attributes, RFC 4514 text. */
import { Asn1Error, childrenOf, rawOf, someOf, UNIVERSAL, type Node } from './der.ts';
import { hex, oidOf, textOf } from './primitives.ts';

export interface Attribute {
  /** Dotted decimal. */
  readonly type: string;
  /** Absent when the value is no string. */
  readonly text?: string;
  readonly raw: Uint8Array;
}

export interface DistinguishedName {
  readonly raw: Uint8Array;
  /** Relative names from the root down, each with at least one attribute; empty for the empty name. */
  readonly relative: readonly (readonly Attribute[])[];
  /** Comparable form of each relative name, for name constraints. */
  readonly keys: readonly string[];
  /** Two names are the same (RFC 5280 7.1) exactly when their keys are. */
  readonly key: string;
}

const SHORT_NAMES = new Map([
  ['2.5.4.3', 'CN'],
  ['2.5.4.5', 'serialNumber'],
  ['2.5.4.6', 'C'],
  ['2.5.4.7', 'L'],
  ['2.5.4.8', 'ST'],
  ['2.5.4.9', 'STREET'],
  ['2.5.4.10', 'O'],
  ['2.5.4.11', 'OU'],
  ['0.9.2342.19200300.100.1.1', 'UID'],
  ['0.9.2342.19200300.100.1.25', 'DC'],
  ['1.2.840.113549.1.9.1', 'emailAddress'],
]);

const MAX_ATTRIBUTES = 64;

/** @throws Asn1Error, also for control characters in text: they make two names look the same to people and logs. */
export function parseName(node: Node | undefined): DistinguishedName {
  const relative = childrenOf(node).map(part => someOf(part, UNIVERSAL.set).map(parseAttribute));
  if (relative.flat().length > MAX_ATTRIBUTES) throw new Asn1Error('name has too many attributes');
  const keys = relative.map(attributes => JSON.stringify(attributes.map(attributeKey).sort()));
  return { raw: node === undefined ? new Uint8Array() : rawOf(node), relative, keys, key: keys.join('') };
}

function parseAttribute(node: Node): Attribute {
  const [type, value, extra] = childrenOf(node);
  if (value === undefined || extra !== undefined) throw new Asn1Error('attribute is not a type and a value');
  const text = textOf(value);
  if (text === undefined) return { type: oidOf(type), raw: rawOf(value) };
  if (/[\0-\x1f\x7f]/.test(text)) throw new Asn1Error('name holds a control character');
  return { type: oidOf(type), text, raw: rawOf(value) };
}

/**
 * Case (of ASCII letters) and insignificant spaces do not count, nor does the string type: what OpenSSL compares, a part
 * of RFC 4518 that needs no Unicode tables. Names that differ only in other letters' case stay different: the stricter side.
 */
function attributeKey({ type, text, raw }: Attribute): string {
  if (text === undefined) return `${type}#${hex(raw)}`;
  const folded = text.trim().replace(/\s+/g, ' ');
  return `${type}=${folded.replace(/[A-Z]+/g, letters => letters.toLowerCase())}`;
}

export const shortName = (type: string): string => SHORT_NAMES.get(type) ?? type;

/** Attributes by short name (or dotted decimal), text values only; a type that occurs twice is left out (rule P2). Null prototype. */
export function attributesOf(name: DistinguishedName): Readonly<Record<string, string>> {
  const found = Object.create(null) as Record<string, string>;
  const seen = new Set<string>();
  for (const { type, text } of name.relative.flat()) {
    const key = shortName(type);
    if (seen.has(key)) Reflect.deleteProperty(found, key);
    else if (text !== undefined) found[key] = text;
    seen.add(key);
  }
  return found;
}

/** RFC 4514: most specific first, `CN=robot-7,O=Fleet`; types without a short name as dotted decimal and `#hex`. */
export function formatName(name: DistinguishedName): string {
  return name.relative
    .map(attributes => attributes.map(formatAttribute).join('+'))
    .reverse()
    .join(',');
}

function formatAttribute({ type, text, raw }: Attribute): string {
  const short = SHORT_NAMES.get(type);
  if (short === undefined || text === undefined) return `${short ?? type}=#${hex(raw)}`;
  let escaped = text.replace(/[\\"+,;<>]/g, '\\$&');
  if (/^[ #]/.test(text)) escaped = `\\${escaped}`;
  if (text.length > 1 && text.endsWith(' ')) escaped = `${escaped.slice(0, -1)}\\ `;
  return `${short}=${escaped}`;
}

export const isEmptyName = (name: DistinguishedName): boolean => name.relative.length === 0;
