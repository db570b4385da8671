/** The step `deviceAuth` (P3), in exactly its order: revocation, the ids, the service's answer. */
import type { Bindings, Template } from '../policy/expression.ts';
import type { CompiledDeviceAuth, CompiledStep } from '../policy/steps.ts';
import { deviceAnswer, revocationAnswer } from './answers.ts';
import { celObject } from './cel-value.ts';
import { certificateBinding } from './certificate-binding.ts';
import type { CertificateFacts, Claims } from './evidence.ts';
import type { DeviceAnswer } from './finding.ts';
import { object, type Objection } from './objection.ts';
import { Question, type Asking } from './question.ts';
import type { Run } from './run.ts';

type Outcome = { readonly answer: DeviceAnswer } | Objection;

/** An id that cannot be read is nobody's: empty, so that it matches nothing. */
function renderId(template: Template, bindings: Bindings): string {
  try {
    return template.render(bindings);
  } catch {
    return '';
  }
}

/** The service's own words on its answer. Whatever goes wrong in them is its outage, not the device's fault (E8). */
function judgeAnswer(
  device: CompiledDeviceAuth,
  certificate: CertificateFacts,
  deviceId: string,
  answer: { readonly status: number; readonly body: Claims },
): Outcome {
  const { allow, deny } = device.plan.spec;
  if (deny.status.includes(answer.status)) return object('DeviceNotRecognized');
  if (!allow.status.includes(answer.status)) return object('DeviceAuthUnavailable', 'an unexpected status');
  try {
    if (Array.isArray(answer.body)) return object('DeviceAuthUnavailable', 'the answer is no object');
    const body = celObject(answer.body);
    const status = BigInt(answer.status);
    const cert = certificateBinding(certificate);
    const allowed = device.plan.allow.evaluate({ body, status, deviceId, cert });
    if (allowed === true) return { answer: { status: answer.status, body } };
    return object(allowed === false ? 'DeviceMismatch' : 'DeviceAuthUnavailable', 'allow.expression');
  } catch {
    return object('DeviceAuthUnavailable', 'allow.expression could not be evaluated');
  }
}

export function askDevice(run: Run, step: CompiledStep, device: CompiledDeviceAuth): Asking<Outcome> {
  const certificate = run.latest(step, 'certificate');
  if (certificate === undefined) return object('ClientCertificateNotPresent', 'no step verified a certificate');
  return new Question<Outcome>({ type: 'revocation', step: device, certificate }, answer => {
    const revocation = revocationAnswer(answer);
    return revocation.state === 'clear' ? lookUp(run, step, device, certificate) : object(revocation.reason);
  });
}

function lookUp(
  run: Run,
  step: CompiledStep,
  device: CompiledDeviceAuth,
  certificate: CertificateFacts,
): Asking<Outcome> {
  const bindings = run.bindingsOf(step);
  const deviceId = renderId(device.deviceId, bindings);
  const identity = device.certificateIdentity && renderId(device.certificateIdentity, bindings);
  if (deviceId === '') return object('DeviceMismatch', 'deviceId is empty');
  if (identity !== undefined && identity !== deviceId) return object('DeviceMismatch', 'not the certificate’s id');
  const certificateIdentity = identity === undefined ? {} : { certificateIdentity: identity };
  return new Question({ type: 'device', step: device, certificate, deviceId, ...certificateIdentity }, evidence => {
    const answer = deviceAnswer(evidence);
    if (answer.state !== 'answered') return object(answer.reason);
    return judgeAnswer(device, certificate, deviceId, answer);
  });
}
