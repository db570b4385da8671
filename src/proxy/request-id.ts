/** Names of requests: X-Request-Id, and the trace context of W3C. */

const HEX = '0123456789abcdef';
const VALID_ID = /^[A-Za-z0-9._:-]{1,128}$/;
/** W3C Trace Context, version 00; all-zero ids are invalid. */
const VALID_PARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

export interface RequestIds {
  /** Unique over processes and restarts by a random prefix; says nothing and keeps no secret. */
  nextRequestId(): string;
  /** A new trace, for requests that come without one. */
  nextTraceParent(): string;
}

/** `randomBytes` is asked seldom: 4 KiB at a time for traces, once for request ids. */
export function createRequestIds(randomBytes: (size: number) => Uint8Array): RequestIds {
  const prefix = toHex(randomBytes(10), 0, 10);
  let count = 0;
  let pool = new Uint8Array(0);
  let at = 0;
  const take = (size: number): string => {
    if (at + size > pool.length) {
      pool = Uint8Array.from(randomBytes(4096));
      at = 0;
    }
    at += size;
    return toHex(pool, at - size, at);
  };
  return {
    nextRequestId: () => {
      count += 1;
      return `${prefix}-${count.toString(16).padStart(8, '0')}`;
    },
    // The last bit set: whoever traces behind us samples as it would without us.
    nextTraceParent: () => `00-${take(16)}-${take(8)}-01`,
  };
}

export const isRequestId = (text: string): boolean => VALID_ID.test(text);
export const isTraceParent = (text: string): boolean => text.length === 55 && VALID_PARENT.test(text);

function toHex(bytes: Uint8Array, from: number, to: number): string {
  let text = '';
  for (let i = from; i < to; i += 1) {
    const byte = bytes[i] ?? 0;
    text += (HEX[byte >> 4] ?? '') + (HEX[byte & 15] ?? '');
  }
  return text;
}
