/**
 * A process of its own inside the machine: takes connections at a port of 127.0.0.1 outside, whose listening socket it is
 * handed, and connects each to the address inside that its arguments name. A socket stays in the namespace it was made in.
 */
import { type Server, connect } from 'node:net';

const [host = '', port = ''] = process.argv.slice(2);

process.once('message', (_message, handle) => {
  const server = handle as Server;
  server.on('connection', outside => {
    const inside = connect(Number(port), host);
    outside.pipe(inside).pipe(outside);
    outside.on('error', () => inside.destroy());
    inside.on('error', () => outside.destroy());
    outside.on('close', () => inside.destroy());
    inside.on('close', () => outside.destroy());
  });
  process.send?.('taken');
});
