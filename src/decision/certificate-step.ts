/** The step `clientCertificate` (P2), alone or as an alternative of anyOf. */
import type { CompiledCertificate } from '../policy/steps.ts';
import { certificateAnswer } from './answers.ts';
import { failed, type Attempt } from './attempt.ts';
import { certificatePrincipal } from './certificate-binding.ts';
import type { CertificateFacts, Evidence, EvidenceRequest } from './evidence.ts';
import { matchesIdentity } from './identity.ts';
import { object } from './objection.ts';
import type { Run } from './run.ts';

export function* tryCertificate(step: CompiledCertificate): Generator<EvidenceRequest, Attempt, Evidence> {
  const answer = certificateAnswer(yield { type: 'certificate', step });
  if (answer.state === 'absent') return failed(object('ClientCertificateNotPresent'), false);
  if (answer.state !== 'verified') return failed(object(answer.reason), true);
  const { certificate } = answer;
  const allowed = step.identities?.some(identity => matchesIdentity(certificate, identity)) ?? true;
  if (!allowed) return failed(object('ClientCertificateIdentityNotAllowed'), true);
  return { passed: { certificate, principal: certificatePrincipal(certificate) } };
}

/** A stream is judged again at notAfter; where the trust does not look at it, the date has no effect (M7). */
export function applyCertificate(run: Run, certificate: CertificateFacts): void {
  if (certificate.notAfter > run.now) run.limitTo(certificate.notAfter);
}
