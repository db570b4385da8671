/** The signature of a token, by `jose`, with keys that its issuer gave. */
import { compactVerify } from 'jose/jws/compact/verify';
import type { CompactToken } from './compact.ts';
import type { VerificationKey } from './verification-key.ts';

/** Whether one of the keys made the token's signature. The token's algorithm must be one that each key allows. */
export async function verifySignature(token: CompactToken, keys: readonly VerificationKey[]): Promise<boolean> {
  const options = { algorithms: [token.algorithm] };
  for (const { key } of keys) {
    try {
      await compactVerify(token.text, key, options);
      return true;
    } catch {
      // Not this key. What jose says of it may carry the token, so it goes nowhere.
    }
  }
  return false;
}
