/**
 * Whose token it is: the API server's word (TokenReview), for tokens that were made for us and are bound to a pod. A token
 * that is bound to nothing passes TokenReview too, and could be shown for every pod of its service account.
 */
import { createHash } from 'node:crypto';
import { CONTROLLER_AUDIENCE } from '../api/names.ts';
import type { KubeClient } from '../kube/client.ts';
import { isRecord } from '../kube/objects.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';

export interface Bearer {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Absent: the token is bound to no pod. */
  readonly pod?: { readonly name: string; readonly uid: string };
}

export type Authentication =
  | { readonly bearer: Bearer }
  /** Refused: the token is not good. Undecided: the API server could not say. */
  | { readonly failure: 'Refused' | 'Undecided'; readonly problem: string };

export interface Authenticator {
  /** `header`: Authorization, as it came. */
  authenticate(header: string | undefined): Promise<Authentication>;
}

export interface AuthenticatorOptions {
  readonly client: KubeClient;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Milliseconds. */
  readonly clock: () => number;
}

const MAX_TOKEN = 16 * 1024;
/** Reviews that wait at once: more are refused, so that a flood of tokens does not become one at the API server. */
const MOST_REVIEWS = 64;
const REMEMBER_MS = 10_000;
const MOST_REMEMBERED = 4096;

export function createAuthenticator({ client, log, metrics, clock }: AuthenticatorOptions): Authenticator {
  const remembered = new Map<string, { readonly bearer: Bearer; readonly until: number }>();
  let reviews = 0;

  async function review(token: string): Promise<Authentication> {
    if (reviews >= MOST_REVIEWS) return { failure: 'Undecided', problem: 'too many tokens are being reviewed' };
    reviews += 1;
    const startedAt = clock();
    try {
      const answer = await client.request<unknown>('POST', '/apis/authentication.k8s.io/v1/tokenreviews', {
        body: {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenReview',
          spec: { token, audiences: [CONTROLLER_AUDIENCE] },
        },
        timeoutMs: 10_000,
      });
      return readReview(answer);
    } catch (error) {
      log.warn({ problem: error instanceof Error ? error.message : 'failed' }, 'a token cannot be reviewed');
      return { failure: 'Undecided', problem: 'the API server could not review the token' };
    } finally {
      reviews -= 1;
      metrics.observe('sallyport_controller_token_review_duration_seconds', (clock() - startedAt) / 1000);
    }
  }

  return {
    async authenticate(header) {
      const token = readToken(header);
      if (token === undefined) return { failure: 'Refused', problem: 'there is no bearer token' };
      if (!claimsOurAudience(token)) return { failure: 'Refused', problem: NOT_FOR_US };
      const key = createHash('sha256').update(token).digest('base64');
      const known = remembered.get(key);
      if (known !== undefined && known.until > clock()) return { bearer: known.bearer };
      const result = await review(token);
      const outcome = 'bearer' in result ? 'Accepted' : result.failure;
      metrics.count('sallyport_controller_token_reviews_total', { outcome });
      if ('bearer' in result) {
        if (remembered.size >= MOST_REMEMBERED) remembered.clear();
        remembered.set(key, { bearer: result.bearer, until: clock() + REMEMBER_MS });
      }
      return result;
    },
  };
}

const NOT_FOR_US = `the token is not valid for the audience ${CONTROLLER_AUDIENCE}`;

function readToken(header: string | undefined): string | undefined {
  const match = /^Bearer ([A-Za-z0-9_.-]+)$/.exec((header ?? '').slice(0, MAX_TOKEN));
  return header !== undefined && header.length <= MAX_TOKEN ? match?.[1] : undefined;
}

/** Says no to what cannot be ours before anybody is asked; says yes to nothing: that is the API server's to say. */
function claimsOurAudience(token: string): boolean {
  const [, payload = ''] = token.split('.');
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString());
    const audience = isRecord(claims) ? claims['aud'] : undefined;
    return Array.isArray(audience) ? audience.includes(CONTROLLER_AUDIENCE) : audience === CONTROLLER_AUDIENCE;
  } catch {
    return false;
  }
}

const USER = /^system:serviceaccount:([a-z0-9-]+):([a-z0-9.-]+)$/;

function readReview(answer: unknown): Authentication {
  const status = isRecord(answer) && isRecord(answer['status']) ? answer['status'] : {};
  const user = isRecord(status['user']) ? status['user'] : {};
  const audiences = Array.isArray(status['audiences']) ? status['audiences'] : [];
  // A server that knows no audiences returns none, and says authenticated all the same.
  if (status['authenticated'] !== true || !audiences.includes(CONTROLLER_AUDIENCE)) {
    return { failure: 'Refused', problem: NOT_FOR_US };
  }
  const [, namespace, serviceAccount] = USER.exec(String(user['username'])) ?? [];
  if (namespace === undefined || serviceAccount === undefined) {
    return { failure: 'Refused', problem: 'the token is no service account’s' };
  }
  const extra = isRecord(user['extra']) ? user['extra'] : {};
  const only = (name: string): string | undefined => {
    const values = extra[`authentication.kubernetes.io/${name}`];
    return Array.isArray(values) && values.length === 1 && typeof values[0] === 'string' ? values[0] : undefined;
  };
  const [name, uid] = [only('pod-name'), only('pod-uid')];
  const pod = name === undefined || uid === undefined ? undefined : { name, uid };
  return { bearer: { namespace, serviceAccount, ...(pod === undefined ? {} : { pod }) } };
}
