/** The HTTP/2 connections to one target, filled one after another, and who waits for one that is being dialled. */
import type { Reason } from '../../api/reasons.ts';
import type { AppLink, UpstreamUser } from '../app-link.ts';
import type { CancelDial } from '../dial.ts';
import { AppSession, type SessionOptions } from './app-session.ts';
import type { Socket } from 'node:net';

/** So many share a dial; whoever comes later dials again. */
const MOST_WAITING = 100;

export interface AppSessions {
  /** A stream of a connection that has room; undefined: there is none. */
  take(user: UpstreamUser): AppLink | undefined;
  /** A connection that was dialled for `user` alone. */
  adopt(socket: Socket, user: UpstreamUser): void;
  /** Waits for `dial`, alone or with others. Gives what gives up. */
  wait(user: UpstreamUser, dial: (done: Waiting) => CancelDial): CancelDial;
  sweep(now: number, staleAt: number): void;
  /** Idle ones close; what is in use closes with its last stream. */
  close(): void;
  readonly idle: number;
  readonly open: number;
}

/** What became of a dial. */
export interface Waiting {
  failed(reason: Reason, problem: string): void;
  /** The app speaks HTTP/2. */
  opened(socket: Socket): void;
  /** It does not: everybody who waits is to be served otherwise. */
  declined(serve: (user: UpstreamUser) => void): void;
}

interface Dial {
  readonly users: Set<UpstreamUser>;
  cancel: CancelDial | undefined;
}

export function createAppSessions(options: SessionOptions): AppSessions {
  const sessions = new Set<AppSession>();
  const home = { forget: (session: AppSession): void => void sessions.delete(session) };
  let current: Dial | undefined;
  let closed = false;

  const take = (user: UpstreamUser): AppLink | undefined => {
    for (const session of sessions) if (session.hasRoom) return session.open(user);
    return undefined;
  };
  const add = (socket: Socket): AppSession => {
    const session = new AppSession(socket, home, options);
    sessions.add(session);
    return session;
  };
  const start = (dial: (done: Waiting) => CancelDial): Dial => {
    const under: Dial = { users: new Set(), cancel: undefined };
    const settle = (tell: (user: UpstreamUser) => void): void => {
      if (current === under) current = undefined;
      // Whoever is told may leave, or take somebody else along.
      for (const user of under.users) if (under.users.delete(user)) tell(user);
    };
    under.cancel = dial({
      failed: (reason, problem) => settle(user => user.onUpstreamFailed(reason, problem)),
      declined: serve => settle(serve),
      opened: socket => {
        const session = add(socket);
        settle(user => user.onUpstreamReady(session.open(user)));
        if (closed) session.retire();
      },
    });
    return under;
  };
  return {
    take,
    adopt: (socket, user) => user.onUpstreamReady(add(socket).open(user)),
    wait: (user, dial) => {
      if (current === undefined || current.users.size >= MOST_WAITING) current = start(dial);
      const mine = current;
      mine.users.add(user);
      return () => {
        mine.users.delete(user);
        if (mine.users.size > 0) return;
        mine.cancel?.();
        if (current === mine) current = undefined;
      };
    },
    sweep: (now, staleAt) => {
      for (const session of sessions) session.sweep(now, staleAt);
    },
    close: () => {
      closed = true;
      for (const session of sessions) session.retire();
    },
    get idle() {
      let idle = 0;
      for (const { streams } of sessions) if (streams === 0) idle++;
      return idle;
    },
    get open() {
      return sessions.size;
    },
  };
}
