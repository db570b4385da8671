/** A proxy on loopback sockets with a small snapshot made by hand: what is open, and what a bearer token opens. */
import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createReplays } from '../../callers/replays.ts';
import { createSignatures } from '../../callers/signatures.ts';
import type { EvidenceSource } from '../../decision/evidence.ts';
import { errors, jwt, route, source, step } from '../../decision/testing/fakes.ts';
import { createKeyHash } from '../../limits/key-hash.ts';
import { EMPTY_MATERIAL, type Material } from '../../material/material.ts';
import type { ApiPlan, ListenerPlan, Match, Pipeline, Route, Snapshot } from '../../policy/model.ts';
import { NO_SUBSCRIPTIONS } from '../../policy/subscriptions.ts';
import type { CompiledStep } from '../../policy/steps.ts';
import { SILENT, type RequestRecord, type Telemetry } from '../../telemetry/telemetry.ts';
import type { CredentialAnswers, Generation, LimitAnswers, TrustAnswers } from '../generation.ts';
import type { ProxyDeps } from '../options.ts';
import { createProxy, type Proxy } from '../proxy.ts';
import { startApp, type App, type Wire } from './wire.ts';

const SECOND = 1000;
export const LIMITS: ListenerPlan['limits'] = {
  headBytes: 64 * 1024,
  headers: 100,
  targetBytes: 16 * 1024,
  bodyBytes: 0,
  headTimeout: 10 * SECOND,
  bodyIdle: 60 * SECOND,
  clientIdle: 620 * SECOND,
  connections: 10_000,
  perPeerConnections: 1000,
};
export const TIMEOUTS: ApiPlan['app']['timeouts'] = {
  connect: SECOND,
  response: 60 * SECOND,
  idle: 300 * SECOND,
  poolIdle: 4 * SECOND,
};

export const OPEN: CompiledStep = step({ type: 'anyOf', alternatives: [{ type: 'anonymous' }] }, { name: 'open' });
export const BEARER: CompiledStep = step({ type: 'jwt', jwt: jwt({ forwardToken: true }) }, { name: 'caller' });

export interface WorldParts {
  readonly app?: Partial<ApiPlan['app']>;
  readonly api?: Partial<Omit<ApiPlan, 'app'>>;
  readonly limits?: Partial<ListenerPlan['limits']>;
  readonly plan?: Partial<Omit<ListenerPlan, 'limits'>>;
  readonly pipeline?: Partial<Pipeline>;
  /** By path prefix; default: /open for everybody, everything else for bearers. */
  readonly routes?: readonly (readonly [prefix: string, steps: readonly CompiledStep[]])[];
  readonly snapshot?: Partial<Snapshot>;
  readonly evidence?: Partial<EvidenceSource>;
  readonly trust?: Partial<TrustAnswers>;
  readonly counting?: Partial<LimitAnswers>;
  readonly credentials?: Partial<CredentialAnswers>;
  readonly material?: Material;
}

const DEFAULT_ROUTES: NonNullable<WorldParts['routes']> = [
  ['/open', [OPEN]],
  ['/', [BEARER]],
];

export function makeRoute(steps: readonly CompiledStep[], parts: WorldParts): Route {
  const made = route(steps, parts.pipeline);
  const app = { ...made.api.app, timeouts: TIMEOUTS, ...parts.app };
  return { ...made, api: { ...made.api, basePath: '/', ...parts.api, app } };
}

/** `port` is the Api's container port. */
export function makeGeneration(parts: WorldParts = {}, number = 1, port = 8080): Generation {
  const routes = (parts.routes ?? DEFAULT_ROUTES).map(([prefix, steps]) => [prefix, makeRoute(steps, parts)] as const);
  const match = (_: string, __: string, path: string): Match => {
    const found = routes.find(([prefix]) => path.startsWith(prefix));
    if (found === undefined) return { kind: 'refused', reason: 'OperationNotFound', errors: errors() };
    return { kind: 'matched', route: found[1], params: {} };
  };
  const plan: ListenerPlan = {
    port,
    limits: { ...LIMITS, ...parts.limits },
    trustedPeers: [],
    clientAddress: { from: 'Peer', trustedHops: 1 },
    match,
    hosts: [],
    apis: [],
    routes: [],
    ...parts.plan,
  };
  const snapshot: Snapshot = {
    generation: number,
    hash: `hash-${number}`,
    listeners: new Map([[port, plan]]),
    reservedHeaders: new Set(),
    counters: new Set<string>(),
    allowances: [],
    issuers: new Map(),
    trusts: new Map(),
    deviceServices: new Map(),
    credentials: new Map(),
    subscriptions: NO_SUBSCRIPTIONS,
    errorsBeforeMatch: errors(),
    notices: [],
    violations: [],
    ...parts.snapshot,
  };
  const evidence = source(parts.evidence);
  return {
    snapshot,
    tokens: { verify: (request, now) => evidence.token(request, now) },
    trust: {
      judgeRequest: () => ({ state: 'absent' }),
      findPresented: (_, __, { own }) => own ?? { chain: [], from: 'tls', memo: {} },
      proveIdentity: () => ({ provedBy: [] }),
      strippedHeaders: () => new Set(),
      anchorsPem: () => undefined,
      allowsPartialChain: () => false,
      ...parts.trust,
    },
    devices: { device: (request, now) => evidence.device(request, now), revocation: r => evidence.revocation(r) },
    credentials: {
      clientCertificate: () => undefined,
      present: () => undefined,
      refused: () => undefined,
      ...parts.credentials,
    },
    callers: {
      subscription: request => evidence.subscription(request),
      ...createSignatures(parts.material ?? EMPTY_MATERIAL, createReplays(createKeyHash(new Uint8Array(8)))),
    },
    limits: {
      rate: (request, now) => evidence.rate(request, now),
      quota: (request, now) => evidence.quota(request, now),
      acquire: () => () => undefined,
      ...parts.counting,
    },
    material: parts.material ?? EMPTY_MATERIAL,
  };
}

export interface World {
  readonly proxy: Proxy;
  /** 0: nothing is bound yet. */
  readonly port: number;
  readonly records: readonly RequestRecord[];
  /** Resolves when so many requests were recorded. */
  recorded(count: number): Promise<readonly RequestRecord[]>;
  publish(parts: WorldParts): void;
  /** Lets the proxy's clocks run ahead; what is due happens at the next sweep. */
  advance(milliseconds: number): void;
  stop(): Promise<void>;
}

/** `appPort` is where the app listens. Nothing is published when `parts` is 'nothing'. */
export async function startWorld(
  appPort: number,
  parts: WorldParts | 'nothing' = {},
  deps: Partial<ProxyDeps> = {},
): Promise<World> {
  const records: RequestRecord[] = [];
  const waiting: (() => void)[] = [];
  const telemetry: Telemetry = {
    ...SILENT,
    request: record => {
      records.push(record);
      for (const look of waiting.splice(0)) look();
    },
  };
  let ahead = 0;
  const proxy = createProxy({
    listen: [{ host: '127.0.0.1', port: 0 }],
    apps: [{ host: '127.0.0.1', port: appPort }],
    resolve: [],
    telemetry,
    exposition: () => Promise.resolve(''),
    clock: () => new Date().getTime() + ahead,
    monotonic: () => performance.now() + ahead,
    randomBytes,
    memory: { resident: () => 0, needed: () => 0, collect: () => undefined },
    ...deps,
  });
  await proxy.start();
  let number = 0;
  const publish = (given: WorldParts): void => proxy.publish(makeGeneration(given, ++number));
  if (parts !== 'nothing') publish(parts);
  const recorded = async (count: number): Promise<readonly RequestRecord[]> => {
    while (records.length < count) await new Promise<void>(resolve => waiting.push(resolve));
    return records;
  };
  const [address] = proxy.addresses() as readonly [AddressInfo?];
  const advance = (milliseconds: number): void => {
    ahead += milliseconds;
  };
  return { proxy, port: address?.port ?? 0, records, recorded, publish, advance, stop: () => proxy.stop(0) };
}

export interface Stage {
  readonly app: App;
  readonly world: World;
}

/** Starts an app and a proxy in front of it, runs the scene, and stops both. */
export async function play(
  behave: ((wire: Wire) => void) | undefined,
  parts: WorldParts | 'nothing',
  scene: (stage: Stage) => Promise<void>,
  deps: Partial<ProxyDeps> = {},
): Promise<void> {
  const app = await startApp(behave);
  const world = await startWorld(app.port, parts, deps);
  try {
    await scene({ app, world });
  } finally {
    await world.stop();
    await app.stop();
  }
}
