/** Reads the lines of sidecars: everything in them comes from a pod, and is checked before it counts. */
import { isRecord } from '../kube/objects.ts';
import {
  BOUNDS,
  type Acknowledge,
  type AcknowledgedObject,
  type CertificateState,
  type FromSidecar,
  type IssuerState,
} from '../material/protocol.ts';

const MOST_ENTRIES = 1000;
const MOST_TEXT = 512;

const isText = (value: unknown, length = MOST_TEXT): value is string =>
  typeof value === 'string' && value.length <= length;
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;

/**
 * Undefined: not a message of this protocol. What is unknown in a known message is left out; a newer sidecar may say more
 * than this version knows, and that is unknown.
 */
export function readFromSidecar(line: string): FromSidecar | { readonly type: 'unknown' } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!isRecord(value)) return undefined;
  switch (value['type']) {
    case 'pong':
      return { type: 'pong' };
    case 'hello': {
      const { version, protocol } = value;
      if (!isText(version, 64) || !isCount(protocol)) return undefined;
      return { type: 'hello', version, protocol };
    }
    case 'acknowledge':
      return readAcknowledge(value);
    default:
      return typeof value['type'] === 'string' ? { type: 'unknown' } : undefined;
  }
}

function readAcknowledge(value: Readonly<Record<string, unknown>>): Acknowledge | undefined {
  const { hash, full } = value;
  const objects = readList(value['objects'], readObject, BOUNDS.objectsInAcknowledgement);
  const gone = readList(value['gone'], readText, BOUNDS.objectsInAcknowledgement);
  const issuers = readList(value['issuers'], readIssuer);
  const certificates = readList(value['certificates'], readCertificate);
  const appExposed = readList(value['appExposed'], readPort);
  const closedPorts = readList(value['closedPorts'] ?? [], readPort)?.slice(0, BOUNDS.closedPorts);
  const wouldDeny = readList(value['wouldDeny'], readWouldDeny);
  if (!isText(hash, 128) || typeof full !== 'boolean' || objects === undefined || gone === undefined) return undefined;
  if (issuers === undefined || certificates === undefined || appExposed === undefined) return undefined;
  if (closedPorts === undefined || wouldDeny === undefined) return undefined;
  return { type: 'acknowledge', hash, full, objects, gone, issuers, certificates, appExposed, closedPorts, wouldDeny };
}

/** Undefined when it is no list, is too long, or holds one item that is wrong. */
function readList<T>(
  value: unknown,
  read: (item: unknown) => T | undefined,
  most = MOST_ENTRIES,
): readonly T[] | undefined {
  if (!Array.isArray(value) || value.length > most) return undefined;
  const items: T[] = [];
  for (const item of value) {
    const one = read(item);
    if (one === undefined) return undefined;
    items.push(one);
  }
  return items;
}

const readPort = (value: unknown): number | undefined => (isCount(value) && value < 65_536 ? value : undefined);
const readText = (value: unknown): string | undefined => (isText(value) ? value : undefined);

const STATES: readonly AcknowledgedObject['state'][] = ['InForce', 'Kept', 'Unsupported', 'Refused'];

function readObject(value: unknown): AcknowledgedObject | undefined {
  if (!isRecord(value)) return undefined;
  const { kind, namespace, name, uid, generation, problem } = value;
  const state = STATES.find(one => one === value['state']);
  if (!isText(kind) || !isText(namespace) || !isText(name) || !isText(uid)) return undefined;
  if (!isCount(generation) || state === undefined) return undefined;
  const object = { kind, namespace, name, uid, generation, state };
  return typeof problem === 'string' ? { ...object, problem: clean(problem) } : object;
}

function readIssuer(value: unknown): IssuerState | undefined {
  if (!isRecord(value)) return undefined;
  const { key, keys, fetchedAt, stale, problem } = value;
  if (!isText(key) || !isCount(keys) || typeof stale !== 'boolean') return undefined;
  return {
    key,
    keys,
    stale,
    ...(isCount(fetchedAt) ? { fetchedAt } : {}),
    ...(typeof problem === 'string' && problem !== '' ? { problem: clean(problem) } : {}),
  };
}

function readCertificate(value: unknown): CertificateState | undefined {
  if (!isRecord(value)) return undefined;
  const { credential, notAfter, sha256 } = value;
  if (!isText(credential) || !isCount(notAfter) || !isText(sha256, 64)) return undefined;
  return { credential, notAfter, sha256 };
}

function readWouldDeny(value: unknown): { policy: string; count: number } | undefined {
  if (!isRecord(value)) return undefined;
  const { policy, count } = value;
  return isText(policy) && isCount(count) ? { policy, count } : undefined;
}

/** It stands in status later: one line of visible text. */
const clean = (text: string): string =>
  text
    .slice(0, BOUNDS.problem)
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ')
    .toWellFormed();
