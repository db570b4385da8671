/** Steps that know callers by a shared secret (P9, P10). */
import {
  boolean,
  defaulted,
  duration,
  enumeration,
  list,
  object,
  optional,
  quantity,
  required,
  string,
  type Infer,
} from '../schema.ts';
import { headerName, keyRef, queryName } from './shared.ts';

const SECOND = 1000;
const DAY = 86400 * SECOND;

export const subscriptionStep = object({
  header: defaulted(
    {
      ...headerName,
      description: 'The header that carries the key; empty everywhere: 401 SubscriptionKeyNotFound.',
      example: 'X-Api-Key',
    },
    'Ocp-Apim-Subscription-Key',
  ),
  query: optional({
    ...queryName,
    description:
      'The query parameter that is looked at when the header is empty; absent: none. URLs are logged in many places, so prefer the header.',
    example: 'subscription-key',
  }),
});
export type SubscriptionStep = Infer<typeof subscriptionStep>;

const GENERAL = [
  'header',
  'prefix',
  'encoding',
  'algorithm',
  'keyEncoding',
  'payload',
  'timestampHeader',
  'idHeader',
] as const;

const hasNone = (value: Readonly<Record<string, unknown>>): boolean => !GENERAL.some(name => name in value);

export const hmacSignatureStep = object(
  {
    preset: optional(
      enumeration(['GitHub', 'Stripe', 'Slack', 'StandardWebhooks'], {
        description:
          'Whose scheme it is: GitHub (X-Hub-Signature-256), Stripe (Stripe-Signature), Slack (X-Slack-Signature), StandardWebhooks (webhook-signature). Instead of header and what goes with it.',
      }),
    ),
    header: optional({
      ...headerName,
      description: 'The header that carries the signature; missing: 401 SignatureNotPresent.',
      example: 'X-Signature',
    }),
    prefix: optional(
      string({
        description: 'What stands before the signature in the header. Absent: nothing.',
        example: 'sha256=',
        minLength: 1,
        maxLength: 64,
        pattern: '^[!-~]+$',
        patternText: 'visible ASCII without spaces',
      }),
    ),
    encoding: optional(
      enumeration(['Hex', 'Base64'], { description: 'How the signature is written; default Hex, in any case.' }),
    ),
    algorithm: optional(
      enumeration(['SHA256', 'SHA1', 'SHA512'], { description: 'The hash of the HMAC; default SHA256.' }),
    ),
    keyEncoding: optional(
      enumeration(['Text', 'Base64', 'Hex'], {
        description:
          'How keys are written; default Text: its UTF-8 bytes are the key. One line break at the end does not count.',
      }),
    ),
    payload: optional(
      string({
        description:
          'What is signed: text with ${body}, ${timestamp} and ${id}, which stand for raw bytes as they were received. It must hold ${body} once. One signature must not be good for two messages: between ${body} and each other part stands a literal, beside ${timestamp} no digit, and an id that holds the literal on its side of the body is 401 SignatureInvalid (so is a webhook-id with a dot). Default ${body}.',
        example: '${timestamp}.${body}',
        minLength: 1,
        maxLength: 256,
        holds: 'signedPayload',
      }),
    ),
    timestampHeader: optional({
      ...headerName,
      description:
        'The header of ${timestamp}, seconds since 1970, in digits without leading zeros; outside tolerance: 401 SignatureExpired.',
      example: 'X-Timestamp',
    }),
    idHeader: optional({ ...headerName, description: 'The header of ${id}.', example: 'X-Message-Id' }),
    keys: required(
      list(object({ secretKeyRef: required({ ...keyRef, description: 'A key of a Secret.' }) }), {
        description:
          'Shared keys, any one of which may have signed: replace one while another is in use. While one is missing, what the others did not sign is 503 KeysUnavailable.',
        example: [{ secretKeyRef: { name: 'github', key: 'webhook' } }],
        minItems: 1,
        maxItems: 16,
      }),
    ),
    tolerance: defaulted(
      duration({
        description: 'How far the signed time may lie from now, to both sides.',
        minimumMs: SECOND,
        maximumMs: DAY,
      }),
      '300s',
    ),
    maxBody: defaulted(
      quantity({
        description: 'Longest body; it is held in memory until it is verified. More is 413 BodyTooLarge.',
        minimumBytes: 0,
        maximumBytes: 16777216,
      }),
      '1Mi',
    ),
    rejectReplays: defaulted(
      boolean({
        description:
          'Whether a message that was seen is 401 SignatureReplayed, for twice the tolerance. Each pod remembers for itself, until it is restarted. A sender that repeats the very same message is refused too. GitHub signs no time and no id: after twice the tolerance, or a restart, its message passes again.',
      }),
      false,
    ),
  },
  {
    exactlyOneOf: [['preset', 'header']],
    rules: [
      {
        cel: `!has(self.preset) || !(${GENERAL.slice(1)
          .map(name => `has(self.${name})`)
          .join(' || ')})`,
        test: v => !('preset' in v) || hasNone(v),
        field: 'preset',
        problem: 'preset stands beside prefix, encoding, algorithm, keyEncoding, payload, timestampHeader or idHeader',
        fix: 'remove them, or preset',
      },
      {
        cel: "has(self.timestampHeader) == (has(self.payload) && self.payload.contains('${timestamp}'))",
        test: v => 'timestampHeader' in v === holdsPart(v, '${timestamp}'),
        field: 'timestampHeader',
        problem:
          'timestampHeader and ${timestamp} in payload belong together: a time that is not signed proves nothing',
        fix: 'write both, or neither',
      },
      {
        cel: "has(self.idHeader) == (has(self.payload) && self.payload.contains('${id}'))",
        test: v => 'idHeader' in v === holdsPart(v, '${id}'),
        field: 'idHeader',
        problem: 'idHeader and ${id} in payload belong together',
        fix: 'write both, or neither',
      },
    ],
  },
);
export type HmacSignatureStep = Infer<typeof hmacSignatureStep>;

const holdsPart = ({ payload }: Readonly<Record<string, unknown>>, part: string): boolean =>
  typeof payload === 'string' && payload.includes(part);
