/** The health port: /livez, /readyz, /metrics, the public keys of signed contexts, and the probes of the app that were moved here. Says nothing that an attacker could use, and never depends on the app. */
import type { ReplayProbe } from './probe-replays.ts';
import { asText, type ServiceHandler } from './service-port.ts';

export interface HealthDeps {
  /** Why the sidecar is not ready; empty: it is. Fixed words, and addresses of the command line. */
  readonly problems: () => readonly string[];
  readonly exposition: () => Promise<string>;
  /** Absent: no probes were moved. */
  readonly replayProbe?: ReplayProbe;
  /** Of signed contexts; absent: there are none. */
  readonly publicKeys?: (() => readonly object[]) | undefined;
}

/** RFC 7517 section 8.5. */
const KEY_SET = 'application/jwk-set+json';

const OPEN_METRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

export function createHealthHandler({ problems, exposition, replayProbe, publicKeys }: HealthDeps): ServiceHandler {
  return async ({ method, path, userAgent }) => {
    if (method !== 'GET' && method !== 'HEAD') return asText(405, 'method not allowed\n');
    switch (path) {
      case '/livez':
        return asText(200, 'ok\n');
      case '/readyz': {
        const found = problems();
        return found.length === 0 ? asText(200, 'ok\n') : asText(503, `${found.join('\n')}\n`);
      }
      case '/metrics':
        return { status: 200, contentType: OPEN_METRICS, body: await exposition() };
      case '/.well-known/jwks.json':
        return { status: 200, contentType: KEY_SET, body: JSON.stringify({ keys: publicKeys?.() ?? [] }) };
      default: {
        const replay = method === 'GET' ? replayProbe?.(path, userAgent) : undefined;
        return (await replay) ?? asText(404, 'not found\n');
      }
    }
  };
}
