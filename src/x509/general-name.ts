/** GeneralNames (RFC 5280 4.2.1.6), as subject alternative names and as bases of name constraints. */
import { Asn1Error, childrenOf, contentOf, someOf, tagOf, UNIVERSAL, type Node } from './der.ts';
import { parseName, type DistinguishedName } from './name.ts';
import { asciiText } from './primitives.ts';

export type GeneralName =
  | { readonly type: 'dns' | 'email' | 'uri'; readonly text: string }
  | { readonly type: 'ip'; readonly bytes: Uint8Array }
  | { readonly type: 'directory'; readonly name: DistinguishedName }
  /** otherName, x400Address, ediPartyName, registeredID: known to be there, not understood. */
  | { readonly type: 'other'; readonly tag: number };

const TEXT_TYPES = new Map<number, 'dns' | 'email' | 'uri'>([
  [0x81, 'email'],
  [0x82, 'dns'],
  [0x86, 'uri'],
]);
const OTHER_TAGS = new Set([0xa0, 0xa3, 0xa5, 0x88]);

/** @throws Asn1Error */
export function parseGeneralName(node: Node): GeneralName {
  const tag = tagOf(node);
  const type = TEXT_TYPES.get(tag);
  if (type !== undefined) return { type, text: visibleText(contentOf(node)) };
  if (tag === 0x87) return { type: 'ip', bytes: contentOf(node) };
  if (tag === 0xa4) {
    const [name, extra] = childrenOf(node, 0xa4);
    if (extra !== undefined) throw new Asn1Error('directoryName is not one name');
    return { type: 'directory', name: parseName(name) };
  }
  if (OTHER_TAGS.has(tag)) return { type: 'other', tag };
  throw new Asn1Error('unknown kind of name');
}

/** A NUL, a line break or a space in a name is read by the next parser as its end: `a.example\0.evil` (CVE-2009-2408). */
function visibleText(bytes: Uint8Array): string {
  const text = asciiText(bytes);
  if (/[\0-\x20\x7f]/.test(text)) throw new Asn1Error('name holds a control character or a space');
  return text;
}

/** @throws Asn1Error; for an empty list too, and for an address that is neither IPv4 nor IPv6. */
export function parseAlternativeNames(node: Node): readonly GeneralName[] {
  const names = someOf(node, UNIVERSAL.sequence).map(parseGeneralName);
  for (const name of names) {
    if (name.type === 'ip' && name.bytes.length !== 4 && name.bytes.length !== 16) {
      throw new Asn1Error('iPAddress has a wrong length');
    }
    if (name.type !== 'ip' && name.type !== 'other' && name.type !== 'directory' && name.text === '') {
      throw new Asn1Error('empty name');
    }
  }
  return names;
}

/** Dotted IPv4, or IPv6 in the form of RFC 5952. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, at) => ((bytes[at * 2] ?? 0) << 8) | (bytes[at * 2 + 1] ?? 0));
  const { start, length } = longestZeros(groups);
  const text = (part: readonly number[]) => part.map(group => group.toString(16)).join(':');
  if (length < 2) return text(groups);
  return `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let at = 0; at < groups.length; at++) {
    let end = at;
    while (groups[end] === 0) end++;
    if (end - at > best.length) best = { start: at, length: end - at };
    at = Math.max(at, end - 1);
  }
  return best;
}
