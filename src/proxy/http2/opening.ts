/** Whether a plaintext client speaks HTTP/2 by prior knowledge: told by its first bytes (RFC 9113 section 3.4). */
import type { ClientSocket } from '../accepted-client.ts';
import type { Listener } from '../listener.ts';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

export type Opened =
  | { readonly kind: 'more' }
  | { readonly kind: 'http1'; readonly bytes: Buffer }
  /** The port speaks HTTP/2 only. */
  | { readonly kind: 'refused' }
  /** The bytes are back in the socket, which is nobody's now. */
  | { readonly kind: 'http2' };

export interface Opening {
  look(chunk: Buffer): Opened;
}

/** Undefined: the port and the handshake leave nothing open. `letGo` takes the connection's handlers off the socket. */
export function createOpening(
  { socket, handshake }: ClientSocket,
  listener: Listener,
  letGo: () => void,
): Opening | undefined {
  const speaks = listener.active?.plan.protocol;
  // Inside TLS HTTP/2 is agreed on by ALPN, or not spoken (RFC 9113 section 3.2).
  if (handshake !== undefined) return speaks === 'HTTP2' ? REFUSING : undefined;
  if (speaks === 'HTTP1') return undefined;
  let seen: Buffer | undefined;
  return {
    look: chunk => {
      const bytes = seen === undefined ? chunk : Buffer.concat([seen, chunk]);
      const start = bytes.toString('latin1', 0, Math.min(bytes.length, PREFACE.length));
      if (!PREFACE.startsWith(start)) return speaks === 'HTTP2' ? { kind: 'refused' } : { kind: 'http1', bytes };
      if (start.length < PREFACE.length) {
        seen = bytes;
        return { kind: 'more' };
      }
      letGo();
      socket.pause();
      socket.unshift(bytes);
      return { kind: 'http2' };
    },
  };
}

const REFUSING: Opening = { look: () => ({ kind: 'refused' }) };
