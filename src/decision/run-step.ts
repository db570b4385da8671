/** One step of a pipeline: what it asks for, what it finds, and why it objects. */
import type { CompiledChoose, CompiledJwt, CompiledStep } from '../policy/steps.ts';
import { filterAddress } from './address-step.ts';
import type { Passed } from './attempt.ts';
import { tryAnyOf } from './any-of-step.ts';
import { authorize } from './authorize-step.ts';
import { applyCertificate, tryCertificate } from './certificate-step.ts';
import { chooseBranch } from './choose-step.ts';
import { decideCors } from './cors-step.ts';
import { countQuota, countRate, takeLease } from './count-step.ts';
import { askDevice } from './device-step.ts';
import { foundNothing } from './finding.ts';
import { removeHeaders, requireHeader, setHeaders } from './headers-step.ts';
import { applyToken, removeTokens, tryToken } from './jwt-step.ts';
import { object, objectToFailure, type Objection } from './objection.ts';
import { whenKnown, type Asking } from './question.ts';
import type { Run } from './run.ts';
import { removeOtherSpellings, trySignature } from './signature-step.ts';
import { removeKeys, trySubscription } from './subscription-step.ts';
import { setVariables } from './variables-step.ts';

type StepOf<T extends CompiledStep['type']> = Extract<CompiledStep, { type: T }>;
type Result = Asking<Objection | undefined>;

function accept(run: Run, step: CompiledStep, passed: Passed, alternative?: string): void {
  const { token, certificate, subscription, principal } = passed;
  run.record({ step, token, certificate, subscription, principal, alternative, answer: undefined });
  if (step.origin.audit) return;
  run.limitTo(passed.validUntil);
  if (token !== undefined) applyToken(run, token);
  if (certificate !== undefined) applyCertificate(run, certificate);
}

function runJwt(run: Run, step: StepOf<'jwt'>): Result {
  return whenKnown(tryToken(run, step.jwt), attempt => {
    if (attempt.passed === undefined) return attempt.objection;
    accept(run, step, attempt.passed);
    if (!step.origin.audit) removeTokens(run, step.jwt, step.jwt);
    return undefined;
  });
}

function runCertificate(run: Run, step: StepOf<'clientCertificate'>): Result {
  return whenKnown(tryCertificate(step.clientCertificate), attempt => {
    if (attempt.passed === undefined) return attempt.objection;
    accept(run, step, attempt.passed);
    return undefined;
  });
}

function runSubscription(run: Run, step: StepOf<'subscription'>): Result {
  return whenKnown(trySubscription(run, step.subscription), attempt => {
    if (attempt.passed === undefined) return attempt.objection;
    accept(run, step, attempt.passed);
    if (!step.origin.audit) removeKeys(run, step.subscription);
    return undefined;
  });
}

function runSignature(run: Run, step: StepOf<'hmacSignature'>): Result {
  return whenKnown(trySignature(run, step.hmacSignature), attempt => {
    if (attempt.passed === undefined) return attempt.objection;
    accept(run, step, attempt.passed);
    if (!step.origin.audit) removeOtherSpellings(run, step.hmacSignature);
    return undefined;
  });
}

function runAnyOf(run: Run, step: StepOf<'anyOf'>): Result {
  return whenKnown(tryAnyOf(run, step.alternatives), attempt => {
    if (attempt.passed === undefined) return attempt.objection;
    const { winner } = attempt;
    accept(run, step, attempt.passed, winner?.type);
    if (step.origin.audit) return undefined;
    const winning: CompiledJwt | undefined = winner?.type === 'jwt' ? winner.jwt : undefined;
    for (const alternative of step.alternatives) {
      if (alternative.type === 'jwt') removeTokens(run, alternative.jwt, winning);
      if (alternative.type === 'subscription') removeKeys(run, alternative.subscription, winning);
      if (alternative.type === 'hmacSignature') removeOtherSpellings(run, alternative.hmacSignature);
    }
    return undefined;
  });
}

function runDevice(run: Run, step: StepOf<'deviceAuth'>): Result {
  return whenKnown(askDevice(run, step, step.deviceAuth), outcome => {
    if (!('answer' in outcome)) return outcome;
    run.record({ ...foundNothing(step), answer: outcome.answer });
    return undefined;
  });
}

/** A step that asks for nothing: it passed unless it objects. */
function conclude(run: Run, step: CompiledStep, objection: Objection | undefined): Objection | undefined {
  if (objection === undefined) run.record(foundNothing(step));
  return objection;
}

function choose(run: Run, step: CompiledStep, chosen: CompiledChoose): Objection | undefined {
  try {
    run.choose(chosen.choice, chooseBranch(chosen, run.bindingsOf(step)));
    return undefined;
  } catch (error) {
    return objectToFailure(error, 'a condition');
  }
}

export type RunnableStep = Exclude<CompiledStep, { type: 'respond' }>;

/** An objection, or undefined when the step passed. */
export function runStep(run: Run, step: RunnableStep): Result {
  switch (step.type) {
    case 'jwt':
      return runJwt(run, step);
    case 'clientCertificate':
      return runCertificate(run, step);
    case 'subscription':
      return runSubscription(run, step);
    case 'hmacSignature':
      return runSignature(run, step);
    case 'anyOf':
      return runAnyOf(run, step);
    case 'deviceAuth':
      return runDevice(run, step);
    case 'ipFilter':
      return conclude(run, step, filterAddress(run, step.ipFilter));
    case 'rateLimit':
      return countRate(run, step, step.rateLimit);
    case 'quota':
      return countQuota(run, step, step.quota);
    case 'concurrency':
      return takeLease(run, step, step.concurrency);
    case 'authorize':
      return conclude(run, step, authorize(step.allow, step.deny, run.bindingsOf(step)));
    case 'requireHeader':
      return conclude(run, step, requireHeader(run, step.requireHeader));
    case 'setHeaders':
      return conclude(run, step, setHeaders(run, step, step.setHeaders));
    case 'removeHeaders':
      return conclude(run, step, removeHeaders(run, step, step.removeHeaders));
    case 'cors':
      return conclude(run, step, decideCors(run, step, step.cors));
    case 'setVariables':
      return conclude(run, step, setVariables(run, step, step.variables));
    case 'choose':
      return conclude(run, step, choose(run, step, step.choose));
    case 'invalid':
      return object('PolicyInvalid');
  }
}
