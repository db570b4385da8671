/** Keys, certificates, tokens and request heads of the benchmark, made afresh into a temporary folder. */
import { createSign, generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority } from '../src/demo/pki.ts';

export const HOST = 'bench.example.com';
export const APP_NAME = 'app.bench.svc';
export const ISSUER = 'https://issuer.example.com/';
export const AUDIENCE = 'api://bench';

export interface Material {
  readonly folder: string;
  /** Writes a file and gives its path. */
  readonly write: (name: string, text: string) => string;
  readonly ca: string;
  readonly server: { readonly certificate: string; readonly key: string };
  readonly app: { readonly certificate: string; readonly key: string };
  readonly deviceAuth: { readonly certificate: string; readonly key: string };
  readonly mesh: { readonly certificate: string; readonly key: string };
  readonly device: { readonly certificate: string; readonly key: string };
  readonly crl: string;
  readonly publicKeyPem: string;
  readonly jwk: Record<string, unknown>;
  readonly mintToken: () => string;
}

export function createMaterial(folder: string): Material {
  mkdirSync(folder, { recursive: true });
  const authority = createAuthority({ name: 'Bench CA' });
  const pair = (leaf: { certificatePem: string; keyPem: string }): { certificate: string; key: string } => ({
    certificate: leaf.certificatePem,
    key: leaf.keyPem,
  });
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    folder,
    write: (name, text) => {
      const file = join(folder, name);
      writeFileSync(file, text);
      return file;
    },
    ca: authority.certificatePem,
    server: pair(authority.issue({ subject: { CN: HOST }, san: { dns: [HOST] }, usages: ['serverAuth'] })),
    app: pair(authority.issue({ subject: { CN: APP_NAME }, san: { dns: [APP_NAME] }, usages: ['serverAuth'] })),
    deviceAuth: pair(
      authority.issue({
        subject: { CN: 'device-auth' },
        san: { dns: ['device-auth.bench.svc'] },
        usages: ['serverAuth'],
      }),
    ),
    mesh: pair(
      authority.issue({
        subject: { CN: 'sidecar' },
        san: { uri: ['spiffe://cluster.local/ns/bench/sa/default'] },
        usages: ['clientAuth'],
      }),
    ),
    device: pair(authority.issue({ subject: { CN: 'robot-7' }, usages: ['clientAuth'] })),
    crl: authority.crlPem({ nextUpdate: new Date(Date.now() + 7 * 86_400_000) }),
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    jwk: { ...publicKey.export({ format: 'jwk' }), kid: 'bench', alg: 'RS256', use: 'sig' },
    mintToken: () => mintToken(privateKey),
  };
}

function mintToken(key: KeyObject): string {
  const now = Math.floor(Date.now() / 1000);
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${encode({ alg: 'RS256', typ: 'JWT', kid: 'bench' })}.${encode({
    iss: ISSUER,
    aud: AUDIENCE,
    sub: 'user-1',
    clientId: 'client-1',
    scope: 'ManagementApi Read',
    iat: now,
    exp: now + 86_400,
    jti: randomUUID(),
  })}`;
  return `${signed}.${createSign('RSA-SHA256').update(signed).sign(key, 'base64url')}`;
}

export function writeHeads(material: Material, name: string, heads: readonly string[]): string {
  return material.write(`${name}.json`, JSON.stringify(heads));
}

export function renderHead(path: string, headers: Readonly<Record<string, string>> = {}, method = 'GET'): string {
  const lines = [`${method} ${path} HTTP/1.1`, `Host: ${HOST}`, 'User-Agent: bench/1', 'Accept: application/json'];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** A whole request with a body of `bytes` in chunks of 16 KiB. */
export function renderChunkedRequest(path: string, bytes: number): string {
  const size = 16 * 1024;
  const chunk = `${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`;
  const head = renderHead(path, { 'Transfer-Encoding': 'chunked', 'Content-Type': 'text/plain' }, 'POST');
  return `${head}${chunk.repeat(bytes / size)}0\r\n\r\n`;
}
