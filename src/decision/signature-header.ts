/** What a request says of its signature, read before its body is: a message that cannot be good is not held (P10). */
import { keepsBound } from '../api/signed-payload.ts';
import { findAll } from '../http/head.ts';
import type { RequestView } from '../policy/request.ts';
import type { CompiledSignature, SignatureScheme } from '../policy/steps.ts';
import { object, type Objection } from './objection.ts';

export interface StatedSignature {
  /** As written, each of the right length; any one may be the right one. */
  readonly signatures: readonly string[];
  /** As received; empty where the scheme has none. */
  readonly timestamp: string;
  readonly id: string;
}

/** Senders that rotate their keys write two or three. */
const MOST_SIGNATURES = 16;

const BYTES = { sha1: 20, sha256: 32, sha512: 64 } as const;

const NOT_PRESENT = object('SignatureNotPresent');
const MALFORMED = object('SignatureInvalid', 'the header holds no signature of the scheme');
const UNTIMED = object('SignatureInvalid', 'the time is missing, or is no number of seconds without leading zeros');
const UNNAMED = object('SignatureInvalid', 'the header of the id is missing');
const UNBOUND = object('SignatureInvalid', 'the id holds what divides it from the rest of the signed text');
const EXPIRED = object('SignatureExpired');
/** Leading zeros are refused: a digit more or less could be one of the body's. */
const SECONDS = /^[1-9][0-9]{0,11}$/;
/** It is no bearer token, so RFC 6750 has no challenge for it. */
const TWICE: Objection = { reason: 'DuplicateCredential', challenges: [] };

/** E3. */
export const isSigned = ({ headers }: RequestView, { scheme }: CompiledSignature): boolean =>
  findAll(headers, scheme.header).some(value => value !== '');

/** One line of a header. A second one is refused: the app might believe the other. */
function readLine({ headers }: RequestView, name: string | undefined): string | undefined | Objection {
  if (name === undefined) return '';
  const [value, ...more] = findAll(headers, name);
  return more.length > 0 ? TWICE : value === '' ? undefined : value;
}

export function readSignature(request: RequestView, step: CompiledSignature, now: number): StatedSignature | Objection {
  const { scheme } = step;
  const header = readLine(request, scheme.header);
  if (header === undefined) return NOT_PRESENT;
  const [timeLine, id] = [readLine(request, scheme.timestampHeader), readLine(request, scheme.idHeader)];
  for (const line of [header, timeLine, id]) if (typeof line === 'object') return line;
  if (typeof header === 'object') return header;
  const stated = splitHeader(header, scheme);
  const signatures = stated.signatures.slice(0, MOST_SIGNATURES).filter(text => fits(text, scheme));
  if (signatures.length === 0) return MALFORMED;
  if (typeof id !== 'string') return UNNAMED;
  if (scheme.idBound !== undefined && !keepsBound(id, scheme.idBound)) return UNBOUND;
  const isTimed = scheme.form === 'Stripe' || scheme.timestampHeader !== undefined;
  const timestamp = scheme.form === 'Stripe' ? stated.timestamp : timeLine;
  if (!isTimed) return { signatures, timestamp: '', id };
  if (typeof timestamp !== 'string' || !SECONDS.test(timestamp)) return UNTIMED;
  if (Math.abs(now - Number(timestamp) * 1000) > step.toleranceMs) return EXPIRED;
  return { signatures, timestamp, id };
}

interface Split {
  readonly signatures: readonly string[];
  /** Of the form Stripe. */
  readonly timestamp?: string;
}

function splitHeader(header: string, scheme: SignatureScheme): Split {
  switch (scheme.form) {
    case 'Bare':
      return { signatures: header.startsWith(scheme.prefix) ? [header.slice(scheme.prefix.length).trim()] : [] };
    case 'Stripe':
      return splitStripe(header);
    case 'Versions':
      return { signatures: header.split(' ').flatMap(part => (part.startsWith('v1,') ? [part.slice(3)] : [])) };
  }
}

/** `t=1492774577,v1=…,v0=…`: other schemes than v1 are not looked at, so that nobody downgrades. */
function splitStripe(header: string): Split {
  const pairs = header.split(',').map(part => part.trim());
  const find = (name: string): string[] =>
    pairs.flatMap(pair => (pair.startsWith(`${name}=`) ? [pair.slice(name.length + 1)] : []));
  const [timestamp, ...more] = find('t');
  return { signatures: find('v1'), ...(timestamp === undefined || more.length > 0 ? {} : { timestamp }) };
}

function fits(text: string, { encoding, algorithm }: SignatureScheme): boolean {
  const bytes = BYTES[algorithm];
  if (encoding === 'Hex') return text.length === bytes * 2 && /^[0-9A-Fa-f]*$/.test(text);
  return text.length === Math.ceil(bytes / 3) * 4 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
}
