/**
 * `signedContext`: a short JWS of who the verified caller is. The same caller at the same operation gets the same token
 * until a quarter of its lifetime is left, so that a signature is not paid for with every request.
 */
import { LRUCache } from 'lru-cache';
import type { SignedContextSpec } from '../api/kinds/credential.ts';
import type { ObjectKey } from '../api/object.ts';
import type { HeaderCredential, Occasion, PresentedHeader } from './header-credential.ts';
import type { SigningKey } from './signing-key.ts';

/** An explicit type (RFC 8725 section 3.11): nobody takes it for an access token. */
export const CONTEXT_TYPE = 'sallyport-context+jwt';

const MOST_CALLERS = 10_000;

interface Held {
  readonly header: Promise<PresentedHeader | undefined> | PresentedHeader;
  readonly madeAt: number;
  readonly renewAt: number;
}

export const issuerOf = (credential: ObjectKey): string => `urn:sallyport:${credential.replace('/', ':')}`;

/** What the app learns. Without a caller nobody was verified: `sub` is absent. */
function claimsOf({ caller, api, operation }: Occasion, credential: ObjectKey, audience: string) {
  const sha256 = caller?.certificateSha256;
  return {
    iss: issuerOf(credential),
    aud: audience,
    kind: caller?.kind ?? 'Anonymous',
    ...(caller === undefined || caller.id === '' ? {} : { sub: caller.id }),
    ...(caller?.issuer === undefined ? {} : { idp: caller.issuer }),
    // RFC 8705 section 3.1: whoever sees the same certificate can tell that it is the same caller.
    ...(sha256 === undefined ? {} : { cnf: { 'x5t#S256': Buffer.from(sha256, 'hex').toString('base64url') } }),
    ...(api === undefined ? {} : { api }),
    ...(operation === undefined ? {} : { operation }),
  };
}

export function createSignedContext(spec: SignedContextSpec, credential: ObjectKey, key: SigningKey): HeaderCredential {
  const { audience, lifetime, header: name } = spec;
  const held = new LRUCache<string, Held>({ max: MOST_CALLERS });

  const sign = async (claims: object, now: number): Promise<PresentedHeader | undefined> => {
    const { CompactSign } = await import('jose/jws/compact/sign');
    const iat = Math.floor(now / 1000);
    const payload = JSON.stringify({ ...claims, iat, exp: iat + Math.floor(lifetime / 1000) });
    const { algorithm, keyId, privateKey } = key;
    const value = await new CompactSign(new TextEncoder().encode(payload))
      .setProtectedHeader({ alg: algorithm, kid: keyId, typ: CONTEXT_TYPE })
      .sign(privateKey);
    return { name, value };
  };
  const make = (claims: object, identity: string, now: number): Held['header'] => {
    const times = { madeAt: now, renewAt: Math.floor(now / 1000) * 1000 + (lifetime * 3) / 4 };
    const header = sign(claims, now).then(
      made => {
        if (made !== undefined) held.set(identity, { ...times, header: made });
        return made;
      },
      () => {
        held.delete(identity);
        return undefined;
      },
    );
    held.set(identity, { ...times, header });
    return header;
  };

  return {
    sort: 'signedContext',
    present(occasion) {
      const { now } = occasion;
      const claims = claimsOf(occasion, credential, audience);
      const identity = JSON.stringify(claims);
      const known = held.get(identity);
      if (known !== undefined && now >= known.madeAt && now < known.renewAt) return known.header;
      return make(claims, identity, now);
    },
    state: () => ({}),
  };
}
