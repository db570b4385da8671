/** A shared store spoken to by @redis/client: one connection, commands one behind the other, a breaker before it. */
import { isIP, type LookupFunction } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import type { createClient } from '@redis/client';
import { createAddressGuard, createGuardedLookup } from '../outbound/address.ts';
import { createBreaker } from '../outbound/breaker.ts';
import { findDestination, type ResolveRule } from '../outbound/resolve.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import type { Script } from './store-scripts.ts';
import { StoreUnavailable, type Store, type StorePlace } from './store.ts';

export interface RedisStoreOptions {
  /** `namespace/name` of the policy that names it, for log lines. */
  readonly policy: string;
  readonly resolve: readonly ResolveRule[];
  readonly log: Log;
  readonly metrics: Metrics;
  readonly monotonic: () => number;
  /** 0 ≤ x < 1, for jitter. */
  readonly random: () => number;
}

/** For one script. */
const TIMEOUT_MS = 250;
const BREAKER = { consecutiveErrors: 3, openFor: 1000 };
const CONNECT_MS = 2000;
/** A server that stands still: asked whether it lives, and dropped when it does not say so. */
const PING_MS = 2000;
const SILENCE_MS = 5000;
const MOST_WAITING = 10_000;
const LONGEST_RETRY_MS = 2000;

type NoParts = Record<string, never>;
/** Answers of RESP 2: texts, numbers and lists. */
type ClientOptions = Parameters<typeof createClient<NoParts, NoParts, NoParts, 2>>[0] & object;
type Client = Pick<
  ReturnType<typeof createClient<NoParts, NoParts, NoParts, 2>>,
  'isReady' | 'sendCommand' | 'close' | 'destroy'
>;

export function createRedisStore(place: StorePlace, options: RedisStoreOptions): Store {
  const { policy, log, metrics, monotonic } = options;
  const breaker = createBreaker(BREAKER);
  let client: Client | undefined;
  let isClosed = false;
  let problem: string | undefined;
  let settleFirst = (): void => undefined;
  const first = new Promise<void>(settle => (settleFirst = settle));

  const turn = (code: string): void => {
    settleFirst();
    metrics.gauge('sallyport_shared_store_connected', code === '' ? 1 : 0);
    if (isClosed || (problem ?? '') === code) return;
    // One line when it is lost, with the first reason, and one when it is back.
    if (code === '') log.info({ policy }, 'the shared store of limits answers again');
    else if ((problem ?? '') === '') log.warn({ policy, code }, 'the shared store of limits is away');
    problem = code;
  };
  const fail = (error: unknown): never => {
    const code = findCode(error);
    metrics.count('sallyport_shared_store_requests_total', { outcome: code === 'TIMEOUT' ? 'timeout' : 'error' });
    breaker.fail(monotonic());
    if (breaker.state(monotonic()) !== 'closed') turn(code);
    throw new StoreUnavailable(code);
  };
  const succeed = (reply: unknown): unknown => {
    metrics.count('sallyport_shared_store_requests_total', { outcome: 'ok' });
    breaker.succeed();
    turn('');
    return reply;
  };
  void open().catch((error: unknown) => turn(findCode(error)));

  async function open(): Promise<void> {
    const { default: redis } = await import('@redis/client');
    if (isClosed) return;
    const opened = redis.createClient(describeClient(place, options));
    client = opened;
    opened.on('error', (error: unknown) => turn(findCode(error)));
    opened.on('ready', () => turn(''));
    await opened.connect();
  }

  return {
    run(script, key, args) {
      if (client?.isReady !== true || !breaker.admit(monotonic())) {
        metrics.count('sallyport_shared_store_requests_total', { outcome: 'skipped' });
        return Promise.reject(new StoreUnavailable(problem ?? 'CONNECTING'));
      }
      return within(TIMEOUT_MS, evaluate(client, script, key, args)).then(succeed, fail);
    },
    tried: () => first,
    state: () => ({ connected: client?.isReady === true, problem: problem ?? '' }),
    async close() {
      isClosed = true;
      settleFirst();
      if (client === undefined) return;
      // What was asked may end.
      if (client.isReady) await within(TIMEOUT_MS, client.close()).catch(() => undefined);
      client.destroy();
    },
  };
}

function describeClient(place: StorePlace, { resolve, random }: RedisStoreOptions): ClientOptions {
  const { host, database, security, login } = place;
  const destination = findDestination(resolve, host, place.port);
  const common = {
    ...destination,
    connectTimeout: CONNECT_MS,
    socketTimeout: SILENCE_MS,
    reconnectStrategy: (retries: number) =>
      Math.min(LONGEST_RETRY_MS, 50 * 2 ** Math.min(retries, 10)) * (0.5 + random() / 2),
    lookup: guardedLookup(destination.host),
  };
  return {
    RESP: 2,
    socket:
      security === undefined
        ? common
        : {
            ...common,
            tls: true,
            secureContext: security.context,
            rejectUnauthorized: true,
            ...(isIP(host) === 0 ? { servername: host } : {}),
            checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate),
          },
    database,
    ...login,
    disableOfflineQueue: true,
    disableClientInfo: true,
    commandsQueueMaxLength: MOST_WAITING,
    pingInterval: PING_MS,
  };
}

/** net.connect asks no resolver for an address, so that one is refused here. */
function guardedLookup(host: string): LookupFunction {
  const isForbidden = createAddressGuard();
  if (isIP(host) !== 0 && isForbidden(host)) throw new StoreUnavailable('FORBIDDEN_ADDRESS');
  return createGuardedLookup(isForbidden);
}

/** A store that was restarted has forgotten the script, so it is told the text. */
async function evaluate(
  client: Client,
  { sha1, text }: Script,
  key: string,
  args: readonly string[],
): Promise<unknown> {
  try {
    return await client.sendCommand(['EVALSHA', sha1, '1', key, ...args]);
  } catch (error) {
    if (findCode(error) !== 'NOSCRIPT') throw error;
    return client.sendCommand(['EVAL', text, '1', key, ...args]);
  }
}

function within<T>(ms: number, answer: Promise<T>): Promise<T> {
  return new Promise((settle, fail) => {
    const timer = setTimeout(() => fail(new StoreUnavailable('TIMEOUT')), ms);
    answer.then(settle, fail).finally(() => clearTimeout(timer));
  });
}

/** Of a socket, of TLS, or the first word of what the server said; never the rest, which may quote what it was told. */
function findCode(error: unknown): string {
  if (!(error instanceof Error)) return 'UNKNOWN';
  if ('code' in error && typeof error.code === 'string') return error.code;
  return /^[A-Z][A-Z0-9_]{2,}(?= |$)/.exec(error.message)?.[0] ?? error.name;
}
