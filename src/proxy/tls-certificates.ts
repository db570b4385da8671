/** Which certificate serves which name on one port (M5): exact names, wildcards of one label, and the one of Apis without hosts. */
import type { ObjectKey } from '../api/object.ts';
import type { ListenerTls } from '../policy/model.ts';

export interface CertificateChoice {
  /**
   * The Secret whose certificate serves a name (folded: lower case, no trailing dot). Undefined: nobody serves it, and the
   * handshake is refused. Without a name: the certificate of the Apis without hosts.
   */
  secretFor(serverName: string | undefined): ObjectKey | undefined;
  readonly secrets: readonly ObjectKey[];
  /** Of the Apis without hosts. */
  readonly fallback: ObjectKey | undefined;
}

export function chooseCertificates(certificates: ListenerTls['certificates']): CertificateChoice {
  const byName = new Map<string, ObjectKey>();
  let fallback: ObjectKey | undefined;
  for (const { hosts, secret } of certificates) {
    if (hosts.length === 0) fallback ??= secret;
    for (const host of hosts) {
      const name = host.toLowerCase().replace(/\.$/, '');
      if (!byName.has(name)) byName.set(name, secret);
    }
  }
  return {
    secretFor: name => {
      if (name === undefined) return fallback;
      const dot = name.indexOf('.');
      return byName.get(name) ?? (dot > 0 ? byName.get(`*${name.slice(dot)}`) : undefined) ?? fallback;
    },
    secrets: [...new Set(certificates.map(({ secret }) => secret))],
    fallback,
  };
}
