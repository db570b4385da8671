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
 * body is no JSON object of at most 64 KiB and 32 levels, says that it is something else, or names a member twice, of which
 * the service and we could read different ones (RFC 8259 section 4). The body of a denial is not looked at.
 */
export function readAnswer({ spec }: DeviceServicePlan, { status, headers, body }: FetchAnswer): Answered | undefined {
  if (spec.deny.status.includes(status)) return { state: 'answered', status, body: NOTHING };
  if (!spec.allow.status.includes(status)) return undefined;
  const type = headers['content-type'];
  const value = type === undefined || JSON_TYPE.test(type) ? parseBody(body) : undefined;
  return value === undefined ? undefined : { state: 'answered', status, body: value };
}

const JSON_TYPE = /^[ \t]*application\/(?:[^\s;,/]+\+)?json[ \t]*(?:;[^,]*)?$/i;

function parseBody(bytes: Uint8Array): Answered['body'] | undefined {
  if (bytes.byteLength > MAX_BODY_BYTES) return undefined;
  try {
    // A byte order mark is kept, so that it is refused as JSON.parse does (RFC 8259 section 8.1).
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    const value: unknown = JSON.parse(text);
    return isRecord(value) && dropPrototypes(value, 1) && !repeatsMember(text) ? value : undefined;
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

const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?|[{}]/g;

/** Whether an object of this text, which is valid JSON, has two members of one name. */
function repeatsMember(text: string): boolean {
  const open: Set<unknown>[] = [];
  for (const [token, colon] of text.matchAll(TOKEN)) {
    if (token === '{') open.push(new Set());
    else if (token === '}') open.pop();
    else if (colon !== undefined) {
      const name: unknown = JSON.parse(token.slice(0, -colon.length));
      const names = open.at(-1);
      if (names?.has(name) === true) return true;
      names?.add(name);
    }
  }
  return false;
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
