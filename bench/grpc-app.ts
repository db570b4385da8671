/** An app that answers unary calls of gRPC over HTTP/2 by prior knowledge: any message with the same one. */
import { createServer, type ServerHttp2Stream } from 'node:http2';

const MESSAGE = Buffer.concat([Buffer.from([0, 0, 0, 0, 64]), Buffer.alloc(64, 'a')]);
const HEAD = [':status', '200', 'content-type', 'application/grpc', 'x-powered-by', 'grpc'];

const server = createServer({ settings: { maxConcurrentStreams: 1000 } });
server.on('stream', (stream: ServerHttp2Stream) => {
  stream.on('error', () => undefined);
  stream.resume();
  stream.respond(HEAD, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(MESSAGE);
});
server.on('sessionError', () => undefined);
server.listen(Number(process.argv[2]), '127.0.0.1');
