/** Steps of a policy's request part: from the manifest to what the evaluator runs. */
import { memberPath } from '../api/field-path.ts';
import type {
  Alternative,
  AuthorizeStep,
  ClientCertificateStep,
  DeviceAuthStep,
  HeaderSetting,
  JwtStep,
  RequestStep,
  RespondStep,
} from '../api/kinds/steps.ts';
import { createAddressFilter } from './address-filter.ts';
import { compileSignature, compileSubscription } from './caller-steps.ts';
import { compileChoose, compileCors, compileVariables } from './flow-steps.ts';
import { requireObject } from './references.ts';
import type { StepCompiler } from './step-compiler.ts';
import { knownIn } from './supporting.ts';
import { compileConcurrency, compileQuota, compileRateLimit } from './traffic-steps.ts';
import type {
  CompiledAlternative,
  CompiledCertificate,
  CompiledDeviceAuth,
  CompiledHeaderSetting,
  CompiledJwt,
  CompiledRespond,
  CompiledRule,
  StepBody,
  TokenLocation,
} from './steps.ts';
import { compareBytes } from './encoding.ts';
import { placeOfBody } from './template.ts';

/** The step, or undefined after reporting what is wrong with it. */
export function compileRequestStep(step: RequestStep, compiler: StepCompiler): StepBody | undefined {
  const { jwt, clientCertificate, anyOf, deviceAuth, authorize, rateLimit } = step;
  const at = (member: string): string => `${compiler.field}.${member}`;
  if (jwt !== undefined) return { type: 'jwt', jwt: compileJwt(jwt, at('jwt'), compiler) };
  if (clientCertificate !== undefined) {
    const compiled = compileCertificate(clientCertificate, at('clientCertificate'), compiler);
    return compiled && { type: 'clientCertificate', clientCertificate: compiled };
  }
  if (step.subscription !== undefined) {
    return { type: 'subscription', subscription: compileSubscription(step.subscription, compiler) };
  }
  if (step.hmacSignature !== undefined) {
    const compiled = compileSignature(step.hmacSignature, at('hmacSignature'), compiler);
    return compiled && { type: 'hmacSignature', hmacSignature: compiled };
  }
  if (anyOf !== undefined) return compileAnyOf(anyOf, at('anyOf'), compiler);
  if (deviceAuth !== undefined) {
    const compiled = compileDeviceAuth(deviceAuth, at('deviceAuth'), compiler);
    return compiled && { type: 'deviceAuth', deviceAuth: compiled };
  }
  if (authorize !== undefined) return compileAuthorize(authorize, at('authorize'), compiler);
  if (step.ipFilter !== undefined) {
    const { allow, deny } = step.ipFilter;
    return { type: 'ipFilter', ipFilter: createAddressFilter(allow, deny) };
  }
  if (rateLimit !== undefined) {
    const compiled = compileRateLimit(rateLimit, at('rateLimit'), compiler);
    return compiled && { type: 'rateLimit', rateLimit: compiled };
  }
  if (step.quota !== undefined) {
    const compiled = compileQuota(step.quota, at('quota'), compiler);
    return compiled && { type: 'quota', quota: compiled };
  }
  if (step.concurrency !== undefined) {
    const compiled = compileConcurrency(step.concurrency, at('concurrency'), compiler);
    return compiled && { type: 'concurrency', concurrency: compiled };
  }
  return compileFlowStep(step, compiler) ?? compileHeaderStep(step, compiler);
}

function compileFlowStep(
  { name, cors, setVariables, choose }: RequestStep,
  compiler: StepCompiler,
): StepBody | undefined {
  const { field } = compiler;
  if (cors !== undefined) return { type: 'cors', cors: compileCors(cors) };
  if (setVariables !== undefined) {
    return { type: 'setVariables', variables: compileVariables(setVariables, `${field}.setVariables`, compiler) };
  }
  if (choose === undefined) return undefined;
  return { type: 'choose', choose: compileChoose(choose, name, `${field}.choose`, compiler) };
}

function compileHeaderStep(
  { requireHeader, setHeaders, removeHeaders, respond }: RequestStep,
  compiler: StepCompiler,
): StepBody | undefined {
  const { field } = compiler;
  if (requireHeader !== undefined) {
    return { type: 'requireHeader', requireHeader: { ...requireHeader, name: requireHeader.name.toLowerCase() } };
  }
  if (setHeaders !== undefined) {
    return { type: 'setHeaders', setHeaders: compileSettings(setHeaders, `${field}.setHeaders`, compiler) };
  }
  if (removeHeaders !== undefined) {
    return { type: 'removeHeaders', removeHeaders: removeHeaders.map(name => name.toLowerCase()) };
  }
  const compiled = respond && compileRespond(respond, `${field}.respond`, compiler);
  return compiled && { type: 'respond', respond: compiled };
}

function compileJwt(step: JwtStep, field: string, compiler: StepCompiler): CompiledJwt {
  const { supporting, needs, namespace, report } = compiler;
  const known = knownIn(supporting, 'TokenIssuer');
  const issuers = step.issuers
    .map((name, index) => requireObject(name, namespace, known, `${field}.issuers[${index}]`, report))
    .filter(key => key !== undefined);
  issuers.forEach(key => needs.issuers.add(key));
  const any = step.audiences.length === 1 && step.audiences[0] === 'Any';
  return {
    issuers,
    from: step.from.map(compileLocation),
    requiredClaims: step.requiredClaims,
    forwardToken: step.forwardToken,
    claimHeaders: Object.entries(step.claimHeaders)
      .map(([name, claim]) => ({ name, claim }))
      .sort((a, b) => compareBytes(a.name, b.name)),
    boundToCertificate: step.boundToCertificate,
    ...(any ? {} : { audiences: new Set(step.audiences) }),
  };
}

function compileLocation({ header, scheme, query, cookie }: JwtStep['from'][number]): TokenLocation {
  if (query !== undefined) return { in: 'query', name: query };
  if (cookie !== undefined) return { in: 'cookie', name: cookie };
  const name = (header ?? '').toLowerCase();
  return scheme === undefined ? { in: 'header', name } : { in: 'header', name, scheme };
}

function compileCertificate(
  step: ClientCertificateStep,
  field: string,
  { supporting, needs, namespace, report }: StepCompiler,
): CompiledCertificate | undefined {
  const known = knownIn(supporting, 'ClientTrust');
  const trust = requireObject(step.trust, namespace, known, `${field}.trust`, report);
  if (trust === undefined) return undefined;
  needs.trusts.add(trust);
  return step.identities === undefined ? { trust } : { trust, identities: step.identities };
}

function compileAnyOf(alternatives: readonly Alternative[], field: string, compiler: StepCompiler): StepBody {
  const compiled = alternatives.map((alternative, index) =>
    compileAlternative(alternative, `${field}[${index}]`, compiler),
  );
  return { type: 'anyOf', alternatives: compiled.filter(alternative => alternative !== undefined) };
}

function compileAlternative(
  { jwt, clientCertificate, subscription, hmacSignature }: Alternative,
  field: string,
  compiler: StepCompiler,
): CompiledAlternative | undefined {
  if (jwt !== undefined) return { type: 'jwt', jwt: compileJwt(jwt, `${field}.jwt`, compiler) };
  if (subscription !== undefined) {
    return { type: 'subscription', subscription: compileSubscription(subscription, compiler) };
  }
  if (hmacSignature !== undefined) {
    const compiled = compileSignature(hmacSignature, `${field}.hmacSignature`, compiler);
    return compiled && { type: 'hmacSignature', hmacSignature: compiled };
  }
  if (clientCertificate === undefined) return { type: 'anonymous' };
  const compiled = compileCertificate(clientCertificate, `${field}.clientCertificate`, compiler);
  return compiled === undefined ? undefined : { type: 'clientCertificate', clientCertificate: compiled };
}

function compileDeviceAuth(
  step: DeviceAuthStep,
  field: string,
  compiler: StepCompiler,
): CompiledDeviceAuth | undefined {
  const { supporting, needs, namespace, report } = compiler;
  const known = knownIn(supporting, 'DeviceAuthService');
  const service = requireObject(step.service, namespace, known, `${field}.service`, report);
  const deviceId = compiler.text(step.deviceId, 'text', `${field}.deviceId`);
  const identity =
    step.certificateIdentity === undefined
      ? undefined
      : compiler.text(step.certificateIdentity, 'text', `${field}.certificateIdentity`);
  const plan = service === undefined ? undefined : supporting.services.get(service);
  if (service === undefined || plan === undefined || deviceId === undefined) return undefined;
  needs.services.add(service);
  return { service, plan, deviceId, ...(identity === undefined ? {} : { certificateIdentity: identity }) };
}

function compileAuthorize(step: AuthorizeStep, field: string, compiler: StepCompiler): StepBody {
  const rules = (list: AuthorizeStep['allow'], name: 'allow' | 'deny'): readonly CompiledRule[] =>
    (list ?? []).flatMap((rule, index) => {
      const expression = compiler.expression(rule.expression, `${field}.${name}[${index}].expression`);
      if (expression === undefined) return [];
      const message = rule.message === undefined ? {} : { message: rule.message };
      return [{ name: rule.name ?? `${name}-${index}`, expression, ...message }];
    });
  const deny = rules(step.deny, 'deny');
  return step.allow === undefined
    ? { type: 'authorize', deny }
    : { type: 'authorize', allow: rules(step.allow, 'allow'), deny };
}

/** Header settings of a request or a response. */
export function compileSettings(
  settings: readonly HeaderSetting[],
  field: string,
  compiler: StepCompiler,
): readonly CompiledHeaderSetting[] {
  return settings.flatMap(({ name, ifExists, value, pairs, dictionary }, index) => {
    const at = `${field}[${index}]`;
    const template =
      pairs !== undefined
        ? compiler.members('pairs', pairs, `${at}.pairs`)
        : dictionary !== undefined
          ? compiler.members('dictionary', dictionary, `${at}.dictionary`)
          : compiler.text(value ?? '', 'header', `${at}.value`);
    if (template === undefined) return [];
    return [{ name, lower: name.toLowerCase(), ifExists, value: template, overridden: false }];
  });
}

/** An answer in the app's place. */
export function compileRespond(step: RespondStep, field: string, compiler: StepCompiler): CompiledRespond | undefined {
  const headers = Object.entries(step.headers)
    .sort(([a], [b]) => compareBytes(a, b))
    .flatMap(([name, source]) => {
      const value = compiler.text(source, 'header', memberPath(`${field}.headers`, name));
      return value === undefined ? [] : [{ name, value }];
    });
  const body = compiler.text(step.body, placeOfBody(step.contentType, step.body), `${field}.body`);
  return body === undefined ? undefined : { status: step.status, headers, contentType: step.contentType, body };
}
