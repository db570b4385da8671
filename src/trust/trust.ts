/**
 * trust: floor 2. Whether a client certificate is trusted: anchors and revocation lists from material and URLs, path
 * validation, forwarded certificates. May import api/, http/, x509/, policy/, decision/, telemetry/, material/, outbound/.
 *
 * Anchors, lists and what was validated by them live longer than one generation: a change of policy that leaves a
 * ClientTrust and its material alone keeps its caches, and what became unreadable keeps its last good content.
 */
import type { ObjectKey } from '../api/object.ts';
import type { Reason } from '../api/reasons.ts';
import type { CertificateEvidence } from '../decision/evidence.ts';
import type { HeaderFields } from '../http/head.ts';
import type { Material } from '../material/material.ts';
import type { Fetcher } from '../outbound/fetcher.ts';
import type { ListenerPlan, TrustPlan } from '../policy/model.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import { createAnchorReader } from './anchors.ts';
import { createRevocation, type RevocationStatus } from './revocation.ts';
import { createRecords, type TrustRecord } from './record.ts';
import { createView } from './view.ts';

export interface PresentedCertificate {
  /** DER, leaf first, as the handshake or header gave it; empty: none. */
  readonly chain: readonly Uint8Array[];
  /** OpenSSL's verdict of the handshake: absent when it accepted, else its error code; not looked at for forwarded chains. */
  readonly handshakeError?: string;
  readonly from: 'tls' | 'header';
  /** One object per connection or header text: results are remembered on it. */
  readonly memo: object;
}

/** Who speaks on a connection, as `Api.trustedPeers` sees it. */
export interface Peer {
  /** Its own certificate of the handshake. */
  readonly own: PresentedCertificate | undefined;
  /** Its address is in a range of `trustedPeers`. */
  readonly byAddress: boolean;
  /** ClientTrusts by which it proved an identity of `trustedPeers`; see TrustView.proveIdentity. */
  readonly provedBy: readonly ObjectKey[];
  /** Why it could not be decided whether it proved an identity: forwarded certificates are then 503, not "none presented". */
  readonly undecided?: Reason;
}

export interface TrustView {
  /**
   * The certificate's facts, or why not; answers at once. Path validation is remembered on `presented.memo`; validity and
   * revocation are judged for `now` (milliseconds since the epoch) at every call, as an open or resumed connection must be.
   *
   * - no certificate, or from a place that is not among the trust's `sources`: absent;
   * - no readable anchor, an unknown trust: undecided KeysUnavailable;
   * - Strict without a current list: undecided RevocationUnavailable. A list past its nextUpdate still revokes.
   */
  judge(trust: ObjectKey, presented: PresentedCertificate, now: number): CertificateEvidence;
  /** Finds what counts as presented to this trust, in the handshake or in a trusted peer's header, and judges it. */
  judgeRequest(trust: ObjectKey, headers: HeaderFields, peer: Peer, now: number): CertificateEvidence;
  /** What judgeRequest would judge; an empty chain when there is none. */
  findPresented(trust: ObjectKey, headers: HeaderFields, peer: Peer): PresentedCertificate;
  /** By which trusts the peer's own certificate proves an exact URI of `trustedPeers`. Judged for `now`. */
  proveIdentity(
    trustedPeers: ListenerPlan['trustedPeers'],
    own: PresentedCertificate | undefined,
    now: number,
  ): Pick<Peer, 'provedBy' | 'undecided'>;
  /** Lower-case names of all headers that carry forwarded certificates, the standard ones included. */
  readonly forwardedHeaders: ReadonlySet<string>;
  /** Those of `forwardedHeaders` that this peer may not send: removed, and counted when they were there. */
  strippedHeaders(peer: Peer): ReadonlySet<string>;
  /**
   * The anchors of these trusts as PEM, each once, for a TLS context's `ca`. Undefined when there is none: the listener
   * must then not ask for certificates by that context, since an empty `ca` means the public roots in Node.
   */
  anchorsPem(trusts: readonly ObjectKey[]): readonly string[] | undefined;
  /**
   * Whether contexts need `allowPartialTrustChain`: some of these trusts ends paths at an issuing CA. Node 24.21 honours it
   * only in contexts that an SNICallback gives; judge knows what OpenSSL then says to clients without SNI.
   */
  allowsPartialChain(trusts: readonly ObjectKey[]): boolean;
  status(): readonly TrustStatus[];
}

export interface TrustStatus {
  readonly trust: ObjectKey;
  readonly anchors: number;
  /** Milliseconds since the epoch; absent without anchors. */
  readonly anchorsExpireAt?: number;
  /** Fixed words and object names; empty: nothing. */
  readonly problems: readonly string[];
  readonly revocation: 'Strict' | 'SoftFail' | 'Disabled';
  readonly lists: readonly RevocationStatus[];
}

export interface Trust {
  /** Never throws: what is missing or bad makes an undecided answer, a warning and a line of status. */
  prepare(trusts: ReadonlyMap<ObjectKey, TrustPlan>, material: Material): TrustView;
  /** Resolves when every list with a URL was fetched or failed once. */
  settled(): Promise<void>;
  close(): void;
}

export interface TrustOptions {
  /** Absent: lists with a URL are never there (offline commands). */
  readonly fetcher?: Pick<Fetcher, 'fetch'>;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Runs once after the delay; the result cancels. Default: a timer that does not keep the process alive. */
  readonly schedule?: Schedule;
  /** A list came or changed: open streams are to be judged again (M7). */
  readonly onChange?: () => void;
}

export type Schedule = (delayMs: number, run: () => void) => () => void;

const timer: Schedule = (delayMs, run) => {
  const handle = setTimeout(run, delayMs);
  handle.unref();
  return () => clearTimeout(handle);
};

export function createTrust(options: TrustOptions): Trust {
  const anchors = createAnchorReader(options.log);
  const revocation = createRevocation({ ...options, schedule: options.schedule ?? timer });
  const records = createRecords({ ...options, anchors, revocation });
  return {
    prepare: (trusts, material) => {
      const current = new Map<ObjectKey, TrustRecord>();
      for (const [key, plan] of trusts) current.set(key, records.prepare(plan, material));
      records.keepOnly(current);
      return createView(current, options.metrics);
    },
    settled: () => revocation.settled(),
    close: () => revocation.keepUsed(),
  };
}
