/** Preflights of browsers are answered before any other step (P6). */
import { findAll } from '../http/head.ts';
import type { Route } from '../policy/model.ts';
import type { RequestView } from '../policy/request.ts';
import type { CompiledCors, CompiledStep } from '../policy/steps.ts';
import { chooseBranch } from './choose-step.ts';
import { isWanted } from './condition.ts';
import { allowOrigin, variesByOrigin } from './cors-step.ts';
import { Run, type DecideContext } from './run.ts';
import type { HeaderLine, Respond } from './verdict.ts';

/** The method that a browser asks leave for; undefined: this is no preflight. */
export function readPreflight({ method, headers }: Pick<RequestView, 'method' | 'headers'>): string | undefined {
  if (method !== 'OPTIONS') return undefined;
  const [origin, another] = findAll(headers, 'origin');
  const [asked, more] = findAll(headers, 'access-control-request-method');
  if (origin === undefined || another !== undefined || asked === undefined || more !== undefined) return undefined;
  // It is matched like a request's own method, so it must be one.
  return /^[A-Z][A-Z-]{0,31}$/.test(asked) && origin !== '' ? asked : undefined;
}

function renderPreflight(cors: CompiledCors, request: RequestView): readonly HeaderLine[] {
  const lines: HeaderLine[] = [];
  const allowed = allowOrigin(cors, request);
  if (allowed !== undefined) {
    lines.push(...allowed);
    if (cors.methods !== undefined) lines.push({ name: 'Access-Control-Allow-Methods', value: cors.methods });
    if (cors.headers !== undefined) lines.push({ name: 'Access-Control-Allow-Headers', value: cors.headers });
    lines.push({ name: 'Access-Control-Max-Age', value: cors.maxAge });
  }
  if (variesByOrigin(cors)) lines.push({ name: 'Vary', value: 'Origin' });
  return lines;
}

/**
 * P6: the answer of the first `cors` of the pipeline; undefined: there is none, and the request is an ordinary OPTIONS.
 * Nothing else has run, so conditions see the request alone; one that fails counts as false.
 */
export function answerPreflight(
  route: Route,
  params: Readonly<Record<string, string>>,
  request: RequestView,
  reserved: ReadonlySet<string>,
  context: DecideContext,
): Respond | undefined {
  const { steps } = route.pipeline;
  if (!steps.some(({ type, origin }) => type === 'cors' && !origin.audit)) return undefined;
  const run = new Run(route, params, request, reserved, context);
  for (const step of steps) {
    if (step.origin.audit || (step.type !== 'cors' && step.type !== 'choose') || isWanted(run, step) !== true) continue;
    if (step.type === 'cors') {
      context.trace?.add(step, { verdict: 'passed', detail: 'answers the preflight', microseconds: 0 });
      return respondWith(step, route, renderPreflight(step.cors, request));
    }
    try {
      run.choose(step.choose.choice, chooseBranch(step.choose, run.bindingsOf(step)));
    } catch {
      // No branch is chosen.
    }
  }
  return undefined;
}

const respondWith = (step: CompiledStep, route: Route, headers: readonly HeaderLine[]): Respond => ({
  verdict: 'Respond',
  route,
  auditDenials: [],
  responseHeaders: [],
  origin: step.origin,
  label: step.label,
  status: 204,
  headers,
  body: '',
});
