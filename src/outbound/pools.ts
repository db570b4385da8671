/** Connection pools, one per origin, trust, client certificate and server name: what one may reach is never lent to another. */
import type { Pool } from 'undici';
import { createConnector, type ConnectorOptions } from './connector.ts';
import { FetchError } from './fetch-error.ts';
import type { FetchOptions } from './fetcher.ts';

export interface Pools {
  /** @throws FetchError CLOSED after close() */
  find(url: URL, options: FetchOptions): Promise<Pool>;
  close(): Promise<void>;
}

/** More than any configuration needs at once; what rotation leaves behind is closed beyond it. */
const MAX_POOLS = 128;
const CONNECTIONS = 256;

export function createPools(connecting: ConnectorOptions): Pools {
  /** By key, least recently used first. */
  const pools = new Map<string, Pool>();
  const trustNumbers = createNumbers();
  let closed = false;

  const open = async (key: string, url: URL, options: FetchOptions): Promise<Pool> => {
    const { default: PoolOfUndici } = await import('undici/lib/dispatcher/pool.js');
    if (closed) throw new FetchError('CLOSED', url.host);
    const found = pools.get(key);
    if (found !== undefined) return found;
    const pool = new PoolOfUndici(url.origin, {
      connect: createConnector(connecting, options, url.host),
      connections: CONNECTIONS,
      pipelining: 1,
      allowH2: false,
      // exchange() keeps the clock over the whole answer.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: 32 * 1024,
    });
    pools.set(key, pool);
    evictOldest(pools);
    return pool;
  };

  return {
    find(url, options) {
      if (closed) return Promise.reject(new FetchError('CLOSED', url.host));
      const trust = options.trust === 'systemRoots' ? 'roots' : trustNumbers(options.trust.ca);
      const key = `${trust} ${options.clientCertificate?.sha256 ?? '-'} ${options.serverName ?? '-'} ${url.origin}`;
      const pool = pools.get(key);
      if (pool === undefined) return open(key, url, options);
      pools.delete(key);
      pools.set(key, pool);
      return Promise.resolve(pool);
    },
    async close() {
      closed = true;
      const open = [...pools.values()];
      pools.clear();
      await Promise.all(open.map(pool => pool.destroy(new FetchError('CLOSED', ''))));
    },
  };
}

function evictOldest(pools: Map<string, Pool>): void {
  const [oldest] = pools;
  if (pools.size <= MAX_POOLS || oldest === undefined) return;
  pools.delete(oldest[0]);
  // Ends what is in flight properly; nothing waits for it.
  oldest[1].close().catch(() => undefined);
}

/** Short names for long texts, so that a bundle of 200 KiB is not hashed into every key. A name is never given twice. */
function createNumbers(): (text: string) => string {
  const numbers = new Map<string, string>();
  let given = 0;
  return text => {
    const known = numbers.get(text);
    if (known !== undefined) return known;
    if (numbers.size >= MAX_POOLS) numbers.clear();
    const name = String(++given);
    numbers.set(text, name);
    return name;
  };
}
