/** S4: a header that a sealed policy sets or removes cannot be written by a narrower one. */
import { foldName } from '../http/head.ts';
import { quote } from '../api/words.ts';
import { isBroader, type PolicyInForce } from './in-force.ts';
import type { PolicyBody, BodyResponseStep } from './policy-body.ts';
import type { Participation } from './scopes.ts';
import type { CompiledHeaderSetting, CompiledJwt, CompiledRespond, CompiledStep } from './steps.ts';
import type { Report } from './report.ts';

export interface Member {
  readonly participation: Participation;
  readonly policy: PolicyInForce;
}

/** Told with a header's name: whether a sealed broader policy owns it. */
type Owns = (name: string) => PolicyInForce | undefined;

function sealedOver(member: Member, members: readonly Member[]): readonly Member[] {
  return members.filter(
    ({ participation, policy }) =>
      policy.sealed &&
      !policy.audit &&
      policy.body !== undefined &&
      isBroader(participation.scope, member.participation.scope),
  );
}

/** Looks for owners when the first header is written: most policies write none. */
function requestOwner(member: Member, members: readonly Member[]): Owns {
  const list = once(() =>
    sealedOver(member, members).map(({ policy }) => ({ policy, names: ownedOfRequest(policy.body) })),
  );
  return name => list().find(({ names }) => names.has(foldName(name)))?.policy;
}

function once<T extends object>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

function ownedOfRequest(body: PolicyBody | undefined): ReadonlySet<string> {
  const removed = (body?.request ?? []).flatMap(step =>
    step.body.type === 'removeHeaders' ? step.body.removeHeaders.map(foldName) : [],
  );
  return new Set([...(body?.writes ?? []), ...removed]);
}

function responseOwner(member: Member, members: readonly Member[]): Owns {
  const list = once(() => sealedOver(member, members));
  return name => {
    const lower = name.toLowerCase();
    return list().find(({ policy }) => policy.body?.response.some(step => ownsInResponse(step, lower)) === true)
      ?.policy;
  };
}

function ownsInResponse({ body }: BodyResponseStep, lower: string): boolean {
  switch (body.type) {
    case 'setHeaders':
      return body.setHeaders.some(setting => setting.lower === lower);
    case 'removeHeaders':
      return body.removeHeaders.includes(lower);
    case 'hideBackend':
      return body.hideBackend.removes(lower);
    case 'replaceText':
    case 'choose':
    case 'respond':
      return false;
  }
}

/** The member's request steps with what is overridden marked or left out; the same objects where nothing is. */
export function overrideRequest(
  steps: readonly CompiledStep[],
  member: Member,
  members: readonly Member[],
  report: Report,
): readonly CompiledStep[] {
  const owner = requestOwner(member, members);
  const answerOwner = responseOwner(member, members);
  return steps.map((step, index) => {
    const field = member.policy.body?.request[index]?.field ?? 'spec.request';
    // What `respond` writes goes to the client, so the broader response steps own it.
    if (step.type === 'respond') {
      const respond = dropOwned(step.respond, name => note(answerOwner, name, field, member, report));
      return respond === step.respond ? step : { ...step, respond };
    }
    return overrideStep(step, name => note(owner, name, field, member, report));
  });
}

function dropOwned(respond: CompiledRespond, isOwned: (name: string) => boolean): CompiledRespond {
  const headers = respond.headers.filter(({ name }) => !isOwned(name));
  return headers.length === respond.headers.length ? respond : { ...respond, headers };
}

function overrideStep(step: CompiledStep, isOwned: (name: string) => boolean): CompiledStep {
  switch (step.type) {
    case 'setHeaders':
      return step.setHeaders.some(({ name }) => isOwned(name))
        ? { ...step, setHeaders: markSettings(step.setHeaders, isOwned) }
        : step;
    case 'removeHeaders':
      return step.removeHeaders.some(isOwned)
        ? { ...step, removeHeaders: step.removeHeaders.filter(name => !isOwned(name)) }
        : step;
    case 'jwt':
      return hasOwnedClaims(step.jwt, isOwned) ? { ...step, jwt: dropClaims(step.jwt, isOwned) } : step;
    case 'anyOf':
      return step.alternatives.some(other => other.type === 'jwt' && hasOwnedClaims(other.jwt, isOwned))
        ? {
            ...step,
            alternatives: step.alternatives.map(other =>
              other.type === 'jwt' ? { ...other, jwt: dropClaims(other.jwt, isOwned) } : other,
            ),
          }
        : step;
    case 'cors':
    case 'setVariables':
    case 'choose':
    case 'clientCertificate':
    case 'subscription':
    case 'hmacSignature':
    case 'deviceAuth':
    case 'authorize':
    case 'ipFilter':
    case 'rateLimit':
    case 'quota':
    case 'concurrency':
    case 'requireHeader':
    case 'respond':
    case 'invalid':
      return step;
  }
}

const hasOwnedClaims = (jwt: CompiledJwt, isOwned: (name: string) => boolean): boolean =>
  jwt.claimHeaders.some(({ name }) => isOwned(name));

const dropClaims = (jwt: CompiledJwt, isOwned: (name: string) => boolean): CompiledJwt => ({
  ...jwt,
  claimHeaders: jwt.claimHeaders.filter(({ name }) => !isOwned(name)),
});

const markSettings = (
  settings: readonly CompiledHeaderSetting[],
  isOwned: (name: string) => boolean,
): readonly CompiledHeaderSetting[] =>
  settings.map(setting => (isOwned(setting.name) ? { ...setting, overridden: true } : setting));

/** Same for one response step. */
export function overrideResponse(
  step: BodyResponseStep,
  member: Member,
  members: readonly Member[],
  report: Report,
): BodyResponseStep {
  const owner = responseOwner(member, members);
  const isOwned = (name: string): boolean => note(owner, name, step.field, member, report);
  const { body } = step;
  if (body.type === 'setHeaders') {
    return { ...step, body: { ...body, setHeaders: markSettings(body.setHeaders, isOwned) } };
  }
  if (body.type === 'removeHeaders') {
    return { ...step, body: { ...body, removeHeaders: body.removeHeaders.filter(name => !isOwned(name)) } };
  }
  if (body.type === 'respond') return { ...step, body: { ...body, respond: dropOwned(body.respond, isOwned) } };
  return step;
}

function note(owner: Owns, name: string, field: string, { policy }: Member, report: Report): boolean {
  const found = owner(name);
  if (found === undefined) return false;
  if (policy.object !== undefined) {
    report.add('warning', policy.object, field, {
      problem: `writes the header ${quote(name)}, which the sealed ${found.kind} ${found.key} sets or removes: it has no effect`,
      fix: 'remove it',
      concern: 'Override',
    });
  }
  return true;
}
