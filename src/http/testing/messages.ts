/** For tests: messages read in one go or cut into pieces. */
import { createRequestReader, createResponseReader } from '../message.ts';
import type { HeadLimits, Progress, RequestHead, ResponseHead } from '../message.ts';

export const LIMITS: HeadLimits = { headBytes: 65536, headers: 100, targetBytes: 16384 };

export function readRequest(text: string, limits: HeadLimits = LIMITS): Progress<RequestHead> {
  return createRequestReader(limits).read(text);
}

export function readResponse(text: string, method = 'GET', limits: HeadLimits = LIMITS): Progress<ResponseHead> {
  return createResponseReader(limits).read(text, method);
}

/** The head of a request that must be accepted. */
export function requestHead(text: string, limits: HeadLimits = LIMITS): RequestHead {
  return headOf(readRequest(text, limits));
}

export function responseHead(text: string, method = 'GET'): ResponseHead {
  return headOf(readResponse(text, method));
}

export function headOf<Head>(progress: Progress<Head>): Head {
  if (progress.kind !== 'head') throw new Error(`no head but ${JSON.stringify(progress)}`);
  return progress.head;
}

/** The reason of a refusal, or what happened instead. */
export function refusalOf(progress: Progress<unknown>): string {
  return progress.kind === 'error' ? progress.reason : progress.kind;
}

/** Feeds pieces until something is decided. `consumed` then counts from the start of the whole text. */
export function feed<Head>(pieces: readonly string[], read: (chunk: string) => Progress<Head>): Progress<Head> {
  let before = 0;
  for (const piece of pieces) {
    const progress = read(piece);
    if (progress.kind === 'head') return { ...progress, consumed: before + progress.consumed };
    if (progress.kind === 'error') return progress;
    before += piece.length;
  }
  return { kind: 'more' };
}

/** `text` cut at each of `cuts`, whatever their order. */
export function cutAt(text: string, cuts: readonly number[]): string[] {
  const places = [...new Set(cuts.map(cut => cut % (text.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((from, i) => text.slice(from, places[i] ?? text.length));
}
