/** One policy compiled by itself: everything that does not depend on the route. Routes share it (pipelines.ts). */
import { memberPath } from '../api/field-path.ts';
import type { ErrorsSpec } from '../api/kinds/policy.ts';
import type { ObjectKey } from '../api/object.ts';
import type { ValueSource } from '../api/kinds/shared.ts';
import type { ResponseStep, RequestStep } from '../api/kinds/steps.ts';
import { foldName } from '../http/head.ts';
import { quote } from '../api/words.ts';
import { NOTHING } from './cel-environment.ts';
import type { Problem, Reference } from './cel-inspect.ts';
import { ALLOWED_HOSTS } from './allowed-hosts.ts';
import { credentialSort, secretOf } from './credential-texts.ts';
import { compareBytes } from './encoding.ts';
import type { Expression, Template } from './expression.ts';
import { flattenRequest, flattenResponse, type FlatStep } from './flat-steps.ts';
import { listReadHeaders, listWrittenHeaders } from './header-names.ts';
import { readKeyRef, requireObject, type Lookup } from './references.ts';
import type { ObjectReport } from './report.ts';
import { compileRequestStep } from './request-steps.ts';
import { compileResponseStep, type ResponseBody } from './response-steps.ts';
import type { PolicyObject } from './scopes.ts';
import {
  createStepCompiler,
  SHARES_SECRET,
  placeOf,
  type BodyContext,
  type BodyScene,
  type Needs,
  type CallerRead,
  type Variables,
} from './step-compiler.ts';
import type { Branch, StepBody } from './steps.ts';
import { knownIn } from './supporting.ts';
import { compileTemplate } from './template.ts';

export interface BodyStep {
  readonly name: string;
  /** Where it stands in the manifest. */
  readonly field: string;
  readonly when?: Expression;
  readonly branch?: Branch;
  readonly body: StepBody;
}

export interface BodyResponseStep {
  readonly name: string;
  readonly field: string;
  readonly when?: Expression;
  readonly branch?: Branch;
  readonly body: ResponseBody;
}

export interface PolicyBody {
  readonly request: readonly BodyStep[];
  readonly response: readonly BodyResponseStep[];
  readonly vars: Readonly<Record<string, string>>;
  readonly backend?: { readonly credential: ObjectKey; readonly sort: 'certificate' | 'header' };
  readonly errors?: Omit<ErrorsSpec, 'headers'>;
  readonly errorHeaders?: readonly { readonly name: string; readonly value: Template }[];
  readonly needs: Needs;
  readonly callerReads: readonly CallerRead[];
  /** Steps of broader policies that its expressions may name, whether or not a route has them. */
  readonly foreignSteps: readonly string[];
  /** Folded names of headers that its steps write, and which of them no client may send. */
  readonly writes: ReadonlySet<string>;
  readonly reserves: ReadonlySet<string>;
  /** Lower-case names of headers that its authentication steps read. */
  readonly reads: ReadonlySet<string>;
}

/** The body, or undefined after reporting at least one error. */
export function compileBody(policy: PolicyObject, context: BodyContext, report: ObjectReport): PolicyBody | undefined {
  const { spec } = policy;
  const vars = readVariables(policy, context.lookup, report);
  const needs = createNeeds();
  const steps = flattenRequest(spec.request);
  const answerSteps = flattenResponse(spec.response);
  const callerReads: CallerRead[] = [];
  const scene: BodyScene = { policy, steps, context, report, vars, needs, callerReads };
  checkNames([...steps, ...answerSteps.filter(({ branch }) => branch !== undefined)], report);
  checkOwnHeaders(steps, report);
  const request = joinBranches(steps, (step, index) => compileStep(step, index, scene));
  const response = joinBranches(answerSteps, step => compileResponse(step, scene));
  const backend = compileBackend(policy, context, report, needs);
  const errorHeaders = compileErrorHeaders(spec.errors?.headers, scene);
  if (report.failed()) return undefined;
  const written = steps.flatMap(({ step }) => listWrittenHeaders(step));
  return {
    request: request.filter(step => step !== undefined),
    response: response.filter(step => step !== undefined),
    vars: vars.known,
    needs,
    callerReads,
    foreignSteps: [...(context.surroundings?.steps.keys() ?? [])],
    writes: new Set(written.map(({ name }) => foldName(name))),
    reserves: new Set(written.filter(header => header.reserved).map(({ name }) => foldName(name))),
    reads: new Set(steps.flatMap(({ step }) => listReadHeaders(step))),
    ...(backend === undefined ? {} : { backend }),
    ...(spec.errors === undefined ? {} : { errors: spec.errors }),
    ...(errorHeaders === undefined ? {} : { errorHeaders }),
  };
}

const createNeeds = (): Needs => ({
  issuers: new Set(),
  trusts: new Set(),
  services: new Set(),
  credentials: new Set(),
  uses: new Set(),
  counters: new Set(),
});

function readVariables({ kind, meta, spec }: PolicyObject, lookup: Lookup, report: ObjectReport): Variables {
  const known = Object.create(null) as Record<string, string>;
  const missing = new Set<string>();
  for (const [name, source] of Object.entries(spec.variables)) {
    const field = memberPath('spec.variables', name);
    if (kind === 'ClusterAuthPolicy' && source.secretKeyRef !== undefined && !spec.shareSecrets) {
      report.error(`${field}.secretKeyRef`, {
        problem: SHARES_SECRET.problem,
        fix: `${SHARES_SECRET.fix}, or use a ConfigMap`,
      });
    }
    const value = source.value ?? readNamed(source, { namespace: meta.namespace, lookup, field, report });
    if (value === undefined) missing.add(name);
    else known[name] = value;
  }
  return { known, missing };
}

interface Named {
  readonly namespace: string;
  readonly lookup: Lookup;
  readonly field: string;
  readonly report: ObjectReport;
}

/** Nobody can tell where a policy will send a value: a Secret that is for some hosts only is not to be had. */
function readNamed(source: ValueSource, { namespace, lookup, field, report }: Named): string | undefined {
  const secret = secretOf(source, namespace);
  if (secret === undefined || lookup.secretHosts?.(secret) === undefined)
    return readKeyRef(source, namespace, lookup, field, report);
  report.warn(`${field}.secretKeyRef`, {
    problem: `names the Secret ${quote(secret)}, which may be presented to some hosts only (${ALLOWED_HOSTS})`,
    fix: 'use a BackendCredential, or a Secret without that annotation; until then what reads it is answered 503',
  });
  return undefined;
}

/** P13 within one policy; across policies pipelines.ts looks. */
function checkOwnHeaders(steps: readonly FlatStep<RequestStep>[], report: ObjectReport): void {
  const read = new Set(steps.flatMap(({ step }) => listReadHeaders(step)).map(foldName));
  for (const { step, field } of steps) {
    for (const written of listWrittenHeaders(step)) {
      if (read.has(foldName(written.name))) report.error(`${field}.${written.field}`, describeP13(written.name));
    }
  }
}

export const describeP13 = (name: string): Problem => ({
  problem: `sets the header ${quote(name)}, from which an authentication step reads its credential`,
  fix: 'use another header',
});

/** What a branch is in belongs to the choose that was compiled before it. */
function joinBranches<S, B extends BodyStep | BodyResponseStep>(
  steps: readonly FlatStep<S>[],
  compile: (step: FlatStep<S>, index: number) => B | undefined,
): readonly (B | undefined)[] {
  const compiled: (B | undefined)[] = [];
  for (const [index, step] of steps.entries()) {
    const made = compile(step, index);
    if (step.branch === undefined || made === undefined) {
      compiled.push(made);
      continue;
    }
    const of = compiled[step.branch.of]?.body;
    // A choose that cannot be had denies; its steps then belong to none, so that they never run.
    const choice = of?.type === 'choose' ? of.choose.choice : { name: '' };
    compiled.push({ ...made, branch: { choice, at: step.branch.at } });
  }
  return compiled;
}

/** A list map keeps names apart in its own list only; the steps of branches lie in other lists. */
function checkNames(steps: readonly FlatStep<{ readonly name: string }>[], report: ObjectReport): void {
  const seen = new Map<string, string>();
  for (const { step, field } of steps) {
    const earlier = seen.get(step.name);
    if (earlier === undefined) seen.set(step.name, field);
    else if (field.includes('.choose.') || earlier.includes('.choose.')) {
      report.error(`${field}.name`, {
        problem: `${quote(step.name)} is already used by ${earlier}`,
        fix: 'give it another name: steps are told apart by their names',
      });
    }
  }
}

function compileStep({ step, field }: FlatStep<RequestStep>, index: number, scene: BodyScene): BodyStep | undefined {
  const reads: Reference[] = [];
  const own = { name: step.name, whenAnswered: () => placeOf(scene, index, true) };
  const compiler = createStepCompiler(field, placeOf(scene, index, false), scene, reads, own);
  const when = step.when === undefined ? undefined : compiler.expression(step.when, `${field}.when`);
  const body = compileRequestStep(step, compiler);
  if (body === undefined) return undefined;
  const head = { name: step.name, field, ...(when === undefined ? {} : { when }) };
  const lacksValue = reads.some(([root, name = '']) => root === 'vars' && isMissing(name, index, scene));
  return lacksValue ? { name: step.name, field, body: { type: 'invalid' } } : { ...head, body };
}

/** Its Secret or ConfigMap is missing, and no earlier step has set it. */
const isMissing = (name: string, index: number, { vars, steps }: BodyScene): boolean =>
  vars.missing.has(name) && !steps.slice(0, index).some(({ step }) => Object.hasOwn(step.setVariables ?? {}, name));

function compileResponse({ step, field }: FlatStep<ResponseStep>, scene: BodyScene): BodyResponseStep | undefined {
  const compiler = createStepCompiler(field, placeOf(scene, scene.steps.length, true), scene, []);
  const when = step.when === undefined ? undefined : compiler.expression(step.when, `${field}.when`);
  const body = compileResponseStep(step, compiler);
  return body === undefined ? undefined : { name: step.name, field, body, ...(when === undefined ? {} : { when }) };
}

function compileBackend(
  { meta, spec }: PolicyObject,
  { supporting }: BodyContext,
  report: ObjectReport,
  needs: Needs,
): PolicyBody['backend'] {
  if (spec.backend === undefined) return undefined;
  const known = knownIn(supporting, 'BackendCredential');
  const credential = requireObject(spec.backend.credential, meta.namespace, known, 'spec.backend.credential', report);
  if (credential === undefined) return undefined;
  needs.credentials.add(credential);
  return { credential, sort: credentialSort(supporting.credentials.get(credential)) };
}

/** Literal: where a request was refused, nothing of it is verified. */
function compileErrorHeaders(
  headers: Readonly<Record<string, string>> | undefined,
  { report }: BodyScene,
): PolicyBody['errorHeaders'] {
  if (headers === undefined) return undefined;
  return Object.keys(headers)
    .sort(compareBytes)
    .flatMap(name => {
      const field = memberPath('spec.errors.headers', name);
      const value = compileTemplate(headers[name] ?? '', 'header', NOTHING);
      if ('problem' in value) {
        report.error(field, value);
        return [];
      }
      return [{ name, value }];
    });
}
