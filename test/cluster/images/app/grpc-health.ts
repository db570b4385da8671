/** `grpc.health.v1.Health/Check`, as the kubelet's gRPC probes ask it: SERVING or NOT_SERVING, whatever the service. */
import { createServer } from 'node:http2';

const SERVING = 1;
const NOT_SERVING = 2;
/** A message stands behind a byte that says "not compressed" and its length. */
const PREFIX_BYTES = 5;

/** A message of two bytes: field 1 (status). */
const writeStatus = (isServing: boolean): Buffer => Buffer.from([0, 0, 0, 0, 2, 8, isServing ? SERVING : NOT_SERVING]);

/** Field 1 of the request, a string of less than 128 bytes; absent: empty. */
function readService(body: Buffer): string {
  const message = body.subarray(PREFIX_BYTES);
  return message[0] === 0x0a ? message.subarray(2, 2 + (message[1] ?? 0)).toString() : '';
}

export function startHealthService(port: number, host: string, isServing: () => boolean): void {
  const server = createServer();
  server.on('stream', (stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      const from = stream.session?.socket.remoteAddress;
      console.log(JSON.stringify({ grpc: headers[':path'], service: readService(Buffer.concat(chunks)), from }));
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(writeStatus(isServing()));
    });
  });
  server.listen(port, host);
}
