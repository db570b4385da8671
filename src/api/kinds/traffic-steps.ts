/** Steps that look at where a request comes from and how many there are (P7, P8). */
import {
  boolean,
  defaulted,
  duration,
  enumeration,
  integer,
  list,
  object,
  optional,
  required,
  string,
  type Infer,
} from '../schema.ts';
import { celExpression, template } from './shared.ts';

const SECOND = 1000;
const DAY = 86400 * SECOND;

const addresses = string({
  description: 'One address, a range in CIDR notation, or FIRST-LAST, both included.',
  minLength: 2,
  maxLength: 91,
  holds: 'addressRange',
});

export const ipFilterStep = object(
  {
    allow: optional(
      list(addresses, {
        description:
          'Addresses that may pass; any other is 403 AddressNotAllowed. Absent: every address that deny does not hold.',
        example: ['203.0.113.0/24', '198.51.100.7-198.51.100.20'],
        minItems: 1,
        maxItems: 10000,
      }),
    ),
    deny: defaulted(
      list(addresses, {
        description: 'Addresses that are 403 AddressBlocked; looked at first.',
        example: ['203.0.113.66'],
        maxItems: 10000,
      }),
      [],
    ),
  },
  {
    rules: [
      {
        cel: 'has(self.allow) || self.deny.size() > 0',
        test: v => 'allow' in v || (v['deny'] as readonly unknown[]).length > 0,
        field: '',
        problem: 'lists no address, so it would let everybody pass',
        fix: 'write allow, deny or both',
      },
    ],
  },
);
export type IpFilterStep = Infer<typeof ipFilterStep>;

const scope = defaulted(
  enumeration(['Pod', 'Workload', 'Shared'], {
    description:
      'Pod: each pod counts for itself, so the whole is this times the pods; counters are lost on restart. Workload: the same, divided by the ready pods. Shared: counted in the sharedStore of a ClusterAuthPolicy, over all pods and restarts.',
  }),
  'Pod',
);
const key = defaulted(
  { ...template, description: 'Whom a counter belongs to; default: everything together.', example: '${source.ip}' },
  '',
);
const maxKeys = defaulted(
  integer({
    description: 'Most keys with a counter of their own in one pod, 20 bytes each; past it new keys share one.',
    minimum: 1,
    maximum: 10000000,
  }),
  100000,
);
const countWhen = optional({
  ...celExpression,
  description:
    'CEL over response (status, headers) and what else is known by then: a call is admitted by looking, and counted when its answer comes if this is true. One that fails, or a client that leaves before, counts. Absent: every admitted call counts at once.',
  example: 'response.status < 500',
});
const period = (what: string) => duration({ description: what, example: '60s', minimumMs: SECOND, maximumMs: DAY });

export const rateLimitStep = object({
  calls: required(
    integer({
      description: 'Calls per period, and the burst; more are 429 RateLimitExceeded.',
      minimum: 1,
      maximum: 1000000,
    }),
  ),
  period: required(period('The period, 1s to 24h.')),
  key,
  maxKeys,
  headers: defaulted(
    boolean({
      description: 'Whether answers carry RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers).',
    }),
    false,
  ),
  countWhen,
  scope,
});
export type RateLimitStep = Infer<typeof rateLimitStep>;

export const quotaStep = object({
  calls: required(
    integer({
      description: 'Calls in a window; more are 403 QuotaExceeded with Retry-After.',
      minimum: 1,
      maximum: 1000000000,
    }),
  ),
  period: required(period('Length of the window, 1s to 24h, from the first counted call on.')),
  key,
  maxKeys,
  countWhen,
  scope,
});
export type QuotaStep = Infer<typeof quotaStep>;

export const concurrencyStep = object({
  max: required(
    integer({
      description:
        'Requests and streams that may be open at once; one more is 429 ConcurrencyExceeded. Each ends with its answer, however it ends.',
      minimum: 1,
      maximum: 1000000,
    }),
  ),
  key,
  scope,
});
export type ConcurrencyStep = Infer<typeof concurrencyStep>;
