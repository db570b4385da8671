/** Which received headers count: those that the proxy removes on every route are never seen by an expression either. */
import type { HeaderFields } from '../http/head.ts';
import { classifyName, HOP_BY_HOP, STRIPPED, TRUSTED_CERTIFICATE, TRUSTED_PEER } from '../http/names.ts';
import type { RequestView } from '../policy/request.ts';

/** Names that `Connection` lists, lower case: hop-by-hop for this message (RFC 9110 section 7.6.1). */
function connectionNames(headers: HeaderFields): ReadonlySet<string> {
  const names = new Set<string>();
  headers.lower.forEach((name, at) => {
    if (name !== 'connection') return;
    for (const listed of (headers.values[at] ?? '').split(',')) names.add(listed.trim().toLowerCase());
  });
  return names;
}

/**
 * Tells which headers of this request are removed before the app, whatever the policy says. Names are compared as back
 * ends may fold them together (case, `_`, `.`); `reserved` holds folded names.
 */
export function removedHeaders(request: RequestView, reserved: ReadonlySet<string>): (lower: string) => boolean {
  const listed = connectionNames(request.headers);
  const flags = HOP_BY_HOP | STRIPPED | (request.fromTrustedPeer ? 0 : TRUSTED_PEER | TRUSTED_CERTIFICATE);
  return lower => {
    const info = classifyName(lower);
    return info === undefined || (info.flags & flags) !== 0 || reserved.has(info.folded) || listed.has(lower);
  };
}
