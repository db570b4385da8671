/** HTTPS by files that may change while the server runs, as mounted Secrets and ConfigMaps do. */
import { existsSync, readFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { type Server, createServer } from 'node:https';

const LOOK_MS = 1000;

/**
 * TLS_CERT, TLS_KEY: files. TLS_CA: clients without a certificate below it are refused. TLS_PORT: where to listen, default
 * 8443. SIGTERM lets what is in flight end.
 */
export function serveByFiles(listener: RequestListener): Server {
  const { env } = process;
  const read = (): { cert: string; key: string; ca?: string } => ({
    cert: readFileSync(env['TLS_CERT'] ?? '', 'utf8'),
    key: readFileSync(env['TLS_KEY'] ?? '', 'utf8'),
    ...(env['TLS_CA'] === undefined ? {} : { ca: readFileSync(env['TLS_CA'], 'utf8') }),
  });
  const isMutual = env['TLS_CA'] !== undefined;
  let now = read();
  const server = createServer({ ...now, requestCert: isMutual, rejectUnauthorized: isMutual }, listener);
  server.on('tlsClientError', error => console.log(JSON.stringify({ refused: error.message })));
  const looking = setInterval(() => {
    if (env['TLS_CA'] !== undefined && !existsSync(env['TLS_CA'])) return; // between two versions of a volume
    const next = read();
    if (JSON.stringify(next) === JSON.stringify(now)) return;
    now = next;
    server.setSecureContext(next);
    console.log(JSON.stringify({ reloaded: Date.now() }));
  }, LOOK_MS);
  server.listen(Number(env['TLS_PORT'] ?? 8443), '::');
  process.on('SIGTERM', () => {
    clearInterval(looking);
    server.close(() => process.exit(0));
  });
  return server;
}
