/** The step `deviceAuth` (P3), in exactly its order: revocation, the ids, the service's answer. */
import type { Bindings, Template } from '../policy/expression.ts';
import type { CompiledDeviceAuth, CompiledStep } from '../policy/steps.ts';
import { deviceAnswer, revocationAnswer } from './answers.ts';
import { celObject } from './cel-value.ts';
import { certificateBinding } from './certificate-binding.ts';
import type { CertificateFacts, Claims, DeviceEvidence, DeviceRequest } from './evidence.ts';
import type { DeviceAnswer } from './finding.ts';
import { object, type Objection } from './objection.ts';
import { Question, type Asking } from './question.ts';
import type { Run } from './run.ts';

type Outcome = { readonly answer: DeviceAnswer } | Objection;

/**
 * No device has a longer id, in characters. Whoever has a certificate could else have the service asked for more than
 * servers take in a URL, and the answers to it kept.
 */
const LONGEST_ID = 512;

/** An id that cannot be read is nobody's: empty, so that it matches nothing. */
function renderId(template: Template, bindings: Bindings): string {
  try {
    const id = template.render(bindings);
    return id.length > LONGEST_ID ? '' : id;
  } catch {
    return '';
  }
}

/** The service's own words on its answer. Whatever goes wrong in them is its outage, not the device's fault (E8). */
function judgeAnswer(
  { step, certificate, deviceId, certificateIdentity }: DeviceRequest,
  answer: { readonly status: number; readonly body: Claims },
): Outcome {
  const { allow, deny } = step.plan.spec;
  if (deny.status.includes(answer.status)) return object('DeviceNotRecognized');
  if (!allow.status.includes(answer.status)) return object('DeviceAuthUnavailable', 'an unexpected status');
  try {
    if (Array.isArray(answer.body)) return object('DeviceAuthUnavailable', 'the answer is no object');
    const body = celObject(answer.body);
    const status = BigInt(answer.status);
    const cert = certificateBinding(certificate);
    const identity = certificateIdentity === undefined ? {} : { certificateIdentity };
    const allowed = step.plan.allow.evaluate({ body, status, deviceId, cert, ...identity });
    if (allowed === true) return { answer: { status: answer.status, body } };
    return object(allowed === false ? 'DeviceMismatch' : 'DeviceAuthUnavailable', 'allow.expression');
  } catch {
    return object('DeviceAuthUnavailable', 'allow.expression could not be evaluated');
  }
}

/** The look-up that a certificate calls for, or why there is none. */
type Asked = DeviceRequest | Objection;

function prepareLookUp(device: CompiledDeviceAuth, certificate: CertificateFacts, bindings: Bindings): Asked {
  const deviceId = renderId(device.deviceId, bindings);
  const identity = device.certificateIdentity && renderId(device.certificateIdentity, bindings);
  if (deviceId === '') return object('DeviceMismatch', 'deviceId is empty, or too long');
  if (identity !== undefined && identity !== deviceId) return object('DeviceMismatch', 'not the certificate’s id');
  const key = certificate.sha256 + deviceId;
  const certificateIdentity = identity === undefined ? {} : { certificateIdentity: identity };
  return { type: 'device', step: device, certificate, deviceId, key, ...certificateIdentity };
}

/**
 * What a step asks about a certificate, where the certificate alone decides it, and what it made of an answer that the
 * cache gave. Both are settled by the identity of what they were made from, never by the time.
 */
const asked = new WeakMap<CompiledDeviceAuth, WeakMap<CertificateFacts, Asked>>();
const judged = new WeakMap<DeviceEvidence, { readonly request: DeviceRequest; readonly outcome: Outcome }>();

function recallLookUps(device: CompiledDeviceAuth): WeakMap<CertificateFacts, Asked> | undefined {
  const known = asked.get(device);
  if (known !== undefined) return known;
  for (const name of [...device.deviceId.reads, ...(device.certificateIdentity?.reads ?? [])]) {
    if (name !== 'cert') return undefined;
  }
  const made = new WeakMap<CertificateFacts, Asked>();
  asked.set(device, made);
  return made;
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
  const known = recallLookUps(device);
  let request = known?.get(certificate);
  if (request === undefined) {
    request = prepareLookUp(device, certificate, run.bindingsOf(step));
    known?.set(certificate, request);
  }
  if ('reason' in request) return request;
  return new Question<Outcome>(request, evidence => {
    const answer = deviceAnswer(evidence);
    if (answer.state !== 'answered') return object(answer.reason);
    const earlier = judged.get(answer);
    if (earlier?.request === request) return earlier.outcome;
    const outcome = judgeAnswer(request, answer);
    // Of a request that is made anew each time nothing can be recalled.
    if (known !== undefined) judged.set(answer, { request, outcome });
    return outcome;
  });
}
