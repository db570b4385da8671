/** Which algorithms belong to which keys: an algorithm is never chosen by the token alone (RFC 8725 sections 3.1, 3.2). */

/** Default of TokenIssuer.algorithms. HS* must be written out. */
export const PUBLIC_KEY_ALGORITHMS: readonly string[] = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
];

export const RSA_SIGNATURES = PUBLIC_KEY_ALGORITHMS.slice(0, 6);

/** By OpenSSL's name of the curve (RFC 7518 section 3.4: one algorithm per curve). */
export const CURVE_SIGNATURES: ReadonlyMap<string, string> = new Map([
  ['prime256v1', 'ES256'],
  ['secp384r1', 'ES384'],
  ['secp521r1', 'ES512'],
]);

/** Fewest bytes of a key (RFC 7518 section 3.2). */
export const HMAC_KEY_BYTES: ReadonlyMap<string, number> = new Map([
  ['HS256', 32],
  ['HS384', 48],
  ['HS512', 64],
]);

export const isSymmetric = (algorithm: string): boolean => HMAC_KEY_BYTES.has(algorithm);

export const RSA_KEY_MANAGEMENT: readonly string[] = ['RSA-OAEP', 'RSA-OAEP-256', 'RSA-OAEP-384', 'RSA-OAEP-512'];
export const EC_KEY_MANAGEMENT: readonly string[] = ['ECDH-ES', 'ECDH-ES+A128KW', 'ECDH-ES+A192KW', 'ECDH-ES+A256KW'];
export const AES_KEY_MANAGEMENT: ReadonlyMap<number, readonly string[]> = new Map([
  [16, ['A128KW', 'A128GCMKW', 'dir']],
  [24, ['A192KW', 'A192GCMKW', 'dir']],
  [32, ['A256KW', 'A256GCMKW', 'dir']],
  [48, ['dir']],
  [64, ['dir']],
]);
export const CONTENT_ENCRYPTION: readonly string[] = [
  'A128GCM',
  'A192GCM',
  'A256GCM',
  'A128CBC-HS256',
  'A192CBC-HS384',
  'A256CBC-HS512',
];
