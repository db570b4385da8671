/** An unchanged app: HTTP at the addresses of its arguments (`8080`, `127.0.0.1:7070`), an echo of datagrams at `udp:53`. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:http';

for (const argument of process.argv.slice(2)) {
  const udp = /^udp:(\d+)$/.exec(argument)?.[1];
  if (udp !== undefined) {
    const socket = createSocket({ type: 'udp6', ipv6Only: false }).bind(Number(udp));
    socket.on('message', (message, from) => socket.send(message, from.port, from.address));
    continue;
  }
  const [, host, port] = /^(?:\[?([^\]]*?)\]?:)?(\d+)$/.exec(argument) ?? [];
  const server = createServer((request, response) => {
    const { 'x-forwarded-for': client = 'nobody' } = request.headers;
    response.end(`app at ${argument} for ${String(client)}\n`);
  });
  server.keepAliveTimeout = 60_000;
  server.listen(Number(port), host);
}
process.stdout.write('listening\n');
