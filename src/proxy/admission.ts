/** How many connections are open, in all and from each peer, within the limits of a port. */
import type { Socket } from 'node:net';
import type { ApiLimits } from '../api/kinds/api.ts';

export type Limits = Pick<ApiLimits, 'connections' | 'perPeerConnections'>;

export interface Admission {
  readonly sockets: ReadonlySet<Socket>;
  /** Undefined: it counts from now on until it is closed. */
  admit(socket: Socket, peer: string, limits: Limits): 'Connections' | 'PerPeerConnections' | undefined;
  /** The two halves of it, where the peer is known later than the connection. True: it counts. */
  admitSocket(socket: Socket, limits: Limits): boolean;
  admitPeer(socket: Socket, peer: string, limits: Limits): boolean;
}

export function createAdmission(): Admission {
  const sockets = new Set<Socket>();
  const perPeer = new Map<string, number>();
  const admission: Admission = {
    sockets,
    admit: (socket, peer, limits) => {
      if (!admission.admitSocket(socket, limits)) return 'Connections';
      return admission.admitPeer(socket, peer, limits) ? undefined : 'PerPeerConnections';
    },
    admitSocket: (socket, limits) => {
      if (sockets.size >= limits.connections) return false;
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      return true;
    },
    admitPeer: (socket, peer, limits) => {
      const fromPeer = perPeer.get(peer) ?? 0;
      if (fromPeer >= limits.perPeerConnections) return false;
      perPeer.set(peer, fromPeer + 1);
      socket.once('close', () => {
        const left = (perPeer.get(peer) ?? 1) - 1;
        if (left === 0) perPeer.delete(peer);
        else perPeer.set(peer, left);
      });
      return true;
    },
  };
  return admission;
}
