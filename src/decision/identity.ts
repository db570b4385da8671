/** Whether a verified certificate is one of those that a step names (P2): all given fields of an entry must hold. */
import { parseIpv4, parseIpv6 } from '../api/cidr.ts';
import type { CertificateIdentity, StringMatch } from '../api/kinds/steps.ts';
import { equalNames } from './distinguished-name.ts';
import type { CertificateFacts } from './evidence.ts';

/** Hex digits as people copy them: colons, spaces and case do not count. */
function plainHex(text: string): string {
  return text.replace(/[: ]/g, '').toUpperCase();
}

const equalSerials = (a: string, b: string): boolean =>
  plainHex(a).replace(/^0+(?=.)/, '') === plainHex(b).replace(/^0+(?=.)/, '');

function matchesText(value: string, match: StringMatch): boolean {
  if (match.exact !== undefined) return value === match.exact;
  if (match.prefix !== undefined) return value.startsWith(match.prefix);
  return match.suffix !== undefined && value.endsWith(match.suffix);
}

/** A suffix ends at a label: `example.com` takes `a.example.com`, never `badexample.com`, which anybody may register. */
function endsAtLabel(name: string, suffix: string, starts: string): boolean {
  if (!name.endsWith(suffix)) return false;
  const before = name.at(-suffix.length - 1);
  return before === undefined || starts.includes(before) || starts.includes(suffix.charAt(0));
}

function matchesDns(value: string, match: StringMatch): boolean {
  const name = value.toLowerCase();
  if (match.suffix !== undefined) return endsAtLabel(name, match.suffix.toLowerCase(), '.');
  return match.exact !== undefined && name === match.exact.toLowerCase();
}

/** The part before `@` is compared as it is, the domain without case (RFC 5280 section 4.2.1.6). */
function lowerDomain(address: string): string {
  const at = address.lastIndexOf('@');
  return address.slice(0, at + 1) + address.slice(at + 1).toLowerCase();
}

function matchesEmail(value: string, match: StringMatch): boolean {
  const address = lowerDomain(value);
  if (match.suffix !== undefined) return endsAtLabel(address, lowerDomain(match.suffix), '@.');
  if (match.prefix !== undefined) return address.startsWith(match.prefix);
  return match.exact !== undefined && address === lowerDomain(match.exact);
}

/** An address has many spellings; exact compares what they mean, prefix and suffix the text of the certificate. */
function matchesAddress(value: string, match: StringMatch): boolean {
  if (match.exact === undefined) return matchesText(value, match);
  const bytes = (text: string): string => (parseIpv4(text) ?? parseIpv6(text) ?? [text]).join();
  return bytes(value) === bytes(match.exact);
}

type AlternativeNames = Exclude<CertificateIdentity['subjectAltName'], undefined>;

function matchesAlternativeNames(facts: CertificateFacts, wanted: AlternativeNames): boolean {
  const { uri, dns, email, ip } = wanted;
  const names = facts.subjectAltName;
  return (
    (uri === undefined || names.uri.some(name => matchesText(name, uri))) &&
    (dns === undefined || names.dns.some(name => matchesDns(name, dns))) &&
    (email === undefined || names.email.some(name => matchesEmail(name, email))) &&
    (ip === undefined || names.ip.some(name => matchesAddress(name, ip)))
  );
}

const commonNameOf = (facts: CertificateFacts): string | undefined =>
  Object.hasOwn(facts.subject, 'CN') ? facts.subject['CN'] : undefined;

const isThumbprint = (given: string, thumbprints: readonly string[]): boolean => thumbprints.includes(plainHex(given));

export function matchesIdentity(facts: CertificateFacts, identity: CertificateIdentity): boolean {
  const { thumbprint, publicKeyPin, serialNumber, commonName, subject } = identity;
  const { issuerSubject, issuerThumbprint, subjectAltName } = identity;
  return (
    (thumbprint === undefined || isThumbprint(thumbprint, [facts.sha1, facts.sha256])) &&
    (publicKeyPin === undefined || publicKeyPin.replace('sha256/', '') === facts.publicKeyPin) &&
    (serialNumber === undefined || equalSerials(serialNumber, facts.serialNumber)) &&
    (commonName === undefined || commonName === commonNameOf(facts)) &&
    (subject === undefined || equalNames(subject, facts.subjectText)) &&
    (issuerSubject === undefined || equalNames(issuerSubject, facts.issuerText)) &&
    (issuerThumbprint === undefined || isThumbprint(issuerThumbprint, facts.issuerThumbprints ?? [])) &&
    (subjectAltName === undefined || matchesAlternativeNames(facts, subjectAltName))
  );
}
