/** Reads a device-auth answer: status, a bounded JSON object, and how long it may be kept. */
import type { DeviceEvidence } from '../decision/evidence.ts';
import type { FetchAnswer } from '../outbound/fetcher.ts';
import type { DeviceServicePlan } from '../policy/model.ts';

export const MAX_BODY_BYTES = 64 * 1024;
const MAX_DEPTH = 32;

export type Answered = Extract<DeviceEvidence, { readonly state: 'answered' }>;

const NOTHING: Answered['body'] = Object.freeze(Object.create(null) as Record<string, unknown>);

/**
 * The answer as evidence; undefined when it decides nothing: a status that the plan does not name, or an allowed one whose
 * body is no JSON object of at most 64 KiB and 32 levels. Of a member given twice the last counts. The body of a denial is
 * not looked at.
 */
export function readAnswer({ spec }: DeviceServicePlan, { status, body }: FetchAnswer): Answered | undefined {
  if (spec.deny.status.includes(status)) return { state: 'answered', status, body: NOTHING };
  if (!spec.allow.status.includes(status)) return undefined;
  const value = parseBody(body);
  return value === undefined ? undefined : { state: 'answered', status, body: value };
}

function parseBody(bytes: Uint8Array): Answered['body'] | undefined {
  if (bytes.byteLength > MAX_BODY_BYTES) return undefined;
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return isRecord(value) && dropPrototypes(value, 1) ? value : undefined;
  } catch {
    return undefined;
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function dropPrototypes(value: object, depth: number): boolean {
  if (depth > MAX_DEPTH) return false;
  for (const member of Object.values(value) as unknown[]) {
    if (typeof member === 'object' && member !== null && !dropPrototypes(member, depth + 1)) return false;
  }
  if (!Array.isArray(value)) Object.setPrototypeOf(value, null);
  return true;
}

/**
 * The milliseconds that Cache-Control allows (RFC 9111 section 5.2.2): it can shorten `ttl`, never lengthen it. A max-age
 * that is no number counts as 0.
 */
export function shortenLifetime(ttl: number, cacheControl: string | undefined): number {
  if (cacheControl === undefined) return ttl;
  let allowed = ttl;
  for (const directive of cacheControl.toLowerCase().split(',')) {
    const [name = '', value = ''] = directive.trim().split('=', 2);
    if (name === 'no-store' || name === 'no-cache') return 0;
    if (name !== 'max-age') continue;
    const seconds = /^"?(\d{1,10})"?$/.exec(value)?.[1];
    allowed = Math.min(allowed, Number(seconds ?? 0) * 1000);
  }
  return allowed;
}
