/** What the tests of devices/ share: a certificate's facts, plans compiled as policies compile them, a service in memory. */
import { DEFAULT_DEVICE_ALLOW, type DeviceAuthServiceSpec } from '../../api/kinds/material.ts';
import type { ClientCertificate } from '../../credentials/credentials.ts';
import type { CertificateFacts, DeviceEvidence, DeviceRequest } from '../../decision/evidence.ts';
import { EMPTY_MATERIAL, type Material } from '../../material/material.ts';
import type { FetchAnswer, FetchOptions } from '../../outbound/fetcher.ts';
import { SERVICE_ANSWER, SERVICE_REQUEST } from '../../policy/cel-environment.ts';
import { compileExpression } from '../../policy/cel.ts';
import type { Template } from '../../policy/expression.ts';
import type { DeviceServicePlan } from '../../policy/model.ts';
import { compileTemplate, type TextPlace } from '../../policy/template.ts';
import { createDevices, type DeviceCredentials, type Devices, type DeviceView } from '../devices.ts';

export const NOW = Date.UTC(2026, 10, 23);
export const SERVICE = 'shop/devices';

const spec: DeviceAuthServiceSpec = {
  url: 'https://device-auth.test:8443/check',
  request: {
    method: 'GET',
    query: { certificateThumbprint: '${cert.sha1}', deviceId: '${deviceId}' },
    headers: {},
    body: '',
  },
  allow: { status: [200], expression: DEFAULT_DEVICE_ALLOW },
  deny: { status: [401, 403, 404] },
  timeout: 2000,
  retry: { attempts: 1, on: ['connect'] },
  concurrency: 64,
  breaker: { consecutiveErrors: 3, openFor: 15_000 },
  cache: { ttl: 60_000, negativeTtl: 10_000, staleIfError: 0, maxEntries: 100 },
};

/** A spec with some members replaced, one level deep. */
export type Change = { readonly [K in keyof DeviceAuthServiceSpec]?: Partial<DeviceAuthServiceSpec[K]> };

function change(changes: Change): DeviceAuthServiceSpec {
  const changed: Record<string, unknown> = { ...spec };
  for (const [name, value] of Object.entries(changes)) {
    const old = changed[name];
    changed[name] = typeof old === 'object' && typeof value === 'object' ? { ...old, ...value } : value;
  }
  return changed as unknown as DeviceAuthServiceSpec;
}

function template(source: string, place: TextPlace): Template {
  const compiled = compileTemplate(source, place, SERVICE_REQUEST);
  if ('problem' in compiled) throw new Error(compiled.problem);
  return compiled;
}

export function planOf(changes: Change = {}, generation = 1): DeviceServicePlan {
  const changed = change(changes);
  const { url, request } = changed;
  const allow = compileExpression(changed.allow.expression, SERVICE_ANSWER, 'bool');
  if ('problem' in allow) throw new Error(allow.problem);
  const pairs = (entries: Readonly<Record<string, string>>, place: TextPlace): DeviceServicePlan['query'] =>
    Object.entries(entries).map(([name, source]) => ({ name, value: template(source, place) }));
  return {
    key: SERVICE,
    namespace: 'shop',
    generation,
    spec: changed,
    url: template(url, 'path'),
    query: pairs(request.query, 'query'),
    headers: pairs(request.headers, 'header'),
    body: template(request.body, 'text'),
    allow,
  };
}

export const factsOf = (name = 'robot-7', digit = 'A'): CertificateFacts => ({
  sha1: digit.repeat(40),
  sha256: digit.repeat(64),
  publicKeyPin: 'pin',
  serialNumber: '1',
  subject: { CN: name },
  issuer: { CN: 'devices' },
  subjectText: `CN=${name}`,
  issuerText: 'CN=devices',
  subjectAltName: { uri: [], dns: [], email: [], ip: [] },
  notBefore: 0,
  notAfter: NOW * 2,
});

const UNUSED: Template = { source: '', place: 'text', reads: new Set(), render: () => '' };

export const requestOf = (deviceId = 'robot-7', certificate = factsOf()): DeviceRequest => ({
  type: 'device',
  step: { service: SERVICE, plan: planOf(), deviceId: UNUSED },
  certificate,
  deviceId,
  key: certificate.sha256 + deviceId,
});

export const json = (body: unknown, status = 200, headers: Record<string, string> = {}): FetchAnswer => ({
  status,
  headers,
  body: Buffer.from(JSON.stringify(body)),
});

export interface Call {
  readonly url: string;
  readonly options: FetchOptions;
}

export interface Scene {
  readonly devices: Devices;
  readonly calls: Call[];
  readonly lines: string[];
  now: number;
  /** What the service answers from now on; may throw. */
  answer: (call: Call) => FetchAnswer | Promise<FetchAnswer>;
  view: DeviceView;
  prepare(plan: DeviceServicePlan, material?: Material): DeviceView;
  /** `200`, `refused:…` or `503`. */
  outcome(request?: DeviceRequest): Promise<string>;
}

const echo: Scene['answer'] = ({ url }) => json({ deviceId: new URL(url).searchParams.get('deviceId') });

export function openScene(
  plan = planOf(),
  certificate?: ClientCertificate,
  material: Material = EMPTY_MATERIAL,
): Scene {
  const calls: Call[] = [];
  const lines: string[] = [];
  const note = (fields: object, message: string): void => void lines.push(`${message} ${JSON.stringify(fields)}`);
  const credentials: DeviceCredentials = { clientCertificate: () => certificate, present: () => undefined };
  const devices = createDevices({
    fetcher: {
      fetch: async (url, options) => {
        calls.push({ url, options });
        return scene.answer({ url, options });
      },
      close: () => Promise.resolve(),
    },
    log: { debug: note, info: note, warn: note, error: note },
    metrics: { count: () => undefined, gauge: () => undefined, observe: () => undefined },
    clock: () => scene.now,
  });
  const prepare = (next: DeviceServicePlan, from: Material = EMPTY_MATERIAL): DeviceView =>
    devices.prepare(new Map([[SERVICE, next]]), from, credentials);
  const view = prepare(plan, material);
  const scene: Scene = {
    devices,
    calls,
    lines,
    now: NOW,
    answer: echo,
    view,
    prepare,
    outcome: async (request = requestOf()) => describe(await scene.view.device(request, scene.now)),
  };
  return scene;
}

export const describe = (evidence: DeviceEvidence): string =>
  evidence.state === 'answered' ? String(evidence.status) : evidence.state === 'undecided' ? '503' : evidence.reason;
