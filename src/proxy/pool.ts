/** Connections to one target that are kept between exchanges. The last one used is used first, so that spare ones go idle. */
import type { AppTarget } from './app-target.ts';
import { dial, type DialDeps, type CancelDial } from './dial.ts';
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
}

export function createPool(target: AppTarget, { dialling, monotonic, sweep }: PoolDeps): Pool {
  const idle: Upstream[] = [];
  const open = new Set<Upstream>();
  let closed = false;
  let staleAt = Infinity;

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
  const dialFor = (user: UpstreamUser): CancelDial =>
    dial(target, dialling, result => {
      if ('reason' in result) return user.onUpstreamFailed(result.reason, result.problem);
      const upstream = new Upstream(result.socket, result.reading, home);
      result.deliverTo(upstream);
      open.add(upstream);
      upstream.user = user;
      user.onUpstreamReady(upstream);
    });

  return {
    home,
    acquire: (user, fresh, now) => {
      staleAt = Infinity;
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
      sweep.remove(swept);
    },
    get idle() {
      return idle.length;
    },
    get open() {
      return open.size;
    },
  };
}
