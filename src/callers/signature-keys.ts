/** Shared keys of webhooks as they are kept in Secrets. */
import { createHash, createSecretKey, type KeyObject } from 'node:crypto';
import type { SignatureScheme } from '../policy/steps.ts';

export interface SharedKey {
  readonly key: KeyObject;
  /** Names the key without telling it: for what was verified by it before. */
  readonly fingerprint: string;
}

export type KeyProblem = 'EMPTY' | 'NOT_HEX' | 'NOT_BASE64';

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;

/** One line break at the end does not count: editors and `echo` put it there. */
export function readSharedKey(bytes: Uint8Array, encoding: SignatureScheme['keyEncoding']): SharedKey | KeyProblem {
  const raw = decodeKey(Buffer.from(bytes).subarray(0, endOf(bytes)), encoding);
  if (typeof raw === 'string') return raw;
  if (raw.length === 0) return 'EMPTY';
  return { key: createSecretKey(raw), fingerprint: createHash('sha256').update(raw).digest('base64') };
}

function endOf(bytes: Uint8Array): number {
  if (bytes.at(-1) !== 0x0a) return bytes.length;
  return bytes.at(-2) === 0x0d ? bytes.length - 2 : bytes.length - 1;
}

function decodeKey(bytes: Buffer, encoding: SignatureScheme['keyEncoding']): Buffer | KeyProblem {
  if (encoding === 'Text') return bytes;
  const text = bytes.toString('latin1');
  if (encoding === 'Hex') return /^(?:[0-9A-Fa-f]{2})*$/.test(text) ? Buffer.from(text, 'hex') : 'NOT_HEX';
  const base64 = encoding === 'WebhookSecret' ? text.replace(/^whsec_/, '') : text;
  return BASE64.test(base64) ? Buffer.from(base64, 'base64') : 'NOT_BASE64';
}
