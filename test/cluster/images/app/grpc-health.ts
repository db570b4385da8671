/** `grpc.health.v1.Health/Check`, as the kubelet's gRPC probes ask it: always SERVING. */
import { createServer } from 'node:http2';

/** A message: no compression, two bytes: field 1 (status) is 1 (SERVING). */
const SERVING = Buffer.from([0, 0, 0, 0, 2, 8, 1]);

export function startHealthService(port: number, host: string): void {
  const server = createServer();
  server.on('stream', (stream, headers) => {
    console.log(JSON.stringify({ grpc: headers[':path'] }));
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(SERVING);
  });
  server.listen(port, host);
}
