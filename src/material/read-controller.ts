/**
 * Reads what the controller says. It is trusted to say what is in force, but not to be of this version: members of another
 * shape are refused as a whole line, unknown kinds of lines are left out.
 */
import { createLocalError, KubeError } from '../kube/kube-error.ts';
import { parseRetryAfter } from '../kube/status.ts';
import type { Bye, CertificateResponse, FromController, MaterialMessage } from './protocol.ts';

type Raw = Readonly<Record<string, unknown>>;

const isRaw = (value: unknown): value is Raw => typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown): value is string => typeof value === 'string';
const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

function everyMember(value: unknown, check: (member: unknown) => boolean): value is Raw {
  return isRaw(value) && Object.values(value).every(check);
}

/** Undefined: a kind of line that this version does not know. @throws KubeError when it is broken */
export function readFromController(line: string): FromController | undefined {
  const value = parseLine(line);
  if (!isRaw(value)) throw refuse('a line is no object');
  switch (value['type']) {
    case 'material':
      if (!isMaterial(value)) throw refuse('a material has another shape');
      return value;
    case 'workload': {
      const { readyPods } = value;
      return { type: 'workload', readyPods: isCount(readyPods) ? Math.max(1, readyPods) : 1 };
    }
    case 'ping':
      return { type: 'ping' };
    case 'bye':
      return readBye(value);
    default:
      return undefined;
  }
}

const refuse = (problem: string): KubeError => createLocalError('Protocol', `the controller: ${problem}`);

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    // The error of JSON.parse repeats the text, which holds secrets.
    throw refuse('a line is no JSON');
  }
}

function isMaterial(value: Raw): value is Raw & MaterialMessage {
  return (
    isText(value['hash']) &&
    everyMember(value['namespaceLabels'], isText) &&
    isRaw(value['objects']) &&
    everyMember(value['secrets'], isEntry) &&
    everyMember(value['configMaps'], isEntry) &&
    (value['gate'] === undefined || isGate(value['gate']))
  );
}

const isEntry = (entry: unknown): boolean =>
  entry === null ||
  (isRaw(entry) &&
    everyMember(entry['data'], isText) &&
    (entry['allowedHosts'] === undefined ||
      (Array.isArray(entry['allowedHosts']) && entry['allowedHosts'].every(isText))));

const isGate = (gate: unknown): boolean =>
  isRaw(gate) && (gate['policies'] === null || (Array.isArray(gate['policies']) && gate['policies'].every(isRaw)));

const REASONS: readonly Bye['reason'][] = ['Stopping', 'Rebalance', 'Replaced', 'ProtocolError', 'MaterialTooLarge'];

function readBye({ retryAfterMs, reason }: Raw): Bye {
  return {
    type: 'bye',
    retryAfterMs: isCount(retryAfterMs) ? Math.min(retryAfterMs, 600_000) : 1000,
    reason: REASONS.find(known => known === reason) ?? 'ProtocolError',
  };
}

/** The error of an answer that is not 200. */
export function readRefusal(status: number, body: string, retryAfter: string | undefined, now: number): KubeError {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    value = undefined;
  }
  const { reason, problem } = isRaw(value) ? value : {};
  const wait = parseRetryAfter(retryAfter, now);
  return new KubeError({
    status,
    reason: isText(reason) ? reason.slice(0, 64) : `Status${status}`,
    message: `the controller answered ${status}${isText(problem) ? `: ${problem.slice(0, 512)}` : ''}`,
    ...(wait === undefined ? {} : { retryAfterMs: wait }),
  });
}

/** @throws KubeError when it has another shape */
export function readCertificateResponse(value: unknown): CertificateResponse {
  if (isRaw(value)) {
    const { certificate, ca, notAfter, spiffeId } = value;
    if (isText(certificate) && isText(ca) && isCount(notAfter) && isText(spiffeId)) {
      return { certificate, ca, notAfter, spiffeId };
    }
  }
  throw refuse('the answer holds no certificate');
}
