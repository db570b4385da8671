/** What every listener, connection and exchange of one proxy has in common. */
import type { NameTable } from '../http/message.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { DialDeps } from './dial.ts';
import type { Pools } from './pools.ts';
import type { RequestIds } from './request-id.ts';
import type { Sweep } from './sweep.ts';

/** Switched by drain, stop and the memory watch; read by every request. */
export interface ProxyState {
  /** Not ready, every answer closes its connection; still accepting. */
  draining: boolean;
  /** Memory is short: new connections and requests are refused. */
  overloaded: boolean;
}

export interface Shared {
  readonly telemetry: Telemetry;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Milliseconds that only grow. */
  readonly monotonic: () => number;
  readonly ids: RequestIds;
  readonly pools: Pools;
  readonly dialling: DialDeps;
  readonly sweep: Sweep;
  readonly state: ProxyState;
  /** Header names that were met, classified once for all connections. */
  readonly names: NameTable;
  /** Value of a Date header, for answers of our own. */
  readonly date: () => string;
}

/** The Date header's value, made once a second. */
export function createDate(clock: () => number): () => string {
  let second = -1;
  let text = '';
  return () => {
    const now = Math.floor(clock() / 1000);
    if (now !== second) {
      second = now;
      text = new Date(now * 1000).toUTCString();
    }
    return text;
  };
}
