/** What the tests of tokens/ share: keys, tokens, plans, a fetcher that answers from a table, a clock that is set by hand. */
import { createPublicKey, generateKeyPairSync, sign, createHmac, type KeyObject } from 'node:crypto';
import type { TokenIssuerSpec } from '../../api/kinds/material.ts';
import type { TokenRequest } from '../../decision/evidence.ts';
import { EMPTY_MATERIAL, type Material } from '../../material/material.ts';
import type { FetchAnswer, Fetcher, FetchOptions } from '../../outbound/fetcher.ts';
import type { IssuerPlan } from '../../policy/model.ts';
import { SILENT, type Log } from '../../telemetry/telemetry.ts';
import type { Later } from '../remote-key-set.ts';
import { createTokens, type Tokens, type TokensOptions, type TokenView } from '../tokens.ts';

export const ISSUER = 'https://issuer.test/';
export const NOW = Date.UTC(2026, 10, 23);
export const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

export interface SigningKey {
  readonly algorithm: string;
  readonly keyId: string | undefined;
  readonly privateKey: KeyObject;
  /** Public. */
  readonly jwk: Record<string, unknown>;
}

export function createSigningKey(algorithm: string, keyId?: string): SigningKey {
  const pair = generatePair(algorithm);
  const jwk = { ...pair.publicKey.export({ format: 'jwk' }), ...(keyId === undefined ? {} : { kid: keyId }) };
  return { algorithm, keyId, privateKey: pair.privateKey, jwk };
}

function generatePair(algorithm: string): { publicKey: KeyObject; privateKey: KeyObject } {
  if (algorithm === 'EdDSA') return generateKeyPairSync('ed25519');
  if (algorithm.startsWith('ES')) return generateKeyPairSync('ec', { namedCurve: `P-${algorithm.slice(2)}` });
  return generateKeyPairSync('rsa', { modulusLength: 2048 });
}

/** RSASSA-PSS has its salt as long as its hash (RFC 7518 section 3.5). */
const PSS = { padding: 6, saltLength: -1 };

export function signToken(key: SigningKey, claims: unknown, header: object = {}): string {
  const keyId = key.keyId === undefined ? {} : { kid: key.keyId };
  const input = `${encode({ alg: key.algorithm, ...keyId, ...header })}.${encode(claims)}`;
  const hash = key.algorithm === 'EdDSA' ? null : `sha${key.algorithm.slice(2)}`;
  const options = {
    key: key.privateKey,
    dsaEncoding: 'ieee-p1363',
    ...(key.algorithm.startsWith('PS') ? PSS : {}),
  } as const;
  return `${input}.${sign(hash, Buffer.from(input), options).toString('base64url')}`;
}

export function macToken(algorithm: 'HS256' | 'HS384' | 'HS512', secret: Buffer | string, claims: unknown): string {
  const input = `${encode({ alg: algorithm })}.${encode(claims)}`;
  return `${input}.${createHmac(`sha${algorithm.slice(2)}`, secret)
    .update(input)
    .digest('base64url')}`;
}

export const publicPem = (key: SigningKey): string =>
  createPublicKey(key.privateKey).export({ format: 'pem', type: 'spki' }).toString();

export const claimsOf = (more: object = {}): object => ({
  iss: ISSUER,
  sub: 'someone',
  exp: NOW / 1000 + 3600,
  ...more,
});

const BASE = {
  clockSkew: 30_000,
  requireExpiration: true,
  cache: { maxAge: 600_000, unknownKidCooldown: 30_000, maxStale: 86_400_000 },
} as const;

export const planOf = (spec: Partial<TokenIssuerSpec>, name = 'corp', generation = 1): IssuerPlan => ({
  key: `shop/${name}`,
  namespace: 'shop',
  generation,
  spec: { ...BASE, ...spec },
});

export const jwksPlan = (spec: Partial<TokenIssuerSpec> = {}, name = 'corp'): IssuerPlan =>
  planOf({ jwks: { url: 'https://issuer.test/jwks' }, issuer: ISSUER, ...spec }, name);

export const plansOf = (...plans: IssuerPlan[]): Map<string, IssuerPlan> =>
  new Map(plans.map(plan => [plan.key, plan]));

export const secretsOf = (data: Record<string, string | Buffer>): Material => ({
  ...EMPTY_MATERIAL,
  secret: key => (key === 'shop/keys' ? new Map(Object.entries(data).map(([k, v]) => [k, Buffer.from(v)])) : undefined),
});

export const requestOf = (token: string, issuers: readonly string[] = ['shop/corp']): TokenRequest => ({
  type: 'token',
  token,
  step: {
    issuers,
    from: [],
    requiredClaims: [],
    forwardToken: false,
    claimHeaders: [],
    boundToCertificate: false,
  },
});

type Answering = (url: string, options: FetchOptions) => unknown;

export interface TableFetcher extends Fetcher {
  readonly calls: string[];
}

/** Answers with what the function gives: bytes as they are, anything else as JSON; a thrown error is the call's. */
export function createTableFetcher(answer: Answering): TableFetcher {
  const calls: string[] = [];
  return {
    calls,
    async fetch(url, options): Promise<FetchAnswer> {
      calls.push(url);
      const value = await answer(url, options);
      const body = value instanceof Uint8Array ? value : Buffer.from(JSON.stringify(value));
      return { status: 200, headers: {}, body };
    },
    close: () => Promise.resolve(),
  };
}

export interface HandClock {
  now: number;
  readonly later: Later;
  /** Moves the time on and runs what is due; then lets promises settle. */
  pass(milliseconds: number): Promise<void>;
}

export const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

export function createHandClock(): HandClock {
  let due: { at: number; run: () => void }[] = [];
  const clock: HandClock = {
    now: NOW,
    later: (milliseconds, run) => {
      const entry = { at: clock.now + milliseconds, run };
      due.push(entry);
      return () => {
        due = due.filter(other => other !== entry);
      };
    },
    async pass(milliseconds) {
      clock.now += milliseconds;
      const ready = due.filter(({ at }) => at <= clock.now);
      due = due.filter(({ at }) => at > clock.now);
      for (const { run } of ready) run();
      await settle();
    },
  };
  return clock;
}

export interface Bench {
  readonly tokens: Tokens;
  readonly clock: HandClock;
  readonly fetcher: TableFetcher;
  readonly lines: string[];
  readonly counts: Map<string, number>;
}

export function createBench(answer: Answering, more: Partial<TokensOptions> = {}): Bench {
  const clock = createHandClock();
  const fetcher = createTableFetcher(answer);
  const lines: string[] = [];
  const counts = new Map<string, number>();
  const note: Log['info'] = (fields, message) => void lines.push(`${message} ${JSON.stringify(fields)}`);
  const tokens = createTokens({
    fetcher,
    log: { debug: note, info: note, warn: note, error: note },
    metrics: {
      ...SILENT.metrics,
      count: (name, _, by = 1) => void counts.set(name, (counts.get(name) ?? 0) + by),
    },
    clock: () => clock.now,
    later: clock.later,
    ...more,
  });
  return { tokens, clock, fetcher, lines, counts };
}

/** `verified`, or the reason, with `?` for undecided. */
export async function outcomeOf(
  view: TokenView,
  token: string,
  now = NOW,
  issuers?: readonly string[],
): Promise<string> {
  const evidence = await view.verify(requestOf(token, issuers), now);
  if (evidence.state === 'verified') return 'verified';
  return evidence.state === 'undecided' ? `${evidence.reason}?` : evidence.reason;
}
