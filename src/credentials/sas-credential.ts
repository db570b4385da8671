/** `sharedAccessSignature`: a token computed when one is needed and used until a quarter of its lifetime is left (P11). */
import type { SharedAccessSignatureSpec } from '../api/kinds/credential.ts';
import type { HeaderCredential, PresentedHeader } from './header-credential.ts';
import { computeSasToken } from './sas-token.ts';
import type { TextReader } from './secret-text.ts';
import { unusable } from './fixed-header.ts';

interface Held {
  readonly header: PresentedHeader;
  readonly madeAt: number;
  readonly renewAt: number;
  readonly expiresAt: number;
}

export function createSasCredential(spec: SharedAccessSignatureSpec, texts: TextReader): HeaderCredential {
  const sort = 'sharedAccessSignature';
  const [resourceUri, keyName] = [texts.read(spec.resourceUri), texts.read(spec.keyName)];
  const source = spec.activeKey === 'Primary' ? spec.key : spec.secondaryKey;
  const key = source === undefined ? undefined : texts.read(source);
  if (resourceUri === undefined || keyName === undefined || key === undefined) return unusable(sort, 'MISSING');
  if (!resourceUri.isWellFormed() || !keyName.isWellFormed()) return unusable(sort, 'BAD_VALUE');
  let held: Held | undefined;

  const make = (now: number): Held => {
    const expiry = Math.floor((now + spec.ttl) / 1000);
    const value = computeSasToken({ resourceUri, keyName, key, expiry });
    const renewAt = expiry * 1000 - spec.ttl / 4;
    return { header: { name: 'Authorization', value }, madeAt: now, renewAt, expiresAt: expiry * 1000 };
  };

  return {
    sort,
    present: ({ now }) => {
      // A clock that was set back must not keep a token that outlives its ttl.
      if (held === undefined || now >= held.renewAt || now < held.madeAt) held = make(now);
      return held.header;
    },
    state: () => (held === undefined ? {} : { validUntil: held.expiresAt }),
  };
}
