/** Bodies (RFC 9112 sections 6 and 7): where they end, read without copying, and chunks written. Pure, over Uint8Array. */
import { hexDigit } from './characters.ts';
import { createFieldList, type ParsedFields } from './fields.ts';
import type { ResponseHead } from './message.ts';
import { classifyName, type NameTable } from './names.ts';
import { createTrailerReader } from './trailers.ts';

export interface BodySink {
  /** A slice of the input, not a copy: valid as long as the caller leaves the input alone. Never empty. */
  data(slice: Uint8Array): void;
}

export type BodyProgress =
  | { readonly kind: 'more' }
  | {
      readonly kind: 'end';
      /** Bytes of the last input that belong to this body; the rest is the next message. */
      readonly consumed: number;
      readonly trailers: ParsedFields;
    }
  /** The framing is broken: 400 to a client; an answer of the app is aborted. Stays so. */
  | { readonly kind: 'error' };

export interface BodyDecoder {
  /** Takes the next bytes. An empty input is allowed: a body of no bytes ends without any. Not to be used after `end`. */
  read(input: Uint8Array, sink: BodySink): BodyProgress;
}

const WAIT: BodyProgress = { kind: 'more' };
const FAILED: BodyProgress = { kind: 'error' };

/** `until-close` never ends by itself: the end of the connection is its end. */
export function createBodyDecoder(framing: ResponseHead['framing'], table?: NameTable): BodyDecoder {
  switch (framing.kind) {
    case 'none':
      return createLengthCounter(0);
    case 'length':
      return createLengthCounter(framing.length);
    case 'chunked':
      return createChunkedDecoder(table);
    case 'until-close':
      return createLengthCounter(Infinity);
  }
}

export function createLengthCounter(length: number): BodyDecoder {
  let left = length;
  return {
    read(input, sink) {
      const taken = Math.min(left, input.length);
      if (taken > 0) sink.data(taken === input.length ? input : input.subarray(0, taken));
      left -= taken;
      return left === 0 ? { kind: 'end', consumed: taken, trailers: createFieldList() } : WAIT;
    },
  };
}

const WITHOUT_TABLE: NameTable = { classify: classifyName };

/** Thirteen digits are less than 2^52: sizes stay exact. */
const MOST_DIGITS = 13;
const MOST_EXTENSION = 256;
const MOST_EXTENSIONS = 16 * 1024;

/** What the next byte of the chunked coding belongs to. */
const SIZE = 0;
const EXTENSION = 1;
const SIZE_LF = 2;
const DATA = 3;
const DATA_CR = 4;
const DATA_LF = 5;
const TRAILERS = 6;
const BROKEN = 7;

/**
 * Chunked coding, strict: hex digits, then CRLF or an extension from `;`; CRLF after the data. Extensions are dropped,
 * at most 256 bytes a chunk and 16 KiB a body, and hold no control characters and no bytes from 0x80: bare CR or LF in
 * them is where parsers part ways (CVE-2024-22019, CVE-2025-22871). Trailers: see createTrailerReader.
 */
export function createChunkedDecoder(table: NameTable = WITHOUT_TABLE): BodyDecoder {
  let state = SIZE;
  let size = 0;
  let digits = 0;
  let extension = 0;
  let extensions = 0;
  let trailers: ReturnType<typeof createTrailerReader> | undefined;

  function readSize(byte: number): number {
    const digit = hexDigit(byte);
    if (digit >= 0 && digits < MOST_DIGITS) {
      size = size * 16 + digit;
      digits++;
      return SIZE;
    }
    if (digits === 0) return BROKEN;
    if (byte === 0x0d) return SIZE_LF;
    return byte === 0x3b ? readExtension(byte) : BROKEN;
  }

  function readExtension(byte: number): number {
    if (byte === 0x0d) return SIZE_LF;
    extension++;
    extensions++;
    if (extension > MOST_EXTENSION || extensions > MOST_EXTENSIONS) return BROKEN;
    return (byte >= 0x20 && byte < 0x7f) || byte === 0x09 ? EXTENSION : BROKEN;
  }

  function endSize(byte: number): number {
    if (byte !== 0x0a) return BROKEN;
    digits = 0;
    extension = 0;
    return size === 0 ? TRAILERS : DATA;
  }

  /** Where a byte of framing leads; DATA and TRAILERS are read in whole slices instead. */
  function step(byte: number): number {
    switch (state) {
      case SIZE:
        return readSize(byte);
      case EXTENSION:
        return readExtension(byte);
      case SIZE_LF:
        return endSize(byte);
      case DATA_CR:
        return byte === 0x0d ? DATA_LF : BROKEN;
      case DATA_LF:
        return byte === 0x0a ? SIZE : BROKEN;
      default:
        return BROKEN;
    }
  }

  function readTrailers(input: Uint8Array, at: number): BodyProgress {
    if (trailers === undefined && input[at] === 0x0d && input[at + 1] === 0x0a) {
      return { kind: 'end', consumed: at + 2, trailers: createFieldList() };
    }
    trailers ??= createTrailerReader(table);
    return trailers.read(input, at);
  }

  function read(input: Uint8Array, sink: BodySink): BodyProgress {
    for (let at = 0; at < input.length && state !== BROKEN;) {
      if (state === DATA) {
        const end = Math.min(input.length, at + size);
        sink.data(at === 0 && end === input.length ? input : input.subarray(at, end));
        size -= end - at;
        at = end;
        if (size === 0) state = DATA_CR;
      } else if (state === TRAILERS) {
        const progress = readTrailers(input, at);
        // What follows is the next message, not more of this body.
        if (progress.kind !== 'more') state = BROKEN;
        return progress;
      } else {
        state = step(input[at++] ?? 0);
      }
    }
    return state === BROKEN ? FAILED : WAIT;
  }

  return { read };
}

/** What stands before the data of a chunk. `length` is not 0: that would be the end of the body. */
export function chunkStart(length: number): string {
  return `${length.toString(16)}\r\n`;
}

/** What stands after the data of a chunk. */
export const CHUNK_END = '\r\n';

/** The end of a chunked body without trailers; with trailers see renderTrailers. */
export const LAST_CHUNK = '0\r\n\r\n';
