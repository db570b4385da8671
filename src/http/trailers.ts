/** Trailer sections (RFC 9112 section 7.1.2): the same field lines as in a head, fewer and smaller. */
import type { BodyProgress } from './body.ts';
import { createHeadReader } from './head-reader.ts';
import type { ParsedFields } from './fields.ts';
import type { NameTable } from './names.ts';

/** Of a trailer section. */
export const TRAILER_LIMITS = { headBytes: 8 * 1024, headers: 64, targetBytes: 0 };

export interface TrailerReader {
  /** Reads `input` from `at`; `consumed` of the end counts from the start of `input`. */
  read(input: Uint8Array, at: number): BodyProgress;
}

/**
 * At most 8 KiB and 64 fields, by the rules of a head. Every field is given back; renderTrailers leaves out those that
 * must not be passed on.
 */
export function createTrailerReader(table: NameTable): TrailerReader {
  const reader = createHeadReader<true, { readonly fields: ParsedFields }>(
    {
      skipsEmptyLine: false,
      malformed: 'MalformedRequest',
      tooLarge: 'MalformedRequest',
      readLine: (_, start) => ({ line: true, next: start }),
      judge: (_, fields) => ({ fields }),
    },
    TRAILER_LIMITS,
    table,
  );
  return {
    read(input, at) {
      const progress = reader.read(latin1(input, at, Math.min(input.length, at + TRAILER_LIMITS.headBytes)));
      if (progress.kind !== 'head') return progress;
      return { kind: 'end', consumed: at + progress.consumed, trailers: progress.head.fields };
    },
  };
}

const PIECE = 1024;

/** In pieces, since a call takes a bounded number of arguments. */
function latin1(input: Uint8Array, from: number, to: number): string {
  let text = '';
  for (let at = from; at < to; at += PIECE)
    text += String.fromCharCode(...input.subarray(at, Math.min(to, at + PIECE)));
  return text;
}
