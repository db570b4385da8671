/**
 * A queue that lets in whoever shows a Shared Access Signature, checked by a code path of its own: Web Crypto, URL decoding
 * of the parts, and the rules of the service's documentation. Nothing of it is shared with what computes tokens.
 */
import { RecordingApp, folded, type Seen, type TlsServer } from './servers.ts';

export interface QueuePolicy {
  /** Keys by policy name; either of two is good. */
  readonly keys: Readonly<Record<string, readonly string[]>>;
  /** Milliseconds since the epoch. */
  readonly clock?: () => number;
}

/** Why a token is no good, or undefined. */
export async function judgeSas(
  header: string | undefined,
  uri: string,
  policy: QueuePolicy,
): Promise<string | undefined> {
  const [scheme, rest] = header?.split(' ') ?? [];
  if (scheme !== 'SharedAccessSignature' || rest === undefined) return 'no token';
  const parts = new Map(rest.split('&').map(part => part.split('=', 2) as [string, string]));
  const raw = (name: string): string => parts.get(name) ?? '';
  const keys = policy.keys[decodeURIComponent(raw('skn'))];
  if (keys === undefined) return 'unknown policy';
  if (Number(raw('se')) * 1000 <= (policy.clock ?? Date.now)()) return 'expired';
  // A token covers every resource under its URI.
  if (!uri.toLowerCase().startsWith(decodeURIComponent(raw('sr')).toLowerCase())) return 'another resource';
  const signed = new TextEncoder().encode(`${raw('sr')}\n${raw('se')}`);
  const signature = Uint8Array.from(atob(decodeURIComponent(raw('sig'))), character => character.charCodeAt(0));
  for (const key of keys) {
    const hmac = { name: 'HMAC', hash: 'SHA-256' };
    const imported = await crypto.subtle.importKey('raw', new TextEncoder().encode(key), hmac, false, ['verify']);
    if (await crypto.subtle.verify('HMAC', imported, signature, signed)) return undefined;
  }
  return 'bad signature';
}

/** `sb://` is what the service calls itself; requests come by https. */
export class SasQueue extends RecordingApp {
  readonly refused: string[] = [];
  readonly messages: string[] = [];

  constructor(host: string, policy: QueuePolicy, tls?: TlsServer) {
    super((seen, response) => {
      void judgeSas(folded(seen.lines, 'authorization')[0], `https://${host}${seen.path}`, policy).then(problem => {
        if (problem === undefined) {
          this.messages.push(seen.body);
          response.writeHead(201, { 'content-type': 'application/xml' }).end();
        } else {
          this.refused.push(problem);
          response.writeHead(401, { 'content-type': 'text/plain', 'x-refused': 'yes' }).end(`${problem}\n`);
        }
      });
    }, tls);
  }
}

export const authorizationOf = (seen: Seen): string => folded(seen.lines, 'authorization').join();
