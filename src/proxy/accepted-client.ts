/** What every connection of a client is, whatever is spoken over it. */
import type { Socket } from 'node:net';
import type { Peer } from '../trust/trust.ts';
import type { Handshake } from './handshake.ts';
import type { ActiveListener, Listener } from './listener.ts';
import type { Shared } from './shared.ts';
import type { JudgedClient } from './trusted-peers.ts';

export interface ClientSocket {
  /** Plain, or TLS on top of `raw`. */
  readonly socket: Socket;
  readonly raw: Socket;
  /** Folded text of the peer's address. */
  readonly peer: string;
  /** The address of the pod that it connected to; absent where the app is elsewhere in any case. */
  readonly dialled?: string | undefined;
  /** Absent on plaintext. */
  readonly handshake?: Handshake | undefined;
}

export abstract class AcceptedClient implements JudgedClient {
  readonly shared: Shared;
  readonly listener: Listener;
  readonly socket: Socket;
  /** The TCP socket, the same as `socket` on plaintext. */
  readonly raw: Socket;
  readonly peer: string;
  readonly dialled: string | undefined;
  readonly handshake: Handshake | undefined;
  peerTrust: { readonly active: ActiveListener; readonly trusted: boolean } | undefined;
  stranger: Peer | undefined;

  constructor({ socket, raw, peer, dialled, handshake }: ClientSocket, listener: Listener, shared: Shared) {
    this.shared = shared;
    this.listener = listener;
    this.socket = socket;
    this.raw = raw;
    this.peer = peer;
    this.dialled = dialled;
    this.handshake = handshake;
  }
}
