/** Whether the rules that the kernel holds do what they must: judged by what becomes of packets, not by their text. Pure. */
import { followChain, readChains, type Chain, type Fate, type Packet } from './packet-walk.ts';
import { PROTOCOL, type InterceptionRules } from './ruleset.ts';

const FAMILIES = [4, 6] as const;
/** Protocols of which nothing new comes in: IGMP, GRE, ESP, SCTP, UDP-Lite. */
const CLOSED = [2, 47, 50, PROTOCOL.sctp, 136] as const;

/**
 * What is wrong, one sentence each; empty: the rules are in place for both address families. `listing` is the parsed answer of
 * `nft -j list table`.
 */
export function findGaps(listing: unknown, rules: InterceptionRules): readonly string[] {
  const chains = readChains(listing);
  const nat = chains.filter(({ hook, type }) => hook === 'prerouting' && type === 'nat');
  const input = chains.filter(({ hook, type }) => hook === 'input' && type === 'filter');
  if (nat.length === 0) return ['nothing redirects connections'];
  if (input.length === 0) return ['nothing drops what is not redirected'];
  const ports = listPorts(listing, rules);
  return FAMILIES.flatMap(family => [
    ...findNatGaps(nat, { family, ports, rules }),
    ...findInputGaps(input, { family, ports, rules }),
  ]);
}

interface Question {
  readonly family: 4 | 6;
  /** That stand for all ports. */
  readonly ports: readonly number[];
  readonly rules: InterceptionRules;
}

function findNatGaps(chains: readonly Chain[], { family, ports, rules }: Question): string[] {
  const excluded = new Set(rules.excludePorts.filter(port => port !== rules.proxyPort));
  const wrong = ports.filter(port => {
    const fate = follow(chains, { family, protocol: PROTOCOL.tcp, port, state: 'new', interface: 'eth0' });
    const isRedirected = fate.kind === 'redirect' && fate.port === rules.proxyPort;
    return excluded.has(port) ? fate.kind !== 'accept' : !isRedirected;
  });
  const inside = follow(chains, { family, protocol: PROTOCOL.tcp, port: 80, state: 'new', interface: 'lo' });
  return [
    ...wrong.slice(0, 3).map(port => `IPv${family}, TCP port ${port}: not treated as it must be`),
    ...(inside.kind === 'accept' ? [] : [`IPv${family}: connections inside the pod are redirected too`]),
  ];
}

function findInputGaps(chains: readonly Chain[], { family, ports, rules }: Question): string[] {
  const { proxyPort, excludePorts, udpPorts } = rules;
  const passes = (packet: Partial<Packet>): boolean =>
    follow(chains, { family, protocol: PROTOCOL.tcp, port: 80, state: 'new', interface: 'eth0', ...packet }).kind ===
    'accept';
  const tcp = new Set([...excludePorts, proxyPort]);
  const udp = new Set(udpPorts);
  const gaps = [
    ...ports.filter(port => passes({ port }) !== tcp.has(port)).map(port => `TCP port ${port}`),
    ...ports.filter(port => passes({ port, protocol: PROTOCOL.udp }) !== udp.has(port)).map(port => `UDP port ${port}`),
    ...CLOSED.filter(protocol => passes({ protocol })).map(protocol => `protocol ${protocol}`),
    ...(passes({ state: 'invalid' }) ? ['packets of no known connection'] : []),
    ...(passes({ protocol: family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6, port: 0 }) ? [] : ['ICMP']),
    ...(passes({ state: 'established' }) ? [] : ['answers to the pod']),
    ...(passes({ interface: 'lo' }) ? [] : ['connections inside the pod']),
  ];
  return gaps.slice(0, 3).map(what => `IPv${family}, ${what}: not treated as it must be`);
}

/** The first chain that does something counts; a drop anywhere is a drop. */
function follow(chains: readonly Chain[], packet: Packet): Fate {
  let last: Fate = { kind: 'accept' };
  for (const chain of chains) {
    last = followChain(chain, packet);
    if (last.kind !== 'accept') return last;
  }
  return last;
}

/**
 * Every port that the listing or the wanted rules name, and its neighbours: between them nothing changes, so they stand for
 * all others.
 */
function listPorts(listing: unknown, { proxyPort, excludePorts, udpPorts }: InterceptionRules): readonly number[] {
  const named = [proxyPort, ...excludePorts, ...udpPorts, ...collectNumbers(listing)];
  const near = named.flatMap(number => [number - 1, number, number + 1]);
  const ports = new Set([1, 22, 80, 443, 8080, 65535, ...near]);
  return [...ports].filter(port => Number.isInteger(port) && port >= 1 && port <= 65535).sort((a, b) => a - b);
}

function collectNumbers(value: unknown): readonly number[] {
  if (typeof value === 'number') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(collectNumbers) : [];
}
