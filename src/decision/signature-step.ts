/** The step `hmacSignature` (P10), alone or as an alternative of anyOf. The body is asked for last. */
import type { CompiledSignature } from '../policy/steps.ts';
import { signatureAnswer } from './answers.ts';
import { failed, type Attempt } from './attempt.ts';
import type { Evidence } from './evidence.ts';
import { object } from './objection.ts';
import { Question, type Asking } from './question.ts';
import type { Run } from './run.ts';
import { isSigned, readSignature } from './signature-header.ts';
import { hasOtherSpelling } from './token-location.ts';

export function trySignature(run: Run, step: CompiledSignature): Asking<Attempt> {
  // An open stream was verified when it was opened: its body is gone, and its time is over (M7).
  if (run.context.rejudge === true) return askAgain(run, step);
  const stated = readSignature(run.request, step, run.now);
  if ('reason' in stated) return failed(stated, isSigned(run.request, step));
  return new Question({ type: 'signature', step, again: false, ...stated }, answer => judgeSignature(step, answer));
}

function askAgain(run: Run, step: CompiledSignature): Asking<Attempt> {
  if (!isSigned(run.request, step)) return failed(object('SignatureNotPresent'), false);
  const stated = { signatures: [], timestamp: '', id: '' };
  return new Question({ type: 'signature', step, again: true, ...stated }, answer => judgeSignature(step, answer));
}

function judgeSignature(step: CompiledSignature, evidence: Evidence): Attempt {
  const answer = signatureAnswer(evidence);
  if (answer.state !== 'valid') return failed(object(answer.reason), true);
  if (answer.seen) return failed(object('SignatureReplayed'), true);
  return { passed: { principal: { kind: 'HmacSignature', id: step.id } } };
}

/**
 * The app may verify again, so it gets the headers that were verified; another spelling of one (`X_Id` beside `X-Id`) it
 * might take for it.
 */
export function removeOtherSpellings(run: Run, { scheme }: CompiledSignature): void {
  for (const name of [scheme.header, scheme.timestampHeader, scheme.idHeader]) {
    if (name !== undefined && hasOtherSpelling(run.request, name)) run.edits.keepOneSpelling(name);
  }
}
