/** The step `cors` (S3): answers say which pages may read them. Preflights are preflight.ts. */
import { findAll, type HeaderFields } from '../http/head.ts';
import type { RequestView } from '../policy/request.ts';
import type { CompiledCors, CompiledStep } from '../policy/steps.ts';
import type { HeaderValues } from './edits.ts';
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

/** Headers that speak of other origins: ours stand instead of the app's and the policy's own. */
const CORS_HEADERS: ReadonlySet<string> = new Set([
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-expose-headers',
  'access-control-allow-methods',
  'access-control-allow-headers',
  'access-control-max-age',
  'access-control-allow-private-network',
]);

/** Lines of an answer of our own, with what a `cors` step has settled. */
export function addCors(lines: readonly HeaderLine[], cors: CorsAnswer | undefined): readonly HeaderLine[] {
  if (cors === undefined) return lines;
  const others = lines.filter(({ name }) => !CORS_HEADERS.has(name.toLowerCase()));
  return [...others, ...cors.lines, ...(cors.varies ? [{ name: 'Vary', value: 'Origin' }] : [])];
}

/** The same for an answer of the app: `edits` as ResponseEdits has them, `received` its own headers. */
export function editCors(
  edits: Map<string, HeaderValues>,
  { lines, varies }: CorsAnswer,
  received: HeaderFields,
): void {
  for (const lower of CORS_HEADERS) {
    if (received.lower.includes(lower) || edits.has(lower)) edits.set(lower, { name: lower, values: [] });
  }
  for (const { name, value } of lines) edits.set(name.toLowerCase(), { name, values: [value] });
  if (!varies) return;
  const told = edits.get('vary')?.values ?? findAll(received, 'vary');
  const names = told.flatMap(value => value.split(',')).map(name => name.trim().toLowerCase());
  if (!names.includes('origin') && !names.includes('*'))
    edits.set('vary', { name: 'Vary', values: [...told, 'Origin'] });
}
