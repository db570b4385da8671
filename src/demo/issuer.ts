/** The demo's identity provider: discovery document, published keys, and tokens of any contents. */
import { SignJWT, exportJWK } from 'jose';
import { type Listening, startHttps } from './listening.ts';
import { type IssuedCertificate, type KeyPair, createKeyPair } from './pki.ts';

export const ISSUER = 'https://login.example.com';

export interface TokenOptions {
  readonly claims: Readonly<Record<string, unknown>>;
  /** Seconds from now; default an hour. Negative: expired. */
  readonly expiresIn?: number;
  readonly audience?: string;
  readonly issuer?: string;
  /** Signs with a key that was never published, under the published key's id. */
  readonly forged?: boolean;
}

export interface Issuer extends Listening {
  mint(options: TokenOptions): Promise<string>;
}

const KEY_ID = 'demo-1';

export async function startIssuer(server: IssuedCertificate): Promise<Issuer> {
  const keys = createKeyPair('RSA');
  const forgedKeys = createKeyPair('RSA');
  const documents = new Map<string, unknown>([
    ['/.well-known/openid-configuration', { issuer: ISSUER, jwks_uri: `${ISSUER}/keys` }],
    ['/keys', { keys: [{ ...(await exportJWK(keys.publicKey)), kid: KEY_ID, alg: 'RS256', use: 'sig' }] }],
  ]);
  const listening = await startHttps({ cert: server.chainPem, key: server.keyPem }, (request, response) => {
    const document = documents.get(request.url ?? '');
    response.writeHead(document === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(document ?? { error: 'not_found' }));
  });
  return { ...listening, mint: options => signToken(options, options.forged === true ? forgedKeys : keys) };
}

async function signToken(options: TokenOptions, { privateKey }: KeyPair): Promise<string> {
  const { claims, expiresIn = 3600, audience = 'api://fleet', issuer = ISSUER } = options;
  const now = Math.floor(Date.now() / 1000);
  return new SignJWT({ sub: 'demo', ...claims })
    .setProtectedHeader({ alg: 'RS256', kid: KEY_ID, typ: 'JWT' })
    .setIssuer(issuer)
    .setAudience(audience)
    .setIssuedAt(Math.min(now, now + expiresIn - 60))
    .setExpirationTime(now + expiresIn)
    .sign(privateKey);
}
