/** What a port bears while no Api says how much: the defaults of api.md, which a test compares with the schema's. */
import type { ApiLimits } from '../api/kinds/api.ts';

const SECOND = 1000;

export const DEFAULT_LIMITS: ApiLimits = {
  headBytes: 64 * 1024,
  headers: 100,
  targetBytes: 16 * 1024,
  bodyBytes: 0,
  headTimeout: 10 * SECOND,
  bodyIdle: 60 * SECOND,
  clientIdle: 620 * SECOND,
  connections: 10_000,
  perPeerConnections: 1000,
};
