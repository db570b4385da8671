/** Pipelines: what applies to a route, in order, compiled. Routes of an Api with the same policies share one. */
import type { ApiDraft } from './apis.ts';
import { findCredentials, hidesAuthorization, type BackendContext } from './backend.ts';
import { collectCredentialNames, listBarredTrailers } from './credential-names.ts';
import { compileErrors } from './errors-plan.ts';
import { isAuthentication } from './header-names.ts';
import { instantiate, isBroader, type Instance, type PolicyInForce } from './in-force.ts';
import type { Origin, Pipeline, Scope, Sight, TrustPlan } from './model.ts';
import type { ObjectKey } from '../api/object.ts';
import { overrideRequest, overrideResponse, type Member } from './overrides.ts';
import type { BodyResponseStep } from './policy-body.ts';
import { sortByLength } from './response-steps.ts';
import { SCOPE_ORDER, type Participation } from './scopes.ts';
import type { CompiledResponseStep, CompiledStep } from './steps.ts';

export interface PipelineContext extends BackendContext {
  readonly policyOf: (participation: Participation) => PolicyInForce;
  readonly trusts: ReadonlyMap<ObjectKey, TrustPlan>;
  /** Authorities by which the app of a port is known besides those that the Api names. */
  readonly appAuthorities: (port: number) => readonly string[];
}

export interface PipelineFactory {
  /** `participations` in the order of S2, `all` with those that an inherit: None leaves out of the request part. */
  readonly create: (api: ApiDraft, participations: readonly Participation[], all: readonly Participation[]) => Pipeline;
}

export function createPipelineFactory(context: PipelineContext): PipelineFactory {
  const instances = new Map<string, Instance>();
  const instanceOf = (participation: Participation): Instance => {
    const { targets, scope, widened } = participation;
    const id = `${targets.id} ${scope} ${widened}`;
    const known = instances.get(id) ?? instantiate(context.policyOf(participation), participation);
    instances.set(id, known);
    return known;
  };
  return { create: (api, participations, all) => createPipeline(api, participations, all, instanceOf, context) };
}

function createPipeline(
  api: ApiDraft,
  participations: readonly Participation[],
  all: readonly Participation[],
  instanceOf: (participation: Participation) => Instance,
  context: PipelineContext,
): Pipeline {
  const memberOf = (participation: Participation): Member => ({
    participation,
    policy: context.policyOf(participation),
  });
  const members = participations.map(memberOf);
  const everyone = all.map(memberOf);
  const groups = members.map(member => {
    const { origin, steps } = instanceOf(member.participation);
    return { member, origin, steps: overrideRequest(steps, member, members, context.report) };
  });
  const steps = groups.flatMap(group => group.steps);
  const { certificate, header } = findCredentials(api, everyone, context);
  const credentialHeaders = collectCredentialNames(steps, context.trusts);
  return {
    steps,
    authenticates: findAuthentication(steps),
    response: createResponse(api, everyone, instanceOf, context),
    errors: compileErrors(everyone, context),
    credentialHeaders,
    barredTrailers: listBarredTrailers(steps, credentialHeaders),
    sight: createSight(groups, createResponseOrigins(everyone, instanceOf)),
    ...(certificate === undefined ? {} : { certificateCredential: certificate }),
    ...(header === undefined ? {} : { headerCredential: header }),
    ...(hidesAuthorization(api, header, steps) ? { hidesAuthorization: true } : {}),
  };
}

function findAuthentication(steps: readonly CompiledStep[]): Pipeline['authenticates'] {
  const authentication = steps.filter(step => isAuthentication(step.type));
  if (authentication.some(step => !step.origin.audit)) return 'Enforced';
  return authentication.length > 0 ? 'AuditOnly' : 'Never';
}

/** S3: narrowest first, cluster last, whatever `inherit` says; within a scope by name. Audit policies change nothing (S8). */
function createResponse(
  api: ApiDraft,
  members: readonly Member[],
  instanceOf: (participation: Participation) => Instance,
  context: PipelineContext,
): Pipeline['response'] {
  const ordered = members
    .map((member, index) => ({ member, index }))
    .sort((a, b) => scopeOf(b.member) - scopeOf(a.member) || a.index - b.index);
  const steps = ordered.flatMap(({ member }) => {
    const { origin } = instanceOf(member.participation);
    if (origin.audit) return [];
    return (member.policy.body?.response ?? []).map(step =>
      finishResponseStep(overrideResponse(step, member, members, context.report), origin, api, context),
    );
  });
  return { steps, dynamic: steps.some(isDynamic) };
}

const scopeOf = ({ participation }: Member): number => SCOPE_ORDER[participation.scope];

function finishResponseStep(
  { name, when, branch, body }: BodyResponseStep,
  origin: Origin,
  api: ApiDraft,
  { appAuthorities }: PipelineContext,
): CompiledResponseStep {
  const head = {
    name,
    origin,
    label: `${origin.name}/${name}`,
    widened: false,
    ...(when === undefined ? {} : { when }),
    ...(branch === undefined ? {} : { branch }),
  };
  if (body.type !== 'hideBackend') return { ...head, ...body };
  const from = body.hideBackend.from ?? listAuthorities(api, appAuthorities(api.port));
  return { ...head, type: 'hideBackend', hideBackend: { ...body.hideBackend, from } };
}

/** Names by which the app may call itself, with and without a port: rewriteHosts.from's default. */
function listAuthorities({ object, port }: ApiDraft, known: readonly string[]): readonly string[] {
  const { serverName, url } = object.spec.app;
  const names = [`localhost:${port}`, `127.0.0.1:${port}`, ...known];
  if (serverName !== undefined) names.push(serverName, `${serverName}:${port}`);
  const [, authority] = /^https?:\/\/([^/?]+)/.exec(url ?? '') ?? [];
  if (authority !== undefined) names.push(authority);
  const hosts = names.map(name => name.replace(/:[0-9]*$/, ''));
  return sortByLength([...names, ...hosts].map(name => name.toLowerCase()));
}

function isDynamic(step: CompiledResponseStep): boolean {
  if (step.when !== undefined || step.branch !== undefined) return true;
  if (step.type === 'setHeaders') return step.setHeaders.some(({ value }) => value.literal === undefined);
  return step.type !== 'removeHeaders';
}

interface Group {
  readonly member: Member;
  readonly origin: Origin;
  readonly steps: readonly CompiledStep[];
}

/** Origins of policies that take part with their response steps only: inherit: None left their request steps out. */
function createResponseOrigins(
  members: readonly Member[],
  instanceOf: (participation: Participation) => Instance,
): readonly Group[] {
  return members.map(member => ({ member, origin: instanceOf(member.participation).origin, steps: [] }));
}

/** E7: own names, else those of the nearest broader policy that ran before. */
function createSight(groups: readonly Group[], everyone: readonly Group[]): ReadonlyMap<Origin, Sight> {
  const sight = new Map<Origin, Sight>();
  const broader = createBroader(groups);
  for (const [at, group] of groups.entries()) sight.set(group.origin, seeFrom(group, at, broader));
  const broaderOfAll = createBroader(everyone);
  for (const group of everyone) {
    if (!sight.has(group.origin)) sight.set(group.origin, seeFrom(group, 0, broaderOfAll));
  }
  return sight;
}

interface Placed {
  readonly group: Group;
  readonly at: number;
  readonly layer: Sight['layers'][number];
}

/** Enforced policies of broader scopes, broadest first, with their places in the pipeline. */
function createBroader(groups: readonly Group[]): (scope: Scope) => readonly Placed[] {
  const placed = groups
    .map((group, at): Placed => ({ group, at, layer: layerOf(group) }))
    .filter(({ group }) => !group.origin.audit)
    .sort((a, b) => scopeOf(a.group.member) - scopeOf(b.group.member));
  const known = new Map<Scope, readonly Placed[]>();
  return scope => {
    const found = known.get(scope) ?? placed.filter(({ group }) => isBroader(group.member.participation.scope, scope));
    known.set(scope, found);
    return found;
  };
}

const layerOf = ({ origin, member }: Group): Sight['layers'][number] => ({
  origin,
  vars: member.policy.body?.vars ?? {},
});

/** Worked out when an expression first reads it: most read neither `steps` nor `vars`, and thousands may see thousands. */
function seeFrom(group: Group, at: number, broaderThan: (scope: Scope) => readonly Placed[]): Sight {
  const broader = broaderThan(group.member.participation.scope);
  let [steps, vars, layers]: [Sight['steps']?, Sight['vars']?, Sight['layers']?] = [];
  return {
    get steps() {
      return (steps ??= listSteps(
        group,
        broader.filter(other => other.at < at),
      ));
    },
    get layers() {
      return (layers ??= [...broader.map(({ layer }) => layer), layerOf(group)]);
    },
    get vars() {
      return (vars ??= layVars(this.layers));
    },
  };
}

/** The narrower goes before the broader. */
function layVars(layers: Sight['layers']): Sight['vars'] {
  const vars = Object.create(null) as Record<string, string>;
  for (const layer of layers) Object.assign(vars, layer.vars);
  return Object.freeze(vars);
}

function listSteps(group: Group, before: readonly Placed[]): Sight['steps'] {
  const steps = new Map<string, CompiledStep>();
  for (const name of group.member.policy.body?.foreignSteps ?? []) steps.set(name, neverRan(name, group.origin));
  for (const other of before) for (const step of other.group.steps) steps.set(step.name, step);
  for (const step of group.steps) steps.set(step.name, step);
  return steps;
}

/** Stands for a step that other targets have and this route has not (E10): no pipeline holds it, so it never ran (E4). */
const neverRan = (name: string, origin: Origin): CompiledStep => ({
  type: 'invalid',
  name,
  origin,
  label: `${origin.name}/${name}`,
  widened: false,
});
