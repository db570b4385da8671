/** When the body of an answer is rewritten, and what then becomes of it (P12). */
import type { BodyRewrite } from '../api/kinds/flow-steps.ts';
import type { CompiledReplaceText } from '../policy/steps.ts';
import type { AnswerHeaders } from './answer-headers.ts';

export interface BodyRewriting {
  /** Most bytes that are held. */
  readonly maxBytes: number;
  /** Of a larger body: 502, or the body unchanged. */
  readonly onOversize: 'Fail' | 'Pass';
  /** Over the whole body as latin1 text, one character a byte; undefined: it would grow too large (502). */
  readonly rewrite: (text: string) => string | undefined;
}

const MEBIBYTE = 1024 * 1024;

/**
 * Most bytes of what a rewriting makes. A short text that is replaced by a long one can make much of little, and who
 * writes the little may be the attacker: what is held must stay in proportion to what the policy says may be held.
 */
const mostOf = ({ maxBytes }: BodyRewrite): number => Math.min(64 * MEBIBYTE, Math.max(MEBIBYTE, 4 * maxBytes));

/** Whether it could grow past the bound, told before anything is made. `to` stands for each place of any of `from`. */
export function outgrows(text: string, from: readonly string[], to: string, bodies: BodyRewrite): boolean {
  let size = text.length;
  for (const part of from) {
    const growth = to.length - part.length;
    if (growth > 0) size += countOf(text, part) * growth;
  }
  return size > mostOf(bodies);
}

/** replaceText: every place, from the left, none looked at twice. */
export function createReplacement({ from, to, bodies }: CompiledReplaceText): BodyRewriting['rewrite'] {
  // A function, since `$&` in a replacement text has a meaning of its own.
  return text => (outgrows(text, [from], to, bodies) ? undefined : text.replaceAll(from, () => to));
}

function countOf(text: string, part: string): number {
  let count = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) count++;
  return count;
}

const mediaTypeOf = (value: string): string => (value.split(';', 1)[0] ?? '').trim().toLowerCase();

function isListed(mediaType: string, listed: readonly string[]): boolean {
  return listed.some(one => {
    const wanted = one.toLowerCase();
    return wanted.endsWith('/*') ? mediaType.startsWith(wanted.slice(0, -1)) : mediaType === wanted;
  });
}

function isEncoded(headers: AnswerHeaders): boolean {
  return headers
    .values('content-encoding')
    .some(value => value.split(',').some(coding => !['', 'identity'].includes(coding.trim().toLowerCase())));
}

/** Names stand as ASCII bytes in these; in others (UTF-16, UTF-7) they could hide. */
function isForeignCharset(contentType: string): boolean {
  const told = [...contentType.matchAll(/;\s*charset\s*=\s*"?([^\s;"]*)/gi)];
  return told.some(([, charset = '']) => !READABLE.has(charset.toLowerCase()));
}

const READABLE: ReadonlySet<string> = new Set([
  '',
  'utf-8',
  'utf8',
  'us-ascii',
  'ascii',
  'iso-8859-1',
  'iso-8859-15',
  'windows-1252',
]);

/**
 * `Refused`: the app was asked for an unencoded, whole body and sent another, in which names could hide. An answer to
 * HEAD and one with 1xx, 204 or 304 has no body; a media type that is not listed is none of our business.
 */
export function planBody(
  bodies: BodyRewrite,
  method: string,
  status: number,
  headers: AnswerHeaders,
): 'Kept' | 'Rewritten' | 'Refused' {
  if (status < 200 || status === 204) return 'Kept';
  const types = headers.values('content-type');
  const mediaType = mediaTypeOf(types[0] ?? '');
  const isListedType = types.some(type => isListed(mediaTypeOf(type), bodies.mediaTypes));
  // The length told is that of a body that nobody would get.
  if (method === 'HEAD' || status === 304) return isListedType ? 'Rewritten' : 'Kept';
  const isRanged = status === 206 || headers.values('content-range').length > 0;
  if (!isListedType) {
    // The parts of multipart/byteranges have types of their own, which nobody has read.
    return isRanged && mediaType === 'multipart/byteranges' ? 'Refused' : 'Kept';
  }
  const isAmbiguous = types.some(type => type !== types[0] || isForeignCharset(type));
  return isRanged || isAmbiguous || isEncoded(headers) ? 'Refused' : 'Rewritten';
}
