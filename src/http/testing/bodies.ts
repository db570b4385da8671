/** For tests: bodies decoded in one go or in pieces. Text is latin1. */
import type { BodyDecoder } from '../body.ts';

export interface Decoded {
  readonly outcome: 'more' | 'end' | 'error';
  readonly data: string;
  /** Bytes of all pieces that belong to the body; only at the end. */
  readonly consumed?: number;
  readonly trailers?: readonly (readonly [string, string])[];
}

export function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, character => character.charCodeAt(0));
}

export function decode(decoder: BodyDecoder, pieces: readonly string[]): Decoded {
  let data = '';
  let before = 0;
  const sink = {
    data(slice: Uint8Array) {
      for (const byte of slice) data += String.fromCharCode(byte);
    },
  };
  for (const piece of pieces) {
    const progress = decoder.read(bytes(piece), sink);
    if (progress.kind === 'error') return { outcome: 'error', data };
    if (progress.kind === 'end') {
      const trailers = progress.trailers.names.map((name, i) => [name, progress.trailers.values[i] ?? ''] as const);
      return { outcome: 'end', data, consumed: before + progress.consumed, trailers };
    }
    before += piece.length;
  }
  return { outcome: 'more', data };
}
