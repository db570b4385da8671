/** Header names: what each one means to a proxy. Worked out once per spelling and remembered in a bounded table. */
import { isToken } from './characters.ts';
import { foldName } from './head.ts';

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
/** Never passed on in a trailer section (RFC 9110 section 6.5.1): credentials, conditions, what describes the content, and the trace, which is ours to write. */
export const NO_TRAILER = 32;
/** What is left out of every head that is forwarded. */
export const NEVER_FORWARDED = HOP_BY_HOP | FRAMING | STRIPPED;

/** Headers that the codec itself reads. */
export const ROLE = {
  none: 0,
  host: 1,
  contentLength: 2,
  transferEncoding: 3,
  connection: 4,
  expect: 5,
  upgrade: 6,
  contentType: 7,
  keepAlive: 8,
} as const;
export type Role = (typeof ROLE)[keyof typeof ROLE];

export interface NameInfo {
  /** As sent. */
  readonly raw: string;
  readonly lower: string;
  /** The name under which back ends may take several spellings for one (foldName). */
  readonly folded: string;
  /** Union of the constants above; 0 for an ordinary header. */
  readonly flags: number;
  readonly role: Role;
  /** What stands before the value when the field is written: CRLF, name, colon, space. */
  readonly start: string;
}

export interface NameTable {
  /** What a name means; undefined when it is not a token. */
  classify(raw: string): NameInfo | undefined;
}

const FLAGS: ReadonlyMap<string, number> = new Map([
  ...flagged(HOP_BY_HOP, 'connection keep-alive te trailer upgrade http2-settings'),
  ...flagged(FRAMING, 'host content-length transfer-encoding expect'),
  // `Proxy` becomes HTTP_PROXY in CGI environments (CVE-2016-5385).
  ...flagged(STRIPPED, 'proxy x-http-method x-http-method-override x-method-override'),
  ...flagged(TRUSTED_PEER, 'forwarded x-forwarded x-real-ip x-request-id'),
  ...flagged(TRUSTED_CERTIFICATE, 'x-forwarded-client-cert client-cert client-cert-chain'),
  ...flagged(
    NO_TRAILER,
    'authorization cookie set-cookie www-authenticate authentication-info content-type content-encoding ' +
      'content-range content-location content-disposition cache-control pragma age date expires location ' +
      'retry-after vary warning range max-forwards origin if-match if-none-match if-modified-since ' +
      'if-unmodified-since if-range traceparent tracestate',
  ),
]);

const PREFIXES: readonly (readonly [string, number])[] = [
  ['proxy-', HOP_BY_HOP],
  ['x-original-', STRIPPED],
  ['x-rewrite-', STRIPPED],
  ['x-forwarded-', TRUSTED_PEER],
];

const ROLES: ReadonlyMap<string, Role> = new Map<string, Role>([
  ['host', ROLE.host],
  ['content-length', ROLE.contentLength],
  ['transfer-encoding', ROLE.transferEncoding],
  ['connection', ROLE.connection],
  ['expect', ROLE.expect],
  ['upgrade', ROLE.upgrade],
  ['content-type', ROLE.contentType],
  ['keep-alive', ROLE.keepAlive],
]);

function flagged(flag: number, names: string): [string, number][] {
  return names.split(' ').map(name => [name, flag]);
}

/** What a name means; undefined when it is not a token. Remembers nothing. */
export function classifyName(raw: string): NameInfo | undefined {
  return isToken(raw) ? describe(raw) : undefined;
}

function describe(raw: string): NameInfo {
  const lower = raw.toLowerCase();
  const folded = foldName(raw);
  const flags = flagsOf(folded);
  // `Transfer_Encoding` frames nothing here, but a back end may fold it into the header that does.
  const lookAlike = lower !== folded && (flags & (FRAMING | HOP_BY_HOP)) !== 0;
  return {
    raw,
    lower,
    folded,
    flags: lookAlike ? flags | STRIPPED : flags,
    role: ROLES.get(lower) ?? ROLE.none,
    start: `\r\n${raw}: `,
  };
}

function flagsOf(folded: string): number {
  const exact = FLAGS.get(folded);
  if (exact !== undefined) return exact;
  for (const [prefix, flags] of PREFIXES) {
    if (folded.startsWith(prefix)) return flags;
  }
  return 0;
}

/** Whether a header (lower-case name) is written by the codec alone, never by an edit. */
export function framesMessages(lower: string): boolean {
  return (flagsOf(lower) & (FRAMING | HOP_BY_HOP)) !== 0;
}

const LONGEST_REMEMBERED = 64;

/**
 * A table shared by the readers of one listener. Holds at most `capacity` spellings; when clients invent more, all are
 * forgotten and learnt again, so the worst that they reach is the cost of working each name out.
 */
export function createNameTable(capacity = 1024): NameTable {
  const known = new Map<string, NameInfo>();
  return {
    classify(raw) {
      const info = known.get(raw);
      if (info !== undefined) return info;
      if (!isToken(raw)) return undefined;
      if (raw.length > LONGEST_REMEMBERED) return describe(raw);
      if (known.size >= capacity) known.clear();
      // A name cut from a head keeps the whole head in memory; the copy does not.
      const copy = describe(` ${raw}`.slice(1));
      known.set(copy.raw, copy);
      return copy;
    },
  };
}
