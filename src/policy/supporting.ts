/** Supporting objects (TokenIssuer, ClientTrust, DeviceAuthService, BackendCredential) as plans in force. */
import { memberPath } from '../api/field-path.ts';
import { quote } from '../api/words.ts';
import type { ObjectKey } from '../api/object.ts';
import type { ObjectOfKind, SallyportObject } from '../api/kinds/index.ts';
import { SERVICE_ANSWER, SERVICE_REQUEST, type Environment } from './cel-environment.ts';
import { compileExpression } from './cel.ts';
import { identify, type Inventory } from './inventory.ts';
import type { CredentialPlan, DeviceServicePlan, IssuerPlan, Plan, SharedStorePlan, TrustPlan } from './model.ts';
import { credentialSort, listCredentialTexts } from './credential-texts.ts';
import { adviseMaterial, readKeyRef, requireObject, type KnownObjects, type Lookup } from './references.ts';
import { reportOn, type ObjectReport, type Report } from './report.ts';
import { compileTemplate, placeOfBody, type TextPlace } from './template.ts';
import type { Template } from './expression.ts';

export interface Supporting {
  readonly issuers: Map<ObjectKey, IssuerPlan>;
  readonly trusts: Map<ObjectKey, TrustPlan>;
  readonly services: Map<ObjectKey, DeviceServicePlan>;
  readonly credentials: Map<ObjectKey, CredentialPlan>;
  /** Of the cluster policies that apply to the namespace. */
  sharedStore?: SharedStorePlan;
  /** Identities of objects that exist and have no plan, since they are invalid. */
  readonly invalid: Set<string>;
}

export const createSupporting = (invalid: Iterable<string> = []): Supporting => ({
  invalid: new Set(invalid),
  issuers: new Map(),
  trusts: new Map(),
  services: new Map(),
  credentials: new Map(),
});

export interface SupportContext {
  readonly inventory: Inventory;
  readonly report: Report;
  readonly lookup: Lookup;
  /** Identities of objects that could not be parsed. */
  readonly invalidIds: ReadonlySet<string>;
  /** Last good services by identity: a service whose text is wrong keeps its last good one (S6). */
  readonly lastService: (id: string) => DeviceServicePlan | undefined;
}

const planOf = <S>(object: SallyportObject & { readonly spec: S }): Plan<S> => ({
  key: object.key,
  namespace: object.meta.namespace,
  generation: object.meta.generation,
  spec: object.spec,
});

export function compileSupporting(context: SupportContext): Supporting {
  const { inventory, report, lookup, invalidIds } = context;
  const supporting = createSupporting(invalidIds);
  for (const issuer of inventory.all('TokenIssuer')) {
    supporting.issuers.set(issuer.key, planOf(issuer));
    checkIssuerKeys(issuer, lookup, reportOn(report, issuer));
  }
  for (const trust of inventory.all('ClientTrust')) {
    supporting.trusts.set(trust.key, planOf(trust));
    checkTrustKeys(trust, lookup, reportOn(report, trust));
  }
  for (const credential of inventory.all('BackendCredential')) {
    supporting.credentials.set(credential.key, planOf(credential));
    checkCredentialKeys(credential, lookup, reportOn(report, credential));
  }
  for (const service of inventory.all('DeviceAuthService')) {
    const plan = compileService(service, supporting, context) ?? context.lastService(identify(service));
    if (plan !== undefined) supporting.services.set(service.key, plan);
    else supporting.invalid.add(identify(service));
  }
  return supporting;
}

function checkIssuerKeys({ meta, spec }: ObjectOfKind<'TokenIssuer'>, lookup: Lookup, report: ObjectReport): void {
  const { namespace } = meta;
  const read = (ref: Parameters<typeof readKeyRef>[0] | undefined, field: string): void => {
    if (ref !== undefined) readKeyRef(ref, namespace, lookup, field, report);
  };
  read(spec.discovery?.trust, 'spec.discovery.trust');
  read(spec.jwks?.trust, 'spec.jwks.trust');
  spec.keys?.forEach((key, i) => read(key, `spec.keys[${i}]`));
  spec.decryptionKeys?.forEach((key, i) => read(key, `spec.decryptionKeys[${i}]`));
}

function checkTrustKeys({ meta, spec }: ObjectOfKind<'ClientTrust'>, lookup: Lookup, report: ObjectReport): void {
  spec.anchors.forEach((ref, i) => readKeyRef(ref, meta.namespace, lookup, `spec.anchors[${i}]`, report));
  spec.revocation?.crls.forEach((ref, i) =>
    readKeyRef(ref, meta.namespace, lookup, `spec.revocation.crls[${i}]`, report),
  );
}

function checkCredentialKeys(
  { meta, spec }: ObjectOfKind<'BackendCredential'>,
  lookup: Lookup,
  report: ObjectReport,
): void {
  const name = spec.meshCertificate?.secretName;
  if (name !== undefined) requireTlsSecret(name, meta.namespace, lookup, 'spec.meshCertificate.secretName', report);
  for (const [field, ref] of listCredentialTexts(spec)) readKeyRef(ref, meta.namespace, lookup, field, report);
}

/** Warns when a Secret of type kubernetes.io/tls lacks its certificate or key. */
export function requireTlsSecret(
  name: string,
  namespace: string,
  lookup: Lookup,
  field: string,
  report: ObjectReport,
): void {
  const key = `${namespace}/${name}`;
  const missing = ['tls.crt', 'tls.key'].find(dataKey => lookup('Secret', key, dataKey) === undefined);
  if (missing === undefined) return;
  const exists = new Map(lookup.list?.('Secret')).has(key);
  const advice = exists ? undefined : adviseMaterial('Secret', key, missing, lookup);
  report.warn(field, {
    problem: `names the Secret "${name}", which does not exist or has no ${missing}`,
    fix: `${advice ?? 'create it (type kubernetes.io/tls)'}; until then what needs it fails`,
    concern: 'Reference',
  });
}

function compileService(
  object: ObjectOfKind<'DeviceAuthService'>,
  supporting: Supporting,
  { report, lookup }: SupportContext,
): DeviceServicePlan | undefined {
  const { spec, meta } = object;
  const on = reportOn(report, object);
  const text = (source: string, place: TextPlace, field: string): Template | undefined =>
    compileText(source, place, SERVICE_REQUEST, field, on);
  const pairs = (entries: Readonly<Record<string, string>>, place: TextPlace, field: string) =>
    Object.entries(entries).flatMap(([name, source]) => {
      const value = text(source, place, memberPath(field, name));
      return value === undefined ? [] : [{ name, value }];
    });
  const url = text(spec.url, 'path', 'spec.url');
  const query = pairs(spec.request.query, 'query', 'spec.request.query');
  const headers = pairs(spec.request.headers, 'header', 'spec.request.headers');
  const mediaType = Object.entries(spec.request.headers).find(([name]) => name.toLowerCase() === 'content-type')?.[1];
  const body = text(spec.request.body, placeOfBody(mediaType, spec.request.body), 'spec.request.body');
  const allow = compileExpression(spec.allow.expression, SERVICE_ANSWER, 'bool');
  if ('problem' in allow) on.error('spec.allow.expression', allow);
  checkServiceTls(object, supporting, lookup, on);
  if (on.failed() || url === undefined || body === undefined || 'problem' in allow) return undefined;
  return {
    key: object.key,
    namespace: meta.namespace,
    generation: meta.generation,
    spec,
    url,
    query,
    headers,
    body,
    allow,
  };
}

function checkServiceTls(
  { meta, spec }: ObjectOfKind<'DeviceAuthService'>,
  supporting: Supporting,
  lookup: Lookup,
  on: ObjectReport,
): void {
  const { tls } = spec;
  checkServiceCredential(spec.credential, meta.namespace, supporting, on);
  if (tls?.trust !== undefined) readKeyRef(tls.trust, meta.namespace, lookup, 'spec.tls.trust', on);
  if (spec.revoke !== undefined) readKeyRef(spec.revoke, meta.namespace, lookup, 'spec.revoke', on);
  if (tls?.credential === undefined) return;
  const field = 'spec.tls.credential';
  const key = requireObject(tls.credential, meta.namespace, knownIn(supporting, 'BackendCredential'), field, on);
  if (key !== undefined && credentialSort(supporting.credentials.get(key)) === 'header') {
    on.error(field, {
      problem: `names the BackendCredential ${quote(tls.credential)}, which is no certificate`,
      fix: 'name it in spec.credential, or one with meshCertificate here',
    });
  }
}

/** A signed context tells of a caller, and here there is none. */
function checkServiceCredential(
  name: string | undefined,
  namespace: string,
  supporting: Supporting,
  on: ObjectReport,
): void {
  if (name === undefined) return;
  const key = requireObject(name, namespace, knownIn(supporting, 'BackendCredential'), 'spec.credential', on);
  const plan = key === undefined ? undefined : supporting.credentials.get(key);
  if (plan === undefined) return;
  if (plan.spec.signedContext === undefined && credentialSort(plan) === 'header') return;
  on.error('spec.credential', {
    problem: `names the BackendCredential ${quote(name)}, which is ${plan.spec.signedContext === undefined ? 'a certificate' : 'a signed context'}`,
    fix:
      plan.spec.signedContext === undefined
        ? 'name it in spec.tls.credential, or one of a header sort here'
        : 'name one of another header sort',
  });
}

const MEMBERS = {
  TokenIssuer: 'issuers',
  ClientTrust: 'trusts',
  DeviceAuthService: 'services',
  BackendCredential: 'credentials',
} as const;

/** What a reference to an object of this kind may name. */
export function knownIn(supporting: Supporting, kind: keyof typeof MEMBERS): KnownObjects {
  const plans: ReadonlyMap<ObjectKey, unknown> = supporting[MEMBERS[kind]];
  return {
    kind,
    has: key => plans.has(key),
    keys: () => plans.keys(),
    isInvalid: key => supporting.invalid.has(identify({ kind, key })),
  };
}

/** A template, or undefined after reporting what is wrong with it. */
export function compileText(
  source: string,
  place: TextPlace,
  environment: Environment,
  field: string,
  report: ObjectReport,
): Template | undefined {
  const template = compileTemplate(source, place, environment);
  if (!('problem' in template)) return template;
  report.error(field, template);
  return undefined;
}
