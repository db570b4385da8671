/**
 * interception: floor 2. How connections to a pod come to its sidecar: the rules (text and verification are pure), the
 * original destination of a redirected connection, the ports that an app shows to others. May import api/ and telemetry/.
 *
 * This file: the rules of one pod, as one nftables table for IPv4 and IPv6.
 */

export const TABLE = { family: 'inet', name: 'sallyport' } as const;

/** Protocol numbers (IANA): their names need /etc/protocols, which slim images lack. */
export const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;

export interface InterceptionRules {
  /** Where every intercepted TCP connection goes, those to this port itself included. */
  readonly proxyPort: number;
  /** TCP ports that are not intercepted: the sidecar's own health port, and what an allowance excludes (S9). */
  readonly excludePorts: readonly number[];
  /** UDP ports that an allowance opens (S9). */
  readonly udpPorts: readonly number[];
}

/**
 * Before dstnat (-100), where other redirections of a pod stand: of several the first one counts. After conntrack (-200),
 * which NAT needs.
 */
const NAT_PRIORITY = -110;

/**
 * A whole transaction for `nft -f -`: replaces what was there before, so that an init container may run again.
 *
 * Redirection alone would leave a way in: packets that conntrack calls invalid pass NAT by. So the input chain, where
 * redirected packets already carry the proxy's port, lets no other port through. Packets made inside the pod cross neither
 * (they come in on `lo`), so there is no loop and no rule about users.
 */
export function renderRuleset({ proxyPort, excludePorts, udpPorts }: InterceptionRules): string {
  const excluded = sortPorts(excludePorts.filter(port => port !== proxyPort));
  const table = `${TABLE.family} ${TABLE.name}`;
  const tcp = `meta l4proto ${PROTOCOL.tcp}`;
  return `${[
    `add table ${table}`,
    `delete table ${table}`,
    `table ${table} {`,
    '  chain intercept {',
    `    type nat hook prerouting priority ${NAT_PRIORITY}; policy accept;`,
    '    iifname "lo" return',
    ...(excluded.length === 0 ? [] : [`    ${tcp} th dport ${renderSet(excluded)} return`]),
    `    ${tcp} redirect to :${proxyPort}`,
    '  }',
    '  chain guard {',
    '    type filter hook input priority 0; policy drop;',
    '    iifname "lo" accept',
    '    ct state established,related accept',
    `    meta l4proto ${renderSet([PROTOCOL.icmp, PROTOCOL.icmpv6])} accept`,
    `    ${tcp} th dport ${renderSet(sortPorts([...excluded, proxyPort]))} accept`,
    ...(udpPorts.length === 0
      ? []
      : [`    meta l4proto ${PROTOCOL.udp} th dport ${renderSet(sortPorts(udpPorts))} accept`]),
    '  }',
    '}',
  ].join('\n')}\n`;
}

const sortPorts = (ports: readonly number[]): number[] => [...new Set(ports)].sort((a, b) => a - b);

const renderSet = (numbers: readonly number[]): string => `{ ${numbers.join(', ')} }`;
