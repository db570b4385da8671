/** Listeners: one per port, shared by the Apis that select it (M5), with the match table of all of them. */
import type { ObjectKey } from '../api/object.ts';
import type { Severity } from '../api/violation.ts';
import { hostOfApp } from './allowed-hosts.ts';
import { normalizeHost, type ApiDraft } from './apis.ts';
import { DEFAULT_LIMITS } from './default-limits.ts';
import type { HeldApi } from './invalid-objects.ts';
import { compareAge } from './inventory.ts';
import { createMatcher, expandRoot, type MatchEntry } from './match.ts';
import type { ApiPlan, ErrorsPlan, ListenerPlan, ListenerTls, Match, Route } from './model.ts';
import { foldSegment, parsePathTemplate, type PathTemplate } from './path-template.ts';
import type { Report } from './report.ts';

export interface ServedApi {
  readonly draft: ApiDraft;
  /** Absent: it is invalid and has no last good generation; what it would serve is 503 (S6). */
  readonly routes?: readonly ServedRoute[];
}

export interface ServedRoute {
  /** Absent: the rest of the Api (M1). */
  readonly operation?: ApiDraft['operations'][number];
  readonly route: Route;
  /** Which policies apply, for M5: routes of two Apis may overlap when it is the same. */
  readonly policies: string;
}

export interface ListenerContext {
  readonly report: Report;
  /** Of a conflict. */
  readonly severity: Severity;
  readonly errors: ErrorsPlan;
  /** Api objects that could not even be parsed. */
  readonly held: readonly HeldApi[];
}

export function createListeners(
  served: readonly ServedApi[],
  context: ListenerContext,
): ReadonlyMap<number, ListenerPlan> {
  const ports = new Map<number, ServedApi[]>();
  for (const api of [...served].sort((a, b) => compareAge(a.draft.object, b.draft.object))) {
    const sharing = ports.get(api.draft.port) ?? [];
    ports.set(api.draft.port, [...sharing, api]);
  }
  const held = new Set(context.held.flatMap(({ port }) => (port === undefined || ports.has(port) ? [] : [port])));
  return new Map([
    ...[...ports].map(([port, apis]) => [port, createListener(port, apis, context)] as const),
    ...[...held].map(port => [port, createHeldListener(port, context)] as const),
  ]);
}

/** S6: no Api of the port could be parsed. What they would serve is 503, not a reset; the rest of them is not believed. */
function createHeldListener(port: number, context: ListenerContext): ListenerPlan {
  const held = context.held.filter(api => api.port === port);
  const certificates = held.flatMap(({ hosts, tls }) => (tls === undefined ? [] : [{ hosts, secret: tls.secret }]));
  const mode = held.every(({ tls }) => tls?.mode === 'Terminate') ? 'Terminate' : 'Permissive';
  const anyHost = held.some(({ hosts }) => hosts.length === 0);
  return {
    port,
    limits: DEFAULT_LIMITS,
    trustedPeers: [],
    clientAddress: { from: 'Peer', trustedHops: 1 },
    match: createMatch(port, [], new Set(), context),
    hosts: anyHost ? [] : [...new Set(held.flatMap(({ hosts }) => hosts))].sort(),
    apis: [],
    routes: [],
    held: true,
    ...(certificates.length === 0 ? {} : { tls: { mode, minVersion: '1.2', certificates, clientTrusts: [] } }),
  };
}

/** The oldest Api of the port says how it listens. */
function createListener(port: number, apis: readonly ServedApi[], context: ListenerContext): ListenerPlan {
  const losers = new Set([...findPortConflicts(apis, context), ...findOperationConflicts(apis, context)]);
  const [first] = apis;
  if (first === undefined) throw new Error('a port without an Api has no listener');
  const { spec } = first.draft.object;
  const tls = createTls(apis, losers);
  const anyHost = apis.some(({ draft }) => draft.hosts.length === 0);
  return {
    port,
    limits: spec.limits,
    trustedPeers: first.draft.trustedPeers,
    clientAddress: spec.clientAddress,
    match: createMatch(port, apis, losers, context),
    hosts: anyHost ? [] : [...new Set(apis.flatMap(({ draft }) => draft.hosts))].sort(),
    apis: apis.map(({ draft }) => createApiPlan(draft)),
    routes: apis.flatMap(api => (losers.has(api) ? [] : (api.routes ?? []).map(({ route }) => route))),
    ...(spec.protocol === 'Auto' ? {} : { protocol: spec.protocol }),
    ...(tls === undefined ? {} : { tls }),
    ...(spec.proxyProtocol === undefined ? {} : { proxyProtocol: spec.proxyProtocol }),
  };
}

function createTls(apis: readonly ServedApi[], losers: ReadonlySet<ServedApi>): ListenerTls | undefined {
  const { tls, protocol } = apis[0]?.draft.object.spec ?? {};
  if (tls === undefined) return undefined;
  const certificates = apis.flatMap(({ draft: { object, hosts } }) =>
    object.spec.tls === undefined
      ? []
      : [{ hosts, secret: `${object.meta.namespace}/${object.spec.tls.certificate.secretName}` }],
  );
  const serving = apis.filter(api => !losers.has(api));
  const clientTrusts = listTrusts(serving);
  return { mode: tls.mode, minVersion: tls.minVersion, certificates, clientTrusts, ...describeProtocol(protocol) };
}

function describeProtocol(
  protocol: ApiDraft['object']['spec']['protocol'] | undefined,
): Pick<ListenerTls, 'opaque' | 'http'> {
  if (protocol === 'TCP') return { opaque: true };
  return protocol === 'HTTP1' || protocol === 'HTTP2' ? { http: protocol } : {};
}

/** M5: a certificate is asked for when a policy of the port, or a trusted peer, names a ClientTrust. */
function listTrusts(apis: readonly ServedApi[]): readonly ObjectKey[] {
  const trusts = new Set<ObjectKey>();
  for (const { draft, routes } of apis) {
    for (const { trust } of draft.trustedPeers) if (trust !== undefined) trusts.add(trust);
    for (const pipeline of new Set(routes?.map(({ route }) => route.pipeline))) {
      for (const step of pipeline.steps) {
        for (const part of step.type === 'anyOf' ? step.alternatives : [step]) {
          if (part.type === 'clientCertificate') trusts.add(part.clientCertificate.trust);
        }
      }
    }
  }
  return [...trusts].sort();
}

/** What Apis of one port must agree on; where they differ, the younger loses. */
function describePort({ object, trustedPeers }: ApiDraft): ReadonlyMap<string, string> {
  const { tls, protocol, clientAddress, limits, proxyProtocol } = object.spec;
  const tlsShared = tls === undefined ? undefined : { mode: tls.mode, minVersion: tls.minVersion };
  const parts = { tls: tlsShared, protocol, clientAddress, trustedPeers, proxyProtocol, limits };
  const perApi = (name: string, value: unknown): unknown =>
    name === 'bodyBytes' || name === 'bodyIdle' ? undefined : value;
  return new Map(Object.entries(parts).map(([name, value]) => [name, JSON.stringify(value ?? null, perApi)]));
}

function findPortConflicts(apis: readonly ServedApi[], { report, severity }: ListenerContext): readonly ServedApi[] {
  const [first, ...others] = apis;
  if (first === undefined) return [];
  const wanted = describePort(first.draft);
  return others.filter(({ draft }) => {
    const own = describePort(draft);
    const different = [...wanted].filter(([name, value]) => own.get(name) !== value).map(([name]) => name);
    for (const name of different) {
      report.add(severity, draft.object, `spec.${name}`, {
        problem: `differs from Api ${first.draft.object.key}, which shares port ${draft.object.spec.port}`,
        fix: 'write the same in both, or use another port',
        concern: 'Conflict',
      });
    }
    return different.length > 0;
  });
}

interface Claim {
  readonly api: ServedApi;
  readonly methods: readonly string[] | undefined;
  readonly policies: string;
}

/** M5: operations of two Apis that match the same request with equal specificity, unless the same policies apply. */
function findOperationConflicts(
  apis: readonly ServedApi[],
  { report, severity }: ListenerContext,
): readonly ServedApi[] {
  const claims = new Map<string, Claim[]>();
  const losers = new Set<ServedApi>();
  for (const api of apis) {
    for (const { operation, policies } of api.routes ?? []) {
      for (const form of listForms(api.draft, operation)) {
        const claim: Claim = { api, methods: operation?.methods, policies };
        const same = claims.get(form) ?? [];
        const rival = same.find(other => other.api !== api && other.policies !== policies && overlap(other, claim));
        if (rival === undefined) claims.set(form, [...same, claim]);
        else {
          losers.add(api);
          const index = operation === undefined ? -1 : api.draft.operations.indexOf(operation);
          report.add(severity, api.draft.object, index < 0 ? 'spec.basePath' : `spec.operations[${index}].path`, {
            problem: `matches the same requests as Api ${rival.api.draft.object.key}, to which other policies apply`,
            fix: 'give one of them another host, path or method',
            concern: 'Conflict',
          });
        }
      }
    }
  }
  return [...losers];
}

/** A method-less operation and one with methods are not equally specific. */
function overlap(left: Claim, right: Claim): boolean {
  if (left.methods === undefined || right.methods === undefined) return left.methods === right.methods;
  return left.methods.some(method => right.methods?.includes(method));
}

function listForms(draft: ApiDraft, operation: ApiDraft['operations'][number] | undefined): readonly string[] {
  const { segments, wildcard } = operation?.template ?? draft.base;
  const path = segments.map(segment => (segment.kind === 'literal' ? foldSegment(segment.literal) : '{}')).join('/');
  const end = operation === undefined ? 'rest' : wildcard ? 'below' : 'end';
  return hostsOf(draft.hosts).map(host => JSON.stringify([host ?? null, path, end]));
}

const hostsOf = (hosts: readonly string[]): readonly (string | undefined)[] =>
  hosts.length === 0 ? [undefined] : hosts;

function createMatch(
  port: number,
  apis: readonly ServedApi[],
  losers: ReadonlySet<ServedApi>,
  { errors, held }: ListenerContext,
): ListenerPlan['match'] {
  const winners = apis.filter(api => !losers.has(api));
  const entries = [
    ...winners.flatMap(api => listEntries(api, errors)),
    ...held.filter(api => api.port === undefined || api.port === port).flatMap(api => holdEntries(api, errors)),
  ];
  const match = createMatcher(entries, { errors });
  const lost = createMatcher(
    [...losers].flatMap(({ draft, routes }) =>
      listEntries({ draft, ...(routes === undefined ? {} : { routes }) }, errors, true),
    ),
    { errors },
  );
  const notFound: Match = { kind: 'refused', reason: 'OperationNotFound', errors };
  return (method, host, path) => match(method, host, path) ?? lost(method, host, path) ?? notFound;
}

type Refused = Extract<Match, { kind: 'refused' }>;

function listEntries({ draft, routes }: ServedApi, errors: ErrorsPlan, lost = false): readonly MatchEntry[] {
  const { paths } = draft.object.spec;
  const [foldCase, foldSlash] = [paths.case === 'Insensitive', paths.trailingSlash === 'Same'];
  const refused: Refused = { kind: 'refused', reason: 'PolicyInvalid', errors };
  const create = (
    host: string | undefined,
    template: PathTemplate,
    rest: boolean,
    target: MatchEntry['target'],
  ): MatchEntry => ({
    template,
    rest,
    foldCase,
    foldSlash,
    target,
    ...(host === undefined ? {} : { host }),
  });
  // Of an invalid Api everything under basePath is held, and each operation, which other Apis might match less closely.
  const served: readonly { readonly operation?: ApiDraft['operations'][number]; readonly route?: Route }[] = routes ?? [
    {},
    ...draft.operations.map(operation => ({ operation })),
  ];
  return hostsOf(draft.hosts).flatMap(host => {
    return served.flatMap(({ operation, route }) => {
      const target = lost || route === undefined ? refused : route;
      if (operation === undefined) return [create(host, draft.base, true, target)];
      const entry = create(host, operation.template, false, target);
      const methods = operation.methods === undefined ? entry : { ...entry, methods: operation.methods };
      return expandRoot(methods, operation.path);
    });
  });
}

function holdEntries({ hosts, basePath, foldCase }: HeldApi, errors: ErrorsPlan): readonly MatchEntry[] {
  const parsed = parsePathTemplate(basePath.replace(/\/$/, ''), '/');
  const template: PathTemplate =
    'problem' in parsed ? { segments: [], wildcard: false, parameters: [], trailingSlash: false } : parsed;
  const target: Refused = { kind: 'refused', reason: 'PolicyInvalid', errors };
  return hostsOf(hosts.map(normalizeHost)).map(host => ({
    template,
    rest: true,
    foldCase,
    foldSlash: true,
    target,
    ...(host === undefined ? {} : { host }),
  }));
}

export function createApiPlan({ object, basePath, credential }: ApiDraft): ApiPlan {
  const { meta, spec } = object;
  return {
    key: object.key,
    name: meta.name,
    namespace: meta.namespace,
    generation: meta.generation,
    basePath,
    app: { ...spec.app, namespace: meta.namespace, host: hostOfApp(spec.app) },
    bodyBytes: spec.limits.bodyBytes,
    bodyIdleMs: spec.limits.bodyIdle,
    ...(credential === undefined ? {} : { credential }),
  };
}
