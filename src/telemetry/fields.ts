/**
 * What may stand in a log line. Nobody should hand a secret to a log; should it happen all the same, what looks like one
 * is taken out here, and a line never grows past a bound, whatever a client sent.
 */
import type { LogFields } from './telemetry.ts';

const MAX_DEPTH = 4;
const MAX_MEMBERS = 48;
const MAX_TEXT = 512;
/** Characters of JSON that the values of one line may take, escapes counted. */
const MAX_LINE = 8_000;

/** JWS and JWE, PEM, credentials of Authorization, shared access signatures, keys in connection strings: linear patterns. */
const SECRETS =
  /eyJ[\w-]{6,}|-----BEGIN|\b(?:bearer|basic)\s+[\w+/=~.-]{6,}|\bsharedaccess(?:signature|key)\b|\bsig=|\bpassword\b\s*[=:]/i;
const REDACTED = '[redacted]';

interface Budget {
  left: number;
}

/** The same fields, bounded and without what looks like a secret. Members past the bounds are left out. */
export function sanitizeFields(fields: LogFields): Record<string, unknown> {
  return sanitizeMembers(fields, { left: MAX_LINE }, 0);
}

/** Control characters are left to JSON, which escapes them. */
export function sanitizeText(text: string, max = MAX_TEXT): string {
  const short = text.length > max ? `${text.slice(0, max)}…` : text;
  return SECRETS.test(short) ? REDACTED : short;
}

function sanitizeMembers(
  members: Readonly<Record<string, unknown>>,
  budget: Budget,
  depth: number,
): Record<string, unknown> {
  const safe: Record<string, unknown> = {};
  for (const name of Object.keys(members).slice(0, MAX_MEMBERS)) {
    const key = sanitizeText(name, 64);
    budget.left -= key.length + 4;
    const value = sanitizeValue(members[name], budget, depth + 1);
    if (value !== undefined) Object.defineProperty(safe, key, { value, enumerable: true });
  }
  return safe;
}

function sanitizeValue(value: unknown, budget: Budget, depth: number): unknown {
  if (budget.left <= 0 || value === undefined || depth > MAX_DEPTH) return undefined;
  if (typeof value === 'string') return spend(sanitizeText(value), budget);
  if (typeof value === 'bigint') return spend(value.toString().slice(0, MAX_TEXT), budget);
  if (typeof value === 'object') return value === null ? null : sanitizeObject(value, budget, depth);
  if (typeof value !== 'number' && typeof value !== 'boolean') return undefined;
  budget.left -= 20;
  return value;
}

function sanitizeObject(value: object, budget: Budget, depth: number): unknown {
  if (value instanceof Error) return sanitizeMembers(describeError(value), budget, depth);
  if (value instanceof Date) return spend(value.toISOString(), budget);
  // Bytes are keys, certificates or bodies: their length is all that a line may say.
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return spend(`[${value.byteLength} bytes]`, budget);
  if (Array.isArray(value)) {
    return value.slice(0, MAX_MEMBERS).flatMap((item: unknown) => sanitizeValue(item, budget, depth + 1) ?? []);
  }
  return sanitizeMembers({ ...value }, budget, depth);
}

/**
 * Name and code. The message only of system errors (ECONNREFUSED …): those of parsers quote their input, and other fields
 * of an error may hold a whole claim set.
 */
function describeError(error: Error): Record<string, unknown> {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  return { name: error.name, code, message: code !== undefined && /^E[A-Z]+$/.test(code) ? error.message : undefined };
}

function spend(text: string, budget: Budget): string {
  budget.left -= JSON.stringify(text).length;
  return text;
}
