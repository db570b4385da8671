/** `--resolve HOST[:PORT]=ADDRESS[:PORT]`, as curl does it: where a name leads, without asking the resolver. */

export interface ResolveRule {
  /** Lower-case host name. */
  readonly host: string;
  /** Absent: every port. */
  readonly port?: number;
  /** An IP address, or a name to be resolved instead. */
  readonly address: string;
  /** Absent: the port of the URL. */
  readonly toPort?: number;
}

export interface Destination {
  readonly host: string;
  readonly port: number;
}

/** Where a call to `host:port` is dialled: the first rule that fits, else there. The name of the certificate stays `host`. */
export function findDestination(rules: readonly ResolveRule[], host: string, port: number): Destination {
  const name = host.toLowerCase();
  const rule = rules.find(r => r.host.toLowerCase() === name && (r.port === undefined || r.port === port));
  return rule === undefined ? { host, port } : { host: rule.address, port: rule.toPort ?? port };
}
