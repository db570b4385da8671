/** Takes the evidence that decide() was resumed with for what it asked; an answer of another sort decides nothing. */
import { CouldNotDecide } from './could-not-decide.ts';
import type {
  CertificateEvidence,
  DeviceEvidence,
  Evidence,
  LeaseEvidence,
  RateEvidence,
  RevocationEvidence,
  SignatureEvidence,
  SubscriptionEvidence,
  TokenEvidence,
  Undecided,
} from './evidence.ts';

type Answer = Exclude<Evidence, string | undefined>;

function answered(evidence: Evidence): Answer {
  if (typeof evidence !== 'object') throw new CouldNotDecide('Overloaded');
  return evidence;
}

export function tokenAnswer(evidence: Evidence): TokenEvidence {
  const answer = answered(evidence);
  if ('token' in answer || 'reason' in answer) return answer;
  throw new CouldNotDecide('KeysUnavailable');
}

export function certificateAnswer(evidence: Evidence): CertificateEvidence {
  const answer = answered(evidence);
  if ('certificate' in answer || 'reason' in answer) return answer;
  if ('state' in answer && answer.state === 'absent') return answer;
  throw new CouldNotDecide('RevocationUnavailable');
}

export function revocationAnswer(evidence: Evidence): RevocationEvidence {
  const answer = answered(evidence);
  if ('reason' in answer) return answer;
  if ('state' in answer && answer.state === 'clear') return answer;
  throw new CouldNotDecide('DeviceAuthUnavailable');
}

export function deviceAnswer(evidence: Evidence): DeviceEvidence {
  const answer = answered(evidence);
  if ('body' in answer || 'reason' in answer) return answer;
  throw new CouldNotDecide('DeviceAuthUnavailable');
}

export function subscriptionAnswer(evidence: Evidence): SubscriptionEvidence {
  const answer = answered(evidence);
  if ('plans' in answer) return answer;
  if ('reason' in answer && answer.state === 'undecided') return answer;
  throw new CouldNotDecide('KeysUnavailable');
}

export function signatureAnswer(evidence: Evidence): SignatureEvidence {
  const answer = answered(evidence);
  if ('seen' in answer || 'reason' in answer) return answer;
  throw new CouldNotDecide('KeysUnavailable');
}

export function rateAnswer(evidence: Evidence): RateEvidence | Undecided {
  const answer = answered(evidence);
  if ('admitted' in answer) return answer;
  if ('reason' in answer && answer.state === 'undecided') return answer;
  throw new CouldNotDecide('Overloaded');
}

export function leaseAnswer(evidence: Evidence): LeaseEvidence | Undecided {
  const answer = answered(evidence);
  if ('leased' in answer) return answer;
  if ('reason' in answer && answer.state === 'undecided') return answer;
  throw new CouldNotDecide('Overloaded');
}

export function bindingAnswer(evidence: Evidence): string | undefined {
  if (typeof evidence === 'object') throw new CouldNotDecide('reason' in evidence ? evidence.reason : 'Overloaded');
  return evidence;
}
