/** Bytes between a client and the app, unread: with back-pressure and half-close, and cut on both sides when one breaks. */
import type { Socket } from 'node:net';
import type { Reason } from '../api/reasons.ts';
import type { AppTarget } from './app-target.ts';
import { dial, type DialDeps, type Dialled } from './dial.ts';
import { resetSocket } from './reset-socket.ts';
import type { Sweep, Sweepable } from './sweep.ts';

export interface TcpStream {
  /** Bytes from the client, and to it. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Ends both sides so that neither takes what it got for the whole. */
  reset(): void;
}

export interface TcpStreamOptions {
  /** Plain, or TLS on top of `raw`; nothing of it was read. */
  readonly client: Socket;
  readonly raw: Socket;
  readonly target: AppTarget;
  readonly dialling: DialDeps;
  readonly sweep: Sweep;
  readonly monotonic: () => number;
  /** Longest silence of both sides, milliseconds; Infinity: keep-alive of TCP alone. */
  readonly idleMs: number;
  /** The app could not be reached; both sides end. */
  readonly onFailed?: (reason: Reason) => void;
  /** Once, when both sides are gone. */
  readonly onClosed?: () => void;
}

export function openTcpStream(options: TcpStreamOptions): TcpStream {
  const { client, raw, target, dialling, sweep, monotonic, idleMs } = options;
  let app: Socket | undefined;
  let [bytesIn, bytesOut] = [0, 0];
  let heardAt = monotonic();
  let closed = false;

  const reset = (): void => {
    cancel();
    // Below TLS too: no close_notify, so that the truncation is visible.
    if (!raw.destroyed) resetSocket(raw);
    client.destroy();
    if (app !== undefined && !app.destroyed) resetSocket(app);
  };
  const swept: Sweepable = {
    sweep: now => {
      if (now - heardAt >= idleMs) reset();
    },
  };
  const settle = (): void => {
    if (closed || !client.destroyed || (app !== undefined && !app.destroyed)) return;
    closed = true;
    sweep.remove(swept);
    options.onClosed?.();
  };
  const join = (result: Dialled): void => {
    if ('reason' in result) {
      options.onFailed?.(result.reason);
      return reset();
    }
    const connected = result.socket;
    app = connected;
    connected.on('error', () => undefined);
    result.deliverTo({
      receive: chunk => {
        heardAt = monotonic();
        bytesOut += chunk.length;
        // A copy: the next read of any app connection writes over the chunk.
        if (!client.write(Buffer.from(chunk))) connected.pause();
      },
    });
    connected.on('drain', () => client.resume());
    connected.on('end', () => client.end());
    connected.on('close', () => {
      // A FIN was passed on; anything else is passed on as what it is.
      if (connected.readableEnded) client.destroySoon();
      else reset();
      settle();
    });
    client.on('drain', () => connected.resume());
    client.on('data', (chunk: Buffer) => {
      heardAt = monotonic();
      bytesIn += chunk.length;
      if (!connected.write(chunk)) client.pause();
    });
    client.on('end', () => connected.end());
    client.resume();
  };

  // What comes before there is somebody to give it to, waits in the socket.
  client.pause();
  const cancel = dial(target, dialling, join);
  client.on('error', () => undefined);
  client.on('close', () => {
    if (!client.readableEnded || !client.writableFinished) reset();
    settle();
  });
  sweep.add(swept);
  return {
    get bytesIn() {
      return bytesIn;
    },
    get bytesOut() {
      return bytesOut;
    },
    reset,
  };
}
