/** Name constraints (RFC 5280 4.2.1.10, 6.1.4 g, 6.1.3 b c): which names may stand below a CA. */
import { Asn1Error, childrenOf, someOf, tagOf, type Node } from './der.ts';
import { parseGeneralName, type GeneralName } from './general-name.ts';
import { isEmptyName, type DistinguishedName } from './name.ts';

export interface NameConstraints {
  readonly permitted: readonly GeneralName[];
  readonly excluded: readonly GeneralName[];
}

/** @throws Asn1Error; also for bases that are no names of their kind, for `minimum` and `maximum`, and for an empty extension. */
export function parseNameConstraints(node: Node): NameConstraints {
  const lists = new Map(childrenOf(node).map(list => [tagOf(list), someOf(list, tagOf(list)).map(parseSubtree)]));
  const known = [0xa0, 0xa1].filter(tag => lists.has(tag)).length;
  if (known === 0 || known !== childrenOf(node).length) throw new Asn1Error('nameConstraints has a wrong form');
  return { permitted: lists.get(0xa0) ?? [], excluded: lists.get(0xa1) ?? [] };
}

function parseSubtree(node: Node): GeneralName {
  const [base, extra] = childrenOf(node);
  // minimum 0 is the default, and RFC 5280 allows nothing else.
  if (base === undefined || extra !== undefined) throw new Asn1Error('subtree has a minimum or maximum');
  const name = parseGeneralName(base);
  if (!isConstraintSound(name)) throw new Asn1Error('constraint is not a name of its kind');
  return name;
}

function isConstraintSound(name: GeneralName): boolean {
  switch (name.type) {
    case 'dns':
      return name.text === '' || isHostName(name.text);
    case 'uri':
      return isHostName(name.text.replace(/^\./, ''));
    case 'email':
      return name.text.includes('@') ? splitMailbox(name.text) !== undefined : isHostName(name.text.replace(/^\./, ''));
    case 'ip':
      return (name.bytes.length === 8 || name.bytes.length === 32) && isPrefixMask(name.bytes);
    case 'directory':
    case 'other':
      return true;
  }
}

function isPrefixMask(bytes: Uint8Array): boolean {
  const bits = Array.from(bytes.subarray(bytes.length / 2), octet => octet.toString(2).padStart(8, '0')).join('');
  return /^1*0*$/.test(bits);
}

const HOST_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$/;

const isHostName = (text: string): boolean => HOST_NAME.test(text);

function splitMailbox(text: string): { local: string; host: string } | undefined {
  const at = text.lastIndexOf('@');
  const local = text.slice(0, at);
  const host = text.slice(at + 1);
  return at > 0 && isHostName(host) && !local.includes('@') ? { local, host: host.toLowerCase() } : undefined;
}

/** Every name of a certificate that constraints speak of: alternative names, the subject, and emailAddress where there is no rfc822Name. */
export function constrainedNames(
  subject: DistinguishedName,
  alternatives: readonly GeneralName[],
): readonly GeneralName[] {
  const names = [...alternatives];
  if (!isEmptyName(subject)) names.push({ type: 'directory', name: subject });
  if (!alternatives.some(name => name.type === 'email')) {
    for (const { type, text } of subject.relative.flat()) {
      if (type === '1.2.840.113549.1.9.1') names.push({ type: 'email', text: text ?? '' });
    }
  }
  return names;
}

/** Counts comparisons, so that 1,000 names times 1,000 constraints cannot hold the process (limbo `nc-dos`). */
export interface Budget {
  left: number;
}

/** Whether all names obey. A name that is not of its kind, or of a kind we cannot compare, disobeys. False when the budget is used up. */
export function obeysConstraints(names: readonly GeneralName[], constraints: NameConstraints, budget: Budget): boolean {
  return names.every(name => obeys(name, constraints, budget));
}

function obeys(name: GeneralName, { permitted, excluded }: NameConstraints, budget: Budget): boolean {
  const relevant = (base: GeneralName) => base.type === name.type && (base.type !== 'other' || sameTag(base, name));
  const allowed = permitted.filter(relevant);
  const banned = excluded.filter(relevant);
  if (allowed.length === 0 && banned.length === 0) return true;
  budget.left -= permitted.length + excluded.length;
  if (budget.left < 0 || !isComparable(name)) return false;
  return (allowed.length === 0 || allowed.some(base => isWithin(name, base))) && !banned.some(b => mayTouch(name, b));
}

const sameTag = (a: GeneralName, b: GeneralName) => a.type === 'other' && b.type === 'other' && a.tag === b.tag;

function isComparable(name: GeneralName): boolean {
  switch (name.type) {
    case 'dns':
      return isHostName(name.text.replace(/^\*\./, ''));
    case 'email':
      return splitMailbox(name.text) !== undefined;
    case 'uri':
      return hostOfUri(name.text) !== undefined;
    case 'ip':
    case 'directory':
      return true;
    case 'other':
      return false;
  }
}

/** RFC 5280: the host must be a name; a URI without one, or with an address, cannot be compared. */
function hostOfUri(uri: string): string | undefined {
  const authority = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/([^/?#]*)/.exec(uri)?.[1];
  const host = authority?.replace(/^.*@/, '').replace(/:\d*$/, '').toLowerCase();
  return host === undefined || !isHostName(host) || /^[\d.]+$/.test(host) ? undefined : host;
}

function isWithin(name: GeneralName, base: GeneralName): boolean {
  if (name.type === 'dns' && base.type === 'dns') return isBelow(name.text.toLowerCase(), base.text.toLowerCase());
  if (name.type === 'email' && base.type === 'email') return isMailboxWithin(name.text, base.text);
  if (name.type === 'uri' && base.type === 'uri') return isHostWithin(hostOfUri(name.text) ?? '', base.text);
  if (name.type === 'ip' && base.type === 'ip') return isAddressWithin(name.bytes, base.bytes);
  if (name.type === 'directory' && base.type === 'directory') {
    return base.name.keys.every((key, at) => key === name.name.keys[at]);
  }
  return false;
}

/** For exclusion a wildcard counts as every name it may stand for (CVE-2025-61727). */
function mayTouch(name: GeneralName, base: GeneralName): boolean {
  if (isWithin(name, base)) return true;
  if (name.type !== 'dns' || base.type !== 'dns' || !name.text.startsWith('*.')) return false;
  return isBelow(base.text.toLowerCase(), name.text.slice(2).toLowerCase());
}

const isBelow = (host: string, base: string): boolean => base === '' || host === base || host.endsWith(`.${base}`);

/** Leading dot: hosts below it only; otherwise that host only. */
function isHostWithin(host: string, base: string): boolean {
  const folded = base.toLowerCase();
  return folded.startsWith('.') ? host.endsWith(folded) : host === folded;
}

function isMailboxWithin(text: string, base: string): boolean {
  const mailbox = splitMailbox(text);
  if (mailbox === undefined) return false;
  if (!base.includes('@')) return isHostWithin(mailbox.host, base);
  const wanted = splitMailbox(base);
  return wanted !== undefined && wanted.local === mailbox.local && wanted.host === mailbox.host;
}

function isAddressWithin(address: Uint8Array, base: Uint8Array): boolean {
  const length = address.length;
  if (base.length !== length * 2) return false;
  return address.every(
    (octet, at) => (octet & (base[length + at] ?? 0)) === ((base[at] ?? 0) & (base[length + at] ?? 0)),
  );
}
