/** The step `clientCertificate` (P2), alone or as an alternative of anyOf. */
import type { CompiledCertificate } from '../policy/steps.ts';
import { certificateAnswer } from './answers.ts';
import { failed, type Attempt } from './attempt.ts';
import { certificatePrincipal } from './certificate-binding.ts';
import type { CertificateFacts, Evidence } from './evidence.ts';
import { matchesIdentity } from './identity.ts';
import { object } from './objection.ts';
import { Question } from './question.ts';
import type { Run } from './run.ts';

export const tryCertificate = (step: CompiledCertificate): Question<Attempt> =>
  new Question({ type: 'certificate', step }, answer => judgeCertificate(step, answer));

function judgeCertificate(step: CompiledCertificate, evidence: Evidence): Attempt {
  const answer = certificateAnswer(evidence);
  if (answer.state === 'absent') return failed(object('ClientCertificateNotPresent'), false);
  if (answer.state !== 'verified') return failed(object(answer.reason), true);
  const { certificate } = answer;
  const allowed = step.identities?.some(identity => matchesIdentity(certificate, identity)) ?? true;
  if (!allowed) return failed(object('ClientCertificateIdentityNotAllowed'), true);
  return { passed: { certificate, principal: certificatePrincipal(certificate) } };
}

/** The second that notAfter names still belongs to the validity (RFC 5280 section 4.1.2.5). */
const LAST_SECOND_MS = 1000;

/**
 * A stream is judged again when the last valid second is over: earlier it would pass once more. Where the trust does not
 * look at the date, it has no effect (M7).
 */
export function applyCertificate(run: Run, certificate: CertificateFacts): void {
  const over = certificate.notAfter + LAST_SECOND_MS;
  if (over > run.now) run.limitTo(over);
}
