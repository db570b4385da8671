/** node:http2, loaded with the first connection that speaks it: a process that never meets one does without its memory. */
import type * as http2 from 'node:http2';

export type Http2 = typeof http2;

export const loadHttp2 = (): Http2 => process.getBuiltinModule('node:http2');

/** RFC 9113 section 7. */
export const CODE = {
  none: 0,
  protocol: 1,
  internal: 2,
  refused: 7,
  cancel: 8,
  calm: 11,
} as const;
