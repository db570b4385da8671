/** Header names: what each one means to a proxy. Computed once per spelling and remembered in a bounded table. */
import { foldName } from './head.ts';
import { isToken } from './characters.ts';

/** Belongs to one connection: never forwarded as received (RFC 9110 section 7.6.1). */
export const HOP_BY_HOP = 1;
/** Says where a message ends or whom it is for (Host, Content-Length, Transfer-Encoding, Expect): written afresh. */
export const FRAMING = 2;
/** Never forwarded, whoever the peer is: method overrides, X-Original-*, X-Rewrite-*, look-alikes of framing headers. */
export const STRIPPED = 4;
/** Forwarded from trusted peers only: X-Forwarded-*, Forwarded, X-Real-IP, X-Request-Id. */
export const TRUSTED_PEER = 8;
/** Forwarded only from peers whose forwarded certificates count: X-Forwarded-Client-Cert, Client-Cert, Client-Cert-Chain. */
export const TRUSTED_CERTIFICATE = 16;
/** Never allowed in a trailer section, beyond what the flags above forbid: credentials, cookies, content headers. */
export const NO_TRAILER = 32;
/** What is left out of every forwarded request and response head. */
export const NEVER_FORWARDED = HOP_BY_HOP | FRAMING | STRIPPED;

export interface NameInfo {
  readonly raw: string;
  readonly lower: string;
  /** The name under which back ends may fold several spellings together (foldName). */
  readonly folded: string;
  /** Union of the constants above; 0 for an ordinary header. */
  readonly flags: number;
}
