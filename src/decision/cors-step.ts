/** The step `cors` (S3): answers say which pages may read them. Preflights are preflight.ts. */
import { findAll } from '../http/head.ts';
import type { RequestView } from '../policy/request.ts';
import type { CompiledCors, CompiledStep } from '../policy/steps.ts';
import type { Run } from './run.ts';
import type { CorsAnswer, HeaderLine } from './verdict.ts';

/** Absent: a page of that origin may read nothing. */
export function allowOrigin(
  { origins, credentials }: CompiledCors,
  { headers }: RequestView,
): readonly HeaderLine[] | undefined {
  const [origin, another] = findAll(headers, 'origin');
  if (origin === undefined || another !== undefined) return undefined;
  if (origins !== 'any' && !origins.has(origin.toLowerCase())) return undefined;
  const value = origins === 'any' ? '*' : origin;
  const allowed = { name: 'Access-Control-Allow-Origin', value };
  return credentials ? [allowed, { name: 'Access-Control-Allow-Credentials', value: 'true' }] : [allowed];
}

/** Answers differ by Origin, and a cache must not give one page's to another. */
export const variesByOrigin = ({ origins }: CompiledCors): boolean => origins !== 'any';

/** What answers carry, whoever makes them: the first `cors` of the pipeline decides, and the app's own words do not count. */
export function decideCors(run: Run, step: CompiledStep, cors: CompiledCors): undefined {
  if (step.origin.audit || run.cors !== undefined) return;
  const lines = [...(allowOrigin(cors, run.request) ?? [])];
  if (lines.length > 0 && cors.expose !== undefined) {
    lines.push({ name: 'Access-Control-Expose-Headers', value: cors.expose });
  }
  run.cors = { lines, varies: variesByOrigin(cors) };
}

/** Headers of an app's answer that speak of other origins: ours stand instead. */
export const CORS_HEADERS = [
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-expose-headers',
  'access-control-allow-methods',
  'access-control-allow-headers',
  'access-control-max-age',
  'access-control-allow-private-network',
] as const;

/** Lines for an answer of our own. */
export const linesOfCors = ({ lines, varies }: CorsAnswer): readonly HeaderLine[] =>
  varies ? [...lines, { name: 'Vary', value: 'Origin' }] : lines;

/** `Vary` of an answer with what it says already. */
export function addVary(values: readonly string[]): readonly string[] {
  const names = values.flatMap(value => value.split(',')).map(name => name.trim().toLowerCase());
  return names.includes('origin') || names.includes('*') ? values : [...values, 'Origin'];
}
