/** Steps of a policy's response part. What hideBackend takes from its Api is filled in by pipelines.ts. */
import type { HideBackendStep, ResponseStep } from '../api/kinds/steps.ts';
import type { Template } from './expression.ts';
import { compileChoose, compileReplaceText } from './flow-steps.ts';
import { createHeaderMatcher } from './header-matcher.ts';
import type { StepCompiler } from './step-compiler.ts';
import { compileRespond, compileSettings } from './request-steps.ts';
import type { CompiledHideBackend, ResponseStepBody } from './steps.ts';

/** `from` absent: the Api's own authorities. */
export type HideBackendBody = Omit<CompiledHideBackend, 'from'> & { readonly from?: readonly string[] };

export type ResponseBody =
  | Exclude<ResponseStepBody, { readonly type: 'hideBackend' }>
  | { readonly type: 'hideBackend'; readonly hideBackend: HideBackendBody };

/** What careless apps and the machinery around them say about themselves; `*` at the end is a prefix. */
export const HIDDEN_HEADERS: readonly string[] = [
  'server',
  'x-powered-by',
  'x-aspnet-version',
  'x-aspnetmvc-version',
  'x-runtime',
  'x-generator',
  'via',
  'x-backend',
  'x-cache',
  'x-cache-lookup',
  'x-real-server',
  'x-served-by',
  'x-upstream',
  'x-varnish',
  'x-backend-*',
  'x-envoy-*',
  'x-powered-by-*',
  'x-upstream-*',
];

/** The step, or undefined after reporting what is wrong with it. */
export function compileResponseStep(step: ResponseStep, compiler: StepCompiler): ResponseBody | undefined {
  const { field } = compiler;
  if (step.hideBackend !== undefined) {
    const written = step.hideBackend.rewriteHosts?.to;
    if (written === undefined) return { type: 'hideBackend', hideBackend: compileHideBackend(step.hideBackend) };
    const to = compiler.text(written, 'text', `${field}.hideBackend.rewriteHosts.to`);
    return to && { type: 'hideBackend', hideBackend: compileHideBackend(step.hideBackend, to) };
  }
  if (step.setHeaders !== undefined) {
    return { type: 'setHeaders', setHeaders: compileSettings(step.setHeaders, `${field}.setHeaders`, compiler) };
  }
  if (step.removeHeaders !== undefined) {
    return { type: 'removeHeaders', removeHeaders: step.removeHeaders.map(name => name.toLowerCase()) };
  }
  if (step.replaceText !== undefined) {
    return { type: 'replaceText', replaceText: compileReplaceText(step.replaceText) };
  }
  if (step.choose !== undefined) {
    return { type: 'choose', choose: compileChoose(step.choose, step.name, `${field}.choose`, compiler) };
  }
  if (step.respond === undefined) return undefined;
  const respond = compileRespond(step.respond, `${field}.respond`, compiler);
  return respond === undefined ? undefined : { type: 'respond', respond };
}

function compileHideBackend(
  { removeHeaders, keepHeaders, rewriteHosts, bodies, errorBodies }: HideBackendStep,
  to?: Template,
): HideBackendBody {
  const keep = keepHeaders.map(name => name.toLowerCase());
  const names = new Set([...HIDDEN_HEADERS, ...removeHeaders.map(name => name.toLowerCase())]);
  const remove = [...names].filter(name => !keep.includes(name));
  return {
    removeHeaders: remove,
    keepHeaders: keep,
    removes: createHeaderMatcher(remove, keep),
    errorBodies,
    ...(to === undefined ? {} : { to }),
    ...(rewriteHosts?.from === undefined ? {} : { from: sortByLength(rewriteHosts.from) }),
    ...(bodies === undefined ? {} : { bodies }),
  };
}

/** Longest first, so that a name is not rewritten within a longer one that contains it. */
export const sortByLength = (names: readonly string[]): readonly string[] =>
  [...new Set(names)].sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
