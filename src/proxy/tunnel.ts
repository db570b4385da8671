/** A WebSocket after its 101: bytes pass both ways unread, with back-pressure and half-close. */
import type { Socket } from 'node:net';

export interface Tunnel {
  fromClient(chunk: Buffer): void;
  fromApp(chunk: Buffer): void;
  clientEnded(): void;
  appEnded(): void;
}

export interface TunnelEnds {
  readonly client: Socket;
  readonly app: Socket;
  readonly exchange: { bytesOut: number; readonly body: { bytes: number } };
}

export function openTunnel({ client, app, exchange }: TunnelEnds): Tunnel {
  return {
    fromClient: chunk => {
      exchange.body.bytes += chunk.length;
      if (!app.write(chunk)) client.pause();
    },
    fromApp: chunk => {
      exchange.bytesOut += chunk.length;
      // A copy: the next read of any app connection writes over the chunk.
      if (!client.write(Buffer.from(chunk))) app.pause();
    },
    clientEnded: () => void app.end(),
    appEnded: () => void client.end(),
  };
}
