/**
 * What becomes of a packet in a table as `nft -j list table` tells it: only the few expressions that our rules are made of are
 * known, and a table that holds others is not ours. Pure.
 */
import { PROTOCOL } from './ruleset.ts';

export interface Packet {
  readonly family: 4 | 6;
  readonly protocol: number;
  /** Destination; 0 for protocols without ports. */
  readonly port: number;
  readonly state: 'new' | 'established' | 'related' | 'invalid';
  readonly interface: string;
}

export type Fate =
  | { readonly kind: 'accept' | 'drop' }
  | { readonly kind: 'redirect'; readonly port: number }
  /** A rule was met that this code does not understand. */
  | { readonly kind: 'unknown' };

export interface Chain {
  readonly hook: string;
  readonly type: string;
  readonly priority: number;
  readonly policy: string;
  readonly rules: readonly (readonly unknown[])[];
}

type Members = Readonly<Record<string, unknown>>;

const readMembers = (value: unknown): Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
const readText = (value: unknown): string => (typeof value === 'string' ? value : '');

/** The chains of a listing that have a hook, in the order in which packets meet them. */
export function readChains(listing: unknown): readonly Chain[] {
  const { nftables } = readMembers(listing);
  const items: readonly unknown[] = Array.isArray(nftables) ? nftables : [];
  const rules = items.map(item => readMembers(readMembers(item)['rule']));
  return items
    .map(item => readMembers(readMembers(item)['chain']))
    .filter(chain => typeof chain['hook'] === 'string')
    .map(({ name, hook, type, prio, policy }) => ({
      hook: readText(hook),
      type: readText(type),
      priority: typeof prio === 'number' ? prio : NaN,
      policy: readText(policy),
      rules: rules
        .filter(({ chain }) => chain === name)
        .map(({ expr }): unknown[] => (Array.isArray(expr) ? expr : [])),
    }))
    .sort((a, b) => a.priority - b.priority);
}

export function followChain({ rules, policy }: Chain, packet: Packet): Fate {
  for (const rule of rules) {
    const fate = applyRule(rule, packet);
    if (fate === 'return') break;
    if (fate !== 'next') return fate;
  }
  return policy === 'accept' || policy === 'drop' ? { kind: policy } : { kind: 'unknown' };
}

function applyRule(rule: readonly unknown[], packet: Packet): Fate | 'return' | 'next' {
  for (const expression of rule) {
    const [[name, body] = ['', undefined], another] = Object.entries(readMembers(expression));
    if (another !== undefined) return { kind: 'unknown' };
    switch (name) {
      case 'match': {
        const holds = matches(readMembers(body), packet);
        if (holds === undefined) return { kind: 'unknown' };
        if (!holds) return 'next';
        break;
      }
      case 'counter':
        break;
      case 'accept':
      case 'drop':
        return { kind: name };
      case 'return':
        return 'return';
      case 'redirect': {
        const { port } = readMembers(body);
        return typeof port === 'number' ? { kind: 'redirect', port } : { kind: 'unknown' };
      }
      default:
        return { kind: 'unknown' };
    }
  }
  return 'next';
}

/** Names that nft prints for numbers, where it finds /etc/protocols. */
const NUMBERS: ReadonlyMap<string, number> = new Map([
  ['icmp', PROTOCOL.icmp],
  ['tcp', PROTOCOL.tcp],
  ['udp', PROTOCOL.udp],
  ['ipv6-icmp', PROTOCOL.icmpv6],
  ['icmpv6', PROTOCOL.icmpv6],
  ['sctp', PROTOCOL.sctp],
]);
const STATES: ReadonlyMap<unknown, Packet['state']> = new Map<unknown, Packet['state']>([
  ['new', 'new'],
  ['established', 'established'],
  ['related', 'related'],
  ['invalid', 'invalid'],
]);

/** Undefined: not understood. */
function matches({ op, left, right }: Members, packet: Packet): boolean | undefined {
  const found = readField(readMembers(left), packet);
  if (found === undefined) return undefined;
  if (found === 'none') return false;
  const wanted = listValues(right);
  if (wanted === undefined || (op !== '==' && op !== '!=' && op !== 'in')) return undefined;
  const equal = wanted.some(value => {
    const number = typeof value === 'string' ? NUMBERS.get(value) : undefined;
    return value === found || (number !== undefined && number === found) || STATES.get(value) === found;
  });
  return op === '!=' ? !equal : equal;
}

/** The packet's value; `none`: it has no such field; undefined: not understood. */
function readField({ meta, ct, payload }: Members, packet: Packet): string | number | undefined {
  const { key } = readMembers(meta ?? ct);
  if (ct !== undefined) return key === 'state' ? packet.state : undefined;
  if (meta !== undefined) {
    if (key === 'iifname') return packet.interface;
    if (key === 'nfproto') return packet.family === 4 ? 'ipv4' : 'ipv6';
    return key === 'l4proto' ? packet.protocol : undefined;
  }
  const { protocol, field } = readMembers(payload);
  if (field !== 'dport') return undefined;
  // nft folds "meta l4proto 6 th dport" to "tcp dport".
  if (protocol === 'th') return packet.port;
  const wanted = NUMBERS.get(readText(protocol));
  return wanted === undefined ? undefined : wanted === packet.protocol ? packet.port : 'none';
}

function listValues(right: unknown): readonly unknown[] | undefined {
  if (typeof right === 'string' || typeof right === 'number') return [right];
  const values: unknown = Array.isArray(right) ? right : readMembers(right)['set'];
  if (!Array.isArray(values)) return undefined;
  const plain = values.every((value: unknown) => typeof value === 'string' || typeof value === 'number');
  return plain ? values : undefined;
}
