/** Which certificate of a request counts for a trust: the handshake's, or one that a trusted peer forwards (api.md ClientTrust). */
import { LRUCache } from 'lru-cache';
import type { ObjectKey } from '../api/object.ts';
import type { Reason } from '../api/reasons.ts';
import { findAll, type HeaderFields } from '../http/head.ts';
import { parseForwarded, type ForwardedFormat } from './forwarded-header.ts';
import type { TrustRecord } from './record.ts';
import type { Peer, PresentedCertificate, TrustView } from './trust.ts';

const STANDARD_HEADERS = ['client-cert', 'client-cert-chain', 'x-forwarded-client-cert'] as const;
const REMEMBERED_HEADERS = 256;
const REMEMBERED_CHARACTERS = 2 * 1024 * 1024;

type Forwarding = Pick<TrustView, 'findPresented' | 'proveIdentity' | 'forwardedHeaders' | 'strippedHeaders'>;
type Records = ReadonlyMap<ObjectKey, TrustRecord>;

interface HeaderSource {
  readonly lower: string;
  /** Client-Cert-Chain beside Client-Cert; empty for other formats. */
  readonly chain: string;
  readonly format: ForwardedFormat;
  readonly acceptAddressTrust: boolean;
}

export function createForwarding(records: Records, judge: TrustView['judge']): Forwarding {
  const sources = new Map([...records].map(([key, record]) => [key, headerSources(record)]));
  const forwardedHeaders = new Set<string>(STANDARD_HEADERS);
  for (const { lower, chain } of [...sources.values()].flat()) forwardedHeaders.add(lower).add(chain);
  forwardedHeaders.delete('');
  const counts = createCounting(records);
  const read = createReader();
  /** By standing, of which there are few: ranges and trusts of `trustedPeers`. */
  const stripped = new Map<string, ReadonlySet<string>>();
  const listStripped = (peer: Peer): ReadonlySet<string> => {
    const kept = new Set<string>();
    for (const [trust, list] of sources) {
      for (const source of list) if (counts(trust, source, peer)) kept.add(source.lower).add(source.chain);
    }
    return new Set([...forwardedHeaders].filter(name => !kept.has(name)));
  };
  return {
    forwardedHeaders,
    findPresented: (trust, headers, peer) => {
      const own = sources.get(trust) ?? [];
      if (own.length === 0) return peer.own ?? NONE_IN_HANDSHAKE;
      const counting = own.filter(source => counts(trust, source, peer));
      for (const source of counting) {
        const presented = read(source, headers);
        if (presented !== undefined) return presented;
      }
      // A gateway's certificate says who the gateway is, never which device speaks through it; that holds too while
      // nobody can say whether it is one, and for one that is kept from forwarding by an anchor it shares.
      const isGateway = counting.length > 0 || peer.provedBy.length > 0 || peer.undecided !== undefined;
      return isGateway ? NONE_IN_HEADER : (peer.own ?? NONE_IN_HANDSHAKE);
    },
    proveIdentity: (trustedPeers, own, now) => proveIdentity(trustedPeers, own, now, judge),
    strippedHeaders: peer => {
      const standing = JSON.stringify([peer.byAddress, peer.provedBy]);
      const known = stripped.get(standing) ?? listStripped(peer);
      stripped.set(standing, known);
      return known;
    },
  };
}

const NONE_IN_HANDSHAKE: PresentedCertificate = { chain: [], from: 'tls', memo: {} };
export const NONE_IN_HEADER: PresentedCertificate = { chain: [], from: 'header', memo: {} };

function headerSources({ plan }: TrustRecord): readonly HeaderSource[] {
  return plan.spec.sources.flatMap(({ header }) => {
    if (header === undefined) return [];
    const lower = header.name.toLowerCase();
    const { format, acceptAddressTrust } = header;
    return [{ lower, chain: format === 'RFC9440' ? `${lower}-chain` : '', format, acceptAddressTrust }];
  });
}

/** A certificate is public: whoever can present one of the device's own authorities must not forward others' (api.md). */
function createCounting(records: Records) {
  const shares = new Map<string, boolean>();
  const shareAnchor = (a: ObjectKey, b: ObjectKey): boolean => {
    const key = `${a} ${b}`;
    const known = shares.get(key);
    if (known !== undefined) return known;
    const others = records.get(b)?.authorities;
    const answer = others === undefined || [...(records.get(a)?.authorities ?? [])].some(name => others.has(name));
    shares.set(key, answer);
    return answer;
  };
  return (trust: ObjectKey, { acceptAddressTrust }: HeaderSource, peer: Peer): boolean =>
    (peer.byAddress && acceptAddressTrust) ||
    peer.provedBy.some(other => other !== trust && !shareAnchor(trust, other));
}

/** Reads a header once per text, so that its chain is validated once: gateways repeat the same few on one connection. */
function createReader() {
  const known = new LRUCache<string, PresentedCertificate>({
    max: REMEMBERED_HEADERS,
    maxSize: REMEMBERED_CHARACTERS,
    sizeCalculation: (_, key) => key.length,
  });
  return ({ lower, chain, format }: HeaderSource, headers: HeaderFields): PresentedCertificate | undefined => {
    const lines = findAll(headers, lower);
    if (lines.length === 0) return undefined;
    const chainLines = chain === '' ? [] : findAll(headers, chain);
    const key = JSON.stringify([format, lines, chainLines]);
    const earlier = known.get(key);
    if (earlier !== undefined) return earlier;
    const parsed = parseForwarded(format, lines, chainLines);
    if (parsed === 'none') return undefined;
    // An empty certificate cannot be read, so a malformed header is presented and untrusted, not absent.
    const found = parsed === 'malformed' ? [new Uint8Array()] : parsed;
    const presented: PresentedCertificate = { chain: found, from: 'header', memo: {} };
    known.set(key, presented);
    return presented;
  };
}

function proveIdentity(
  trustedPeers: Parameters<Forwarding['proveIdentity']>[0],
  own: PresentedCertificate | undefined,
  now: number,
  judge: TrustView['judge'],
): Pick<Peer, 'provedBy' | 'undecided'> {
  const provedBy: ObjectKey[] = [];
  let undecided: Reason | undefined;
  for (const { identity, trust } of trustedPeers) {
    if (identity === undefined || trust === undefined || own === undefined || own.chain.length === 0) continue;
    const evidence = judge(trust, own, now);
    if (evidence.state === 'undecided') undecided ??= evidence.reason;
    if (evidence.state === 'verified' && evidence.certificate.subjectAltName.uri.includes(identity))
      provedBy.push(trust);
  }
  return undecided === undefined || provedBy.length > 0 ? { provedBy } : { provedBy, undecided };
}
