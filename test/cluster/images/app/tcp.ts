/** Ports that accept connections and say nothing, as TCP probes want them; closed and opened again as the app is told. */
import { createServer, type Server } from 'node:net';

export interface TcpPorts {
  open(): void;
  close(): void;
}

export function createTcpPorts(ports: readonly number[], host: string): TcpPorts {
  let servers: readonly Server[] = [];
  const listen = (port: number): Server =>
    createServer(socket => {
      console.log(JSON.stringify({ tcp: port, from: socket.remoteAddress }));
      socket.on('error', () => undefined).end();
    }).listen(port, host);
  return {
    open() {
      if (servers.length === 0) servers = ports.map(listen);
    },
    close() {
      for (const server of servers) server.close();
      servers = [];
    },
  };
}
