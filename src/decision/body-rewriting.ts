/** When the body of an answer is rewritten, and what then becomes of it (P12). */
import type { BodyRewrite } from '../api/kinds/steps.ts';
import type { AnswerHeaders } from './answer-headers.ts';

export interface BodyRewriting {
  /** Most bytes that are held. */
  readonly maxBytes: number;
  /** Of a larger body: 502, or the body unchanged. */
  readonly onOversize: 'Fail' | 'Pass';
  /** Over the whole body as latin1 text, one character a byte. */
  readonly rewrite: (text: string) => string;
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
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return 'Kept';
  const mediaType = mediaTypeOf(headers.values('content-type')[0] ?? '');
  const isRanged = status === 206 || headers.values('content-range').length > 0;
  if (!isListed(mediaType, bodies.mediaTypes)) {
    // The parts of multipart/byteranges have types of their own, which nobody has read.
    return isRanged && mediaType === 'multipart/byteranges' ? 'Refused' : 'Kept';
  }
  return isRanged || isEncoded(headers) ? 'Refused' : 'Rewritten';
}
