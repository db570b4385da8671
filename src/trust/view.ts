/** A TrustView over prepared records: judging, and what listeners and status ask. */
import type { ObjectKey } from '../api/object.ts';
import type { Reason } from '../api/reasons.ts';
import type { CertificateEvidence } from '../decision/evidence.ts';
import type { Metrics } from '../telemetry/telemetry.ts';
import type { PathProblem } from '../x509/path.ts';
import { encodePem } from '../x509/pem.ts';
import { createForwarding, NONE_IN_HEADER } from './forwarding.ts';
import type { TrustRecord } from './record.ts';
import type { PresentedCertificate, TrustStatus, TrustView } from './trust.ts';

const ABSENT: CertificateEvidence = { state: 'absent' };
const refused = (reason: Reason): CertificateEvidence => ({ state: 'refused', reason });
const undecided = (reason: Reason): CertificateEvidence => ({ state: 'undecided', reason });

const NO_ANCHORS = undecided('KeysUnavailable');
const NO_LIST = undecided('RevocationUnavailable');
const REVOKED = refused('ClientCertificateRevoked');
const UNTRUSTED = refused('ClientCertificateUntrusted');
const REFUSALS: Readonly<Record<PathProblem, CertificateEvidence>> = {
  untrusted: UNTRUSTED,
  expired: refused('ClientCertificateExpired'),
  'not-yet-valid': refused('ClientCertificateNotYetValid'),
  purpose: refused('ClientCertificatePurpose'),
};

type Records = ReadonlyMap<ObjectKey, TrustRecord>;

export function createView(records: Records, metrics: Metrics): TrustView {
  const judge = (trust: ObjectKey, presented: PresentedCertificate, now: number): CertificateEvidence => {
    const record = records.get(trust);
    return record === undefined ? NO_ANCHORS : judgeBy(record, presented, now, metrics);
  };
  const forwarding = createForwarding(records, judge);
  return {
    judge,
    ...forwarding,
    judgeRequest: (trust, headers, peer, now) => {
      const presented = forwarding.findPresented(trust, headers, peer);
      if (peer.undecided !== undefined && presented === NONE_IN_HEADER) return undecided(peer.undecided);
      return judge(trust, presented, now);
    },
    anchorsPem: trusts => {
      const found = new Set(chosen(records, trusts).flatMap(({ anchors }) => anchors.certificates.map(pemOf)));
      return found.size === 0 ? undefined : [...found];
    },
    allowsPartialChain: trusts => chosen(records, trusts).some(({ plan }) => plan.spec.partialChain),
    status: () => [...records.values()].map(describe),
  };
}

function judgeBy(record: TrustRecord, presented: PresentedCertificate, now: number, metrics: Metrics) {
  if (!record.plan.spec.sources.some(source => source[presented.from] !== undefined)) return ABSENT;
  // Without anchors the listener could not ask for a certificate, so that none was presented means nothing.
  if (record.anchors.certificates.length === 0) return NO_ANCHORS;
  if (presented.chain.length === 0) return ABSENT;
  const validation = record.validator.validate(presented, now);
  if (!validation.ok) {
    // An anchor that cannot be read might be the one: that is an outage, not a stranger.
    const unknown = record.anchors.incomplete && validation.problem === 'untrusted';
    return unknown ? NO_ANCHORS : REFUSALS[validation.problem];
  }
  if (presented.from === 'tls' && !isHandshakeAccepted(record, presented.handshakeError)) return UNTRUSTED;
  const revocation = record.revocation.check(validation.path, now);
  if (revocation === 'revoked') return REVOKED;
  if (revocation === 'clear') return validation.evidence;
  if (record.revocation.mode === 'Strict') return NO_LIST;
  metrics.count('sallyport_revocation_soft_fails_total', { trust: record.plan.key });
  return validation.evidence;
}

/**
 * Both verdicts must hold (P2): what OpenSSL refused in the handshake and we accept is refused, as untrusted. Two kinds of
 * codes are passed over, since the operator asked for what OpenSSL in Node cannot do there:
 *
 * - the validity switches: the one code of a check that was switched off. Node goes on after an error and tells the last
 *   one, so the code may hide an earlier one; our own validation has then judged alone, as it does for forwarded chains;
 * - partialChain: UNABLE_TO_GET_ISSUER_CERT, which OpenSSL sets only when the chain reached a certificate of `ca` that is no
 *   root. It is set before purposes, signatures, times and names are checked, and told only if those passed. Node 24.21 allows
 *   partial chains in contexts that an SNICallback gives, not in a server's own, which clients without SNI get.
 *   UNABLE_TO_GET_ISSUER_CERT_LOCALLY and UNABLE_TO_VERIFY_LEAF_SIGNATURE say that no anchor was reached: never passed over.
 */
function isHandshakeAccepted({ plan }: TrustRecord, error: string | undefined): boolean {
  if (error === undefined) return true;
  const { notBefore, notAfter } = plan.spec.validity;
  if (error === 'UNABLE_TO_GET_ISSUER_CERT') return plan.spec.partialChain;
  return (error === 'CERT_HAS_EXPIRED' && !notAfter) || (error === 'CERT_NOT_YET_VALID' && !notBefore);
}

function chosen(records: Records, trusts: readonly ObjectKey[]): readonly TrustRecord[] {
  return trusts.flatMap(key => records.get(key) ?? []);
}

const pemOf = ({ der }: { readonly der: Uint8Array }): string => encodePem('CERTIFICATE', der);

function describe({ plan, anchors, revocation }: TrustRecord): TrustStatus {
  const { certificates, problems } = anchors;
  const expiries = certificates.map(({ notAfter }) => notAfter);
  return {
    trust: plan.key,
    anchors: certificates.length,
    ...(expiries.length === 0 ? {} : { anchorsExpireAt: Math.min(...expiries) }),
    problems,
    revocation: revocation.mode,
    lists: revocation.sources.map(source => source.status()),
  };
}
