/** A signing request (PKCS #10, RFC 2986) for a key that never leaves this process. */
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';

export interface RequestedCertificate {
  /** PEM. Without a subject: the controller takes the public key alone. */
  readonly request: string;
  /** PEM (PKCS #8). */
  readonly key: string;
}

/** A new key on P-256 and the request that it signed. */
export function requestCertificate(): RequestedCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    request: createRequest(publicKey, privateKey),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

/** ecdsa-with-SHA256, 1.2.840.10045.4.3.2 (RFC 5758 section 3.2). */
const ECDSA_WITH_SHA256 = encode(0x30, Buffer.from('06082a8648ce3d040302', 'hex'));
const VERSION_0 = Buffer.from('020100', 'hex');
const EMPTY_NAME = encode(0x30);
const NO_ATTRIBUTES = encode(0xa0);

function createRequest(publicKey: KeyObject, privateKey: KeyObject): string {
  const info = encode(0x30, VERSION_0, EMPTY_NAME, publicKey.export({ type: 'spki', format: 'der' }), NO_ATTRIBUTES);
  const signature = sign('sha256', info, { key: privateKey, dsaEncoding: 'der' });
  const request = encode(0x30, info, ECDSA_WITH_SHA256, encode(0x03, Buffer.of(0), signature));
  const lines = request.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE REQUEST-----', ...lines, '-----END CERTIFICATE REQUEST-----', ''].join('\n');
}

/** DER: tag, length, content. */
function encode(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), content]);
}
