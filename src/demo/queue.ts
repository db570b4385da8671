/**
 * A queue that lets in whoever shows a Shared Access Signature. It checks by a code path of its own: Web Crypto, URL decoding
 * of the parts, the rules of the service's documentation. Nothing of it is shared with what computes tokens.
 */
import type { IssuedCertificate } from './pki.ts';
import { type Listening, startHttps } from './listening.ts';

export interface QueuePolicy {
  /** Keys by policy name; either of two is good. */
  readonly keys: Readonly<Record<string, readonly string[]>>;
  /** Milliseconds since the epoch; default: the clock of this machine. */
  readonly clock?: () => number;
}

const KEY = { name: 'HMAC', hash: 'SHA-256' } as const;

/** Why a token is no good for `uri`, or undefined. */
export async function judgeSas(
  authorization: string | undefined,
  uri: string,
  { keys, clock = Date.now }: QueuePolicy,
): Promise<string | undefined> {
  const [scheme, rest] = authorization?.split(' ') ?? [];
  if (scheme !== 'SharedAccessSignature' || rest === undefined) return 'no token';
  const parts = new Map(
    rest.split('&').map(part => [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)]),
  );
  const raw = (name: string): string => parts.get(name) ?? '';
  const known = keys[decodeURIComponent(raw('skn'))];
  if (known === undefined) return 'unknown policy';
  if (Number(raw('se')) * 1000 <= clock()) return 'expired';
  // A token covers every resource under its URI.
  if (!uri.toLowerCase().startsWith(decodeURIComponent(raw('sr')).toLowerCase())) return 'another resource';
  const signed = new TextEncoder().encode(`${raw('sr')}\n${raw('se')}`);
  const signature = Uint8Array.from(atob(decodeURIComponent(raw('sig'))), character => character.charCodeAt(0));
  for (const key of known) {
    const imported = await crypto.subtle.importKey('raw', new TextEncoder().encode(key), KEY, false, ['verify']);
    if (await crypto.subtle.verify('HMAC', imported, signature, signed)) return undefined;
  }
  return 'bad signature';
}

export interface Queue extends Listening {
  /** Bodies that were taken, with what came beside them. */
  readonly messages: readonly { readonly body: string; readonly headers: readonly string[] }[];
  /** Why the others were not. */
  readonly refused: readonly string[];
}

/** `host` is how the queue calls itself: tokens must be for it. */
export async function startQueue(server: IssuedCertificate, host: string, policy: QueuePolicy): Promise<Queue> {
  const messages: { readonly body: string; readonly headers: readonly string[] }[] = [];
  const refused: string[] = [];
  const listening = await startHttps({ cert: server.chainPem, key: server.keyPem }, (request, response) => {
    const { authorization } = request.headers;
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      void judgeSas(authorization, `https://${host}${request.url ?? ''}`, policy).then(problem => {
        if (problem === undefined) messages.push({ body, headers: Object.keys(request.headers) });
        else refused.push(problem);
        response.writeHead(problem === undefined ? 201 : 401, { server: 'Microsoft-HTTPAPI/2.0' }).end();
      });
    });
  });
  return { ...listening, messages, refused };
}
