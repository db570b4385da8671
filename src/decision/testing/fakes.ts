/** Builders for tests of the evaluator: small pipelines by hand, expressions as functions, evidence as given. */
import type { HeaderFields } from '../../http/head.ts';
import type { Expression, Template, Bindings } from '../../policy/expression.ts';
import { ExpressionError } from '../../policy/expression.ts';
import type { ApiPlan, DeviceServicePlan, ErrorsPlan, Origin, Pipeline, Route, Sight } from '../../policy/model.ts';
import { isAuthentication } from '../../policy/header-names.ts';
import type { RequestView } from '../../policy/request.ts';
import type {
  CompiledAlternative,
  CompiledCertificate,
  CompiledHeaderSetting,
  CompiledJwt,
  CompiledResponseStep,
  CompiledStep,
  ResponseStepBody,
  StepBody,
} from '../../policy/steps.ts';
import { rankOf } from '../finding.ts';
import { judge } from '../judge.ts';
import type { DecideContext } from '../decide.ts';
import type { CertificateFacts, EvidenceSource, VerifiedToken } from '../evidence.ts';
import type { Permit, Verdict } from '../verdict.ts';

export const NOW = 1_800_000_000_000;

/** Reads a dotted path; an absent leaf fails, as in CEL. */
export function read(bindings: Bindings, path: string): unknown {
  let value: unknown = bindings;
  for (const name of path.split('.')) {
    const next: unknown =
      value instanceof Map ? value.get(name) : (value as Readonly<Record<string, unknown>> | undefined)?.[name];
    if (next === undefined) throw new ExpressionError(`no ${path}`);
    value = next;
  }
  return value;
}

export function has(bindings: Bindings, path: string): boolean {
  try {
    read(bindings, path);
    return true;
  } catch {
    return false;
  }
}

const NO_READS: ReadonlySet<string> = new Set();

export const expression = (evaluate: (bindings: Bindings) => unknown): Expression => ({
  source: 'test',
  reads: NO_READS,
  evaluate,
});
export const failing = expression(() => {
  throw new ExpressionError('fails');
});

export const literal = (text: string): Template => ({
  source: text,
  reads: NO_READS,
  place: 'text',
  literal: text,
  render: () => text,
});
/** Nobody looks into the function, so it is taken to read what is another for each request. */
const ANY_REQUEST: ReadonlySet<string> = new Set(['request']);

export const template = (render: (bindings: Bindings) => unknown, reads = ANY_REQUEST): Template => ({
  source: 'test',
  reads,
  place: 'text',
  render: bindings => String(render(bindings)),
});
export const path = (at: string): Template => template(bindings => read(bindings, at), new Set(at.split('.', 1)));

export const origin = (parts: Partial<Origin> = {}): Origin => {
  const name = parts.name ?? 'policy';
  return {
    kind: 'AuthPolicy',
    key: `shop/${name}`,
    generation: 1,
    scope: 'Api',
    sealed: true,
    audit: false,
    ...parts,
    name,
  };
};

/** The policy of steps that name none. */
const POLICY = origin();

type StepParts = Partial<Pick<CompiledStep, 'name' | 'origin' | 'when' | 'widened'>>;
const headOf = (parts: StepParts, type: string) => {
  const from = parts.origin ?? POLICY;
  const name = parts.name ?? type.toLowerCase();
  return { widened: false, ...parts, name, origin: from, label: `${from.name}/${name}` };
};
export const step = (body: StepBody, parts: StepParts = {}): CompiledStep => ({ ...headOf(parts, body.type), ...body });
export const responseStep = (body: ResponseStepBody, parts: StepParts = {}): CompiledResponseStep => ({
  ...headOf(parts, body.type),
  ...body,
});

export const jwt = (parts: Partial<CompiledJwt> = {}): CompiledJwt => ({
  issuers: ['shop/corp'],
  from: [{ in: 'header', name: 'Authorization', scheme: 'Bearer' }],
  audiences: new Set(['api://fleet']),
  requiredClaims: [],
  forwardToken: false,
  claimHeaders: [],
  boundToCertificate: false,
  ...parts,
});
export const jwtAlternative = (parts: Partial<CompiledJwt> = {}): CompiledAlternative => ({
  type: 'jwt',
  jwt: jwt(parts),
});
export const certificate = (parts: Partial<CompiledCertificate> = {}): CompiledCertificate => ({
  trust: 'shop/devices',
  ...parts,
});
export const certificateAlternative = (parts: Partial<CompiledCertificate> = {}): CompiledAlternative => ({
  type: 'clientCertificate',
  clientCertificate: certificate(parts),
});

export const setting = (name: string, value: Template, parts: Partial<CompiledHeaderSetting> = {}) => ({
  name,
  lower: name.toLowerCase(),
  ifExists: 'Override' as const,
  value,
  overridden: false,
  ...parts,
});

export const errors = (parts: Partial<ErrorsPlan> = {}): ErrorsPlan => ({
  format: 'Problem',
  includeReason: true,
  includePolicy: false,
  headers: [],
  overrides: new Map(),
  ...parts,
});

const api: ApiPlan = {
  key: 'shop/fleet',
  name: 'fleet',
  namespace: 'shop',
  generation: 1,
  basePath: '/v1',
  app: {
    scheme: 'http',
    protocol: 'Auto',
    address: 'PodIP',
    timeouts: { connect: 1000, response: 60000, idle: 300000, poolIdle: 4000 },
    namespace: 'shop',
    host: { name: 'localhost', port: undefined },
  },
  bodyBytes: 0,
  bodyIdleMs: 60000,
};

/** E7 by the plain words: own names, else those of enforced broader policies, the nearest last. */
function sightOf(steps: readonly CompiledStep[]): ReadonlyMap<Origin, Sight> {
  const origins = new Set(steps.map(({ origin: from }) => from));
  const sight = [...origins].map((viewer): [Origin, Sight] => {
    const broader = steps.filter(({ origin: from }) => !from.audit && rankOf(from) < rankOf(viewer));
    const nearestLast = broader.toSorted((a, b) => rankOf(a.origin) - rankOf(b.origin));
    const own = steps.filter(({ origin: from }) => from === viewer);
    return [viewer, { steps: new Map([...nearestLast, ...own].map(one => [one.name, one])), vars: {}, layers: [] }];
  });
  return new Map(sight);
}

export function pipeline(steps: readonly CompiledStep[], parts: Partial<Pipeline> = {}): Pipeline {
  const authenticating = steps.filter(({ type }) => isAuthentication(type));
  const enforced = authenticating.some(({ origin: from }) => !from.audit);
  return {
    steps,
    authenticates: enforced ? 'Enforced' : authenticating.length > 0 ? 'AuditOnly' : 'Never',
    response: { steps: [], dynamic: false },
    errors: errors(),
    credentialHeaders: new Set(['authorization']),
    barredTrailers: new Set(['authorization']),
    sight: sightOf(steps),
    ...parts,
  };
}

export const route = (steps: readonly CompiledStep[], parts: Partial<Pipeline> = {}): Route => ({
  api,
  operation: 'telemetry',
  template: '/v1/devices/{deviceId}/telemetry',
  pipeline: pipeline(steps, parts),
});

export const fields = (lines: readonly (readonly [string, string])[]): HeaderFields => ({
  names: lines.map(([name]) => name),
  lower: lines.map(([name]) => name.toLowerCase()),
  values: lines.map(([, value]) => value),
});

export const request = (
  lines: readonly (readonly [string, string])[] = [],
  parts: Partial<RequestView> = {},
): RequestView => ({
  method: 'POST',
  path: '/v1/devices/robot-7/telemetry',
  query: '',
  host: 'fleet.example.com',
  scheme: 'https',
  headers: fields(lines),
  sourceIp: '203.0.113.9',
  size: 0,
  fromTrustedPeer: false,
  ...parts,
});

export const BEARER_LINE = ['Authorization', 'Bearer good'] as const;

export function token(claims: Readonly<Record<string, unknown>> = {}, parts: Partial<VerifiedToken> = {}) {
  const all = Object.assign(Object.create(null) as Record<string, unknown>, {
    aud: 'api://fleet',
    sub: 'alice',
    ...claims,
  });
  const verified: VerifiedToken = {
    issuerKey: 'shop/corp',
    issuer: 'https://login.example.com/',
    claims: all,
    expiresAt: NOW + 600_000,
    clockSkewMs: 30_000,
    requireExpiration: true,
    memo: new WeakMap(),
    ...parts,
  };
  return { state: 'verified', token: verified } as const;
}

export const SHA1 = '0123456789ABCDEF0123456789ABCDEF01234567';

export function facts(parts: Partial<CertificateFacts> = {}): CertificateFacts {
  return {
    sha1: SHA1,
    sha256: 'AB'.repeat(32),
    publicKeyPin: `${'A'.repeat(43)}=`,
    serialNumber: '1F2E',
    subject: { CN: 'robot-7', O: 'Contoso, Inc.' },
    issuer: { CN: 'Device CA' },
    subjectText: 'CN=robot-7,O=Contoso\\, Inc.',
    issuerText: 'CN=Device CA',
    subjectAltName: { uri: ['urn:device:robot-7'], dns: [], email: [], ip: [] },
    notBefore: NOW - 1000,
    notAfter: NOW + 86_400_000,
    ...parts,
  };
}
export const verifiedCertificate = (parts: Partial<CertificateFacts> = {}) =>
  ({ state: 'verified', certificate: facts(parts) }) as const;

export const devicePlan = (parts: Partial<DeviceServicePlan> = {}): DeviceServicePlan => ({
  key: 'shop/devices',
  namespace: 'shop',
  generation: 1,
  spec: {
    url: 'https://device-auth.fleet.svc:8443/check',
    request: { method: 'GET', query: {}, headers: {}, body: '' },
    allow: { status: [200], expression: 'body.deviceId == deviceId' },
    deny: { status: [401, 403, 404] },
    timeout: 2000,
    retry: { attempts: 1, on: ['connect'] },
    concurrency: 64,
    breaker: { consecutiveErrors: 10, openFor: 15000 },
    cache: { ttl: 60000, negativeTtl: 10000, staleIfError: 0, maxEntries: 10000 },
  },
  url: literal('https://device-auth.fleet.svc:8443/check'),
  query: [],
  headers: [],
  body: literal(''),
  allow: expression(bindings => read(bindings, 'body.deviceId') === bindings['deviceId']),
  ...parts,
});

/** Nobody is anybody, until a test says so. */
export const source = (parts: Partial<EvidenceSource> = {}): EvidenceSource => ({
  token: () => ({ state: 'refused', reason: 'TokenSignatureInvalid' }),
  certificate: () => ({ state: 'absent' }),
  binding: () => undefined,
  revocation: () => ({ state: 'clear' }),
  device: () => ({ state: 'undecided', reason: 'DeviceAuthUnavailable' }),
  subscription: () => ({ state: 'found', plans: [] }),
  signature: () => ({ state: 'refused', reason: 'SignatureInvalid' }),
  rate: () => ({ admitted: true, limit: 10, remaining: 9, retryAfter: 0, reset: 1 }),
  quota: () => ({ admitted: true, limit: 10, remaining: 9, retryAfter: 0, reset: 1 }),
  concurrency: () => ({ leased: true }),
  ...parts,
});

export interface Given {
  readonly request?: RequestView;
  readonly params?: Readonly<Record<string, string>>;
  readonly reserved?: ReadonlySet<string>;
  readonly source?: Partial<EvidenceSource>;
  readonly context?: Partial<DecideContext>;
}

/** Judges with answers at hand; a test that wants promises calls judge itself. */
export function judgeNow(at: Route, given: Given = {}): Verdict {
  const { params = { deviceId: 'robot-7' }, reserved = new Set<string>() } = given;
  const context = { now: NOW, ...given.context };
  const verdict = judge(at, params, given.request ?? request(), reserved, source(given.source), context);
  if (verdict instanceof Promise) throw new Error('an answer was not at hand');
  return verdict;
}

/** `Permit`, or `403 AuthorizationDenied policy/step`: what most tests compare. */
export function summary(verdict: Verdict): string {
  if (verdict.verdict === 'Deny') return `${verdict.reason}${verdict.label === undefined ? '' : ` ${verdict.label}`}`;
  return verdict.verdict;
}

export function permitOf(verdict: Verdict): Permit {
  if (verdict.verdict === 'Permit' || verdict.verdict === 'AuditPermit') return verdict;
  throw new Error(`expected a permit, got ${summary(verdict)}`);
}
