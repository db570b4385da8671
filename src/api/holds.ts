/** Checks that a pattern cannot state and that need no other object: addresses, URLs, references, headers. */
import { formatCidr, isIpv4Mapped, maskCidr, parseCidr, parseIpv4, parseIpv6 } from './cidr.ts';
import { parseAddressRange, type RangeProblem } from './address-range.ts';
import { BODY, findAmbiguity, parsePayload } from './signed-payload.ts';
import type { StringSchema } from './schema.ts';
import { refuse, type Scene } from './scene.ts';
import { quote } from './words.ts';

/**
 * Header names that belong to the message's framing or to one connection (P13; RFC 9110 section 7.6.1, RFC 9112): a
 * policy that wrote them could make the app read another message than the one that was judged.
 */
export const FRAMING_HEADERS: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'upgrade',
  'proxy-connection',
  'http2-settings',
]);

/** What a policy is told that names one of them. */
export const FRAMING_PROBLEM = 'frames the message or belongs to the connection, so no policy may set or remove it';

/** True for names that no policy may set or remove, in any spelling that a back end may fold together. */
export function isFramingHeader(name: string): boolean {
  const folded = name.toLowerCase().replace(/[_.]/g, '-');
  return FRAMING_HEADERS.has(folded) || folded.startsWith('proxy-');
}

/** True when the text is what the schema says it holds; CEL and templates are compiled in policy/. */
export function checkHolds(holds: StringSchema['holds'], text: string, field: string, scene: Scene): boolean {
  switch (holds) {
    case 'cidr':
      return checkCidr(text, field, scene);
    case 'addressRange':
      return checkRange(text, field, scene);
    case 'signedPayload':
      return checkPayload(text, field, scene);
    case 'url':
      return checkUrl(text, field, scene);
    case 'settableHeader':
      return checkSettableHeader(text, field, scene);
    case 'pathTemplate':
      return checkPath(text, field, scene);
    case 'reference':
      return checkReference(text, field, scene);
    case 'time':
      return checkTime(text, field, scene);
    case 'headerName':
    case 'address':
    case 'cel':
    case 'template':
    case undefined:
      return true;
  }
}

function checkCidr(text: string, field: string, scene: Scene): boolean {
  const cidr = parseCidr(text);
  if (cidr === undefined) {
    const single = parseIpv4(text) !== undefined ? 32 : parseIpv6(text) !== undefined ? 128 : undefined;
    const fix = single === undefined ? 'write one such as 10.0.8.0/24 or 2001:db8::/32' : `write ${text}/${single}`;
    refuse(scene, field, `${quote(text)} is not an address range`, fix);
    return false;
  }
  if (isIpv4Mapped(cidr)) {
    const plain = formatCidr({ family: 4, bytes: cidr.bytes.slice(12), prefix: cidr.prefix - 96 });
    refuse(scene, field, `${quote(text)} is a range of IPv4 addresses in IPv6 form`, `write ${plain}`);
    return false;
  }
  const masked = maskCidr(cidr);
  if (masked.bytes.some((byte, index) => byte !== cidr.bytes[index])) {
    refuse(scene, field, `${quote(text)} has bits set beyond its prefix`, `write ${formatCidr(masked)}`);
    return false;
  }
  return true;
}

/** E9: the three parts and nothing else. A signature that leaves out the body would prove nothing about it. */
function checkPayload(text: string, field: string, scene: Scene): boolean {
  const parts = parsePayload(text);
  if (typeof parts === 'string') {
    refuse(
      scene,
      field,
      `holds ${quote(parts)}, but only \${body}, \${timestamp} and \${id} stand for something here`,
      'write $${ for a literal ${',
    );
    return false;
  }
  if (parts.filter(part => part === BODY).length !== 1) {
    refuse(
      scene,
      field,
      'does not hold ${body} once',
      'write ${body} where the body stands, for example ${timestamp}.${body}',
    );
    return false;
  }
  const ambiguity = findAmbiguity(parts);
  if (ambiguity !== undefined) refuse(scene, field, ambiguity.problem, ambiguity.fix);
  return ambiguity === undefined;
}

const RANGE_PROBLEMS: Readonly<Record<Exclude<RangeProblem, 'host bits'>, readonly [problem: string, fix: string]>> = {
  'not an address': ['is not an address or range', 'write 203.0.113.7, 203.0.113.0/24 or 198.51.100.7-198.51.100.20'],
  'families differ': ['is a range from IPv4 to IPv6', 'write both ends in one form'],
  backwards: ['is a range that ends before it begins', 'write the lower address first'],
};

function checkRange(text: string, field: string, scene: Scene): boolean {
  const range = parseAddressRange(text);
  if (typeof range === 'object') return true;
  if (range === 'host bits') return checkCidr(text, field, scene);
  const [problem, fix] = RANGE_PROBLEMS[range];
  refuse(scene, field, `${quote(text)} ${problem}`, fix);
  return false;
}

function checkUrl(text: string, field: string, scene: Scene): boolean {
  if (URL.canParse(text)) return true;
  refuse(scene, field, `${quote(text)} is not a URL`, 'write scheme, host and path, for example https://a.example/x');
  return false;
}

/** The pattern lets 31 February through. */
function checkTime(text: string, field: string, scene: Scene): boolean {
  const day = Date.parse(`${text.slice(0, 10)}T00:00:00Z`);
  const isReal = !Number.isNaN(day) && new Date(day).toISOString().startsWith(text.slice(0, 10));
  if (isReal && !Number.isNaN(Date.parse(text))) return true;
  refuse(scene, field, `${quote(text)} is no moment of the calendar`, 'write a time such as 2027-01-31T00:00:00Z');
  return false;
}

function checkSettableHeader(text: string, field: string, scene: Scene): boolean {
  if (!isFramingHeader(text)) return true;
  refuse(scene, field, `the header ${quote(text)} ${FRAMING_PROBLEM}`, 'remove it');
  return false;
}

/** Canonical paths hold no dot segments and no percent-encoded dots, so such a template would never match. */
function checkPath(text: string, field: string, scene: Scene): boolean {
  const before = scene.violations.length;
  const dots = text.split('/').find(segment => /^(\.|%2e){1,2}$/i.test(segment));
  if (dots !== undefined) refuse(scene, field, `holds the segment ${quote(dots)}, which no request has`, 'remove it');
  const names = [...text.matchAll(/\{([^}]*)\}/g)].map(([, name = '']) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) {
    refuse(scene, field, `holds the parameter ${quote(twice)} twice`, 'give each parameter its own name');
  }
  return scene.violations.length === before;
}

function checkReference(text: string, field: string, scene: Scene): boolean {
  const slash = text.indexOf('/');
  const namespace = slash < 0 ? undefined : text.slice(0, slash);
  if (scene.clusterScoped && namespace === undefined) {
    refuse(scene, field, `${quote(text)} has no namespace`, `write namespace/name, for example shop/${text}`);
    return false;
  }
  if (!scene.clusterScoped && namespace !== undefined) {
    const problem = `${quote(text)} names another namespace, and references stay within their own`;
    refuse(scene, field, problem, `write ${quote(text.slice(slash + 1))}`);
    return false;
  }
  return true;
}
