/** Bodies (RFC 9112 sections 6 and 7): chunked framing read and written, lengths counted. Pure, over Uint8Array. */
import type { ParsedFields } from './message.ts';

export interface BodySink {
  /** A slice of the input, not a copy: valid as long as the caller leaves the input alone. Never empty. */
  data(slice: Uint8Array): void;
}

export type BodyProgress =
  | { readonly kind: 'more' }
  /** `consumed` bytes of the last input belong to this body; the rest is the next message. */
  | { readonly kind: 'end'; readonly consumed: number; readonly trailers: ParsedFields }
  /** The framing is broken: 400 from a client, abort from the app. */
  | { readonly kind: 'error' };

export interface BodyDecoder {
  read(input: Uint8Array, sink: BodySink): BodyProgress;
}
