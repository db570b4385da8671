/** Connections to one target that are kept between exchanges. The last one used is used first, so that spare ones go idle. */
import type { AppTarget } from './app-target.ts';
import type { NameTable } from '../http/message.ts';
import { agreesOnHttp2, dial, type DialDeps, type CancelDial, type Dialled } from './dial.ts';
import { createAppSessions, type Waiting } from './http2/app-sessions.ts';
import type { Misspoken } from './misspoken.ts';
import type { Sweep, Sweepable } from './sweep.ts';
import type { UpstreamUser } from './app-link.ts';
import { Upstream, type UpstreamHome } from './upstream.ts';

export interface Pool {
  /** What its connections are parked in; tells whose they are. */
  readonly home: UpstreamHome;
  /**
   * Calls `user.onUpstreamReady`, at once when a connection is idle (and `fresh` does not forbid it), or
   * `user.onUpstreamFailed`; `now` is monotonic. Returns what cancels a dial that is under way.
   */
  acquire(user: UpstreamUser, fresh: boolean, now: number): CancelDial | undefined;
  /** A generation was published: unless the pool is used again soon, its idle connections close. */
  markStale(): void;
  /** Closes what is idle; what is in use closes when it is released. */
  close(): void;
  readonly idle: number;
  readonly open: number;
}

/** How long after a publication a pool that nobody uses any more keeps idle connections. */
const STALE_MS = 5000;
/** Most idle connections kept to one target. */
const MOST_IDLE = 1024;

export interface PoolDeps {
  readonly dialling: DialDeps;
  readonly monotonic: () => number;
  readonly sweep: Sweep;
  readonly names: NameTable;
}

export function createPool(target: AppTarget, { dialling, monotonic, sweep, names }: PoolDeps): Pool {
  const idle: Upstream[] = [];
  const open = new Set<Upstream>();
  let closed = false;
  let staleAt = Infinity;
  const idleMs = target.timeouts.poolIdle;
  const sessions = createAppSessions({ secure: target.tls !== undefined, names, monotonic, idleMs });
  /** What the last dial has found. */
  let speaksHttp2 = target.speaks !== 'HTTP1';

  const home: UpstreamHome = {
    park: (upstream, keepAliveMs, now) => {
      const lifetime = keepAliveMs === undefined ? target.timeouts.poolIdle : keepAliveMs - 1000;
      if (closed || lifetime <= 0 || idle.length >= MOST_IDLE) return false;
      upstream.idleUntil = now + lifetime;
      idle.push(upstream);
      return true;
    },
    forget: upstream => {
      open.delete(upstream);
      const at = idle.indexOf(upstream);
      if (at >= 0) idle.splice(at, 1);
    },
  };
  const closeIdle = (which: (upstream: Upstream) => boolean): void => {
    for (const upstream of idle.filter(which)) {
      idle.splice(idle.indexOf(upstream), 1);
      upstream.destroy();
    }
  };
  const swept: Sweepable = {
    sweep: now => {
      if (idle.length > 0) closeIdle(upstream => upstream.idleUntil <= now || staleAt <= now);
      sessions.sweep(now, staleAt);
    },
  };
  sweep.add(swept);

  const takeIdle = (now: number): Upstream | undefined => {
    for (let upstream = idle.pop(); upstream !== undefined; upstream = idle.pop()) {
      if (upstream.idleUntil > now && upstream.socket.writable) return upstream;
      upstream.destroy();
    }
    return undefined;
  };
  const serve = (user: UpstreamUser, result: Exclude<Dialled, { reason: unknown }>): void => {
    const upstream = new Upstream(result.socket, result.reading, home);
    result.deliverTo(upstream);
    open.add(upstream);
    upstream.user = user;
    user.onUpstreamReady(upstream);
  };
  const dialFor = (user: UpstreamUser): CancelDial =>
    dial(target, dialling, result => {
      if ('reason' in result) return user.onUpstreamFailed(result.reason, result.problem);
      // What ALPN says may change from dial to dial.
      speaksHttp2 = agreesOnHttp2(result.socket, target) === true;
      if (speaksHttp2) sessions.adopt(result.socket, user);
      else serve(user, result);
    });
  /** For everybody who waits: one connection carries them all, if the app speaks HTTP/2. */
  const dialForAll = (waiting: Waiting): CancelDial =>
    dial(target, dialling, result => {
      if ('reason' in result) return waiting.failed(result.reason, result.problem);
      const isHttp2 = agreesOnHttp2(result.socket, target);
      if (isHttp2 === undefined) {
        result.socket.destroy();
        return waiting.failed('AppProtocolError', 'NO_HTTP2' satisfies Misspoken);
      }
      speaksHttp2 = isHttp2;
      if (isHttp2) return waiting.opened(result.socket);
      let unused: typeof result | undefined = result;
      waiting.declined(user => {
        const mine = unused;
        unused = undefined;
        if (mine === undefined) dialFor(user);
        else serve(user, mine);
      });
    });
  /** Undefined: the app speaks HTTP/1.1, as far as is known. */
  const acquireStream = (user: UpstreamUser): { readonly cancel: CancelDial | undefined } | undefined => {
    const link = sessions.open === 0 ? undefined : sessions.take(user);
    if (link === undefined) return speaksHttp2 ? { cancel: sessions.wait(user, dialForAll) } : undefined;
    user.onUpstreamReady(link);
    return { cancel: undefined };
  };

  return {
    home,
    acquire: (user, fresh, now) => {
      staleAt = Infinity;
      const stream = target.speaks === 'HTTP1' ? undefined : acquireStream(user);
      if (stream !== undefined) return stream.cancel;
      const upstream = fresh ? undefined : takeIdle(now);
      if (upstream === undefined) return dialFor(user);
      upstream.user = user;
      user.onUpstreamReady(upstream);
      return undefined;
    },
    markStale: () => {
      staleAt = monotonic() + STALE_MS;
    },
    close: () => {
      closed = true;
      closeIdle(() => true);
      sessions.close();
      sweep.remove(swept);
    },
    get idle() {
      return idle.length + sessions.idle;
    },
    get open() {
      return open.size + sessions.open;
    },
  };
}
