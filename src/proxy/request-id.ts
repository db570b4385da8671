/** Names of requests: X-Request-Id, and the trace context of W3C. */

const VALID_ID = /^[A-Za-z0-9._:-]{1,128}$/;
/** W3C Trace Context, version 00; all-zero ids are invalid. */
const VALID_PARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

export interface RequestIds {
  /** Unique over processes and restarts by a random prefix; says nothing and keeps no secret. */
  nextRequestId(): string;
  /** A new trace, for requests that come without one. */
  nextTraceParent(): string;
}

/** Enough for 85 traces: asking for randomness costs more than the randomness. */
const POOL_BYTES = 2040;

/** `randomBytes` is asked seldom: a pool at a time for traces, once for request ids. */
export function createRequestIds(randomBytes: (size: number) => Uint8Array): RequestIds {
  const prefix = `${toHex(randomBytes(10))}-`;
  let count = 0;
  let pool = '';
  let at = 0;
  return {
    nextRequestId: () => {
      count += 1;
      return prefix + count.toString(16).padStart(8, '0');
    },
    nextTraceParent: () => {
      if (at + 48 > pool.length) {
        pool = toHex(randomBytes(POOL_BYTES));
        at = 0;
      }
      at += 48;
      // The last bit set: whoever traces behind us samples as it would without us.
      return `00-${pool.slice(at - 48, at - 16)}-${pool.slice(at - 16, at)}-01`;
    },
  };
}

export const isRequestId = (text: string): boolean => VALID_ID.test(text);
export const isTraceParent = (text: string): boolean => text.length === 55 && VALID_PARENT.test(text);

const toHex = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
