/** Kind PolicyTest: requests and the answers that the policies of a namespace must give. */
import { REASON_NAMES } from '../reasons.ts';
import {
  boolean,
  defaulted,
  enumeration,
  integer,
  json,
  list,
  map,
  object,
  optional,
  required,
  string,
  type Infer,
} from '../schema.ts';
import { headerName, hostName, objectName, onlyTrue } from './shared.ts';

const text = (description: string, maxLength = 1024) => string({ description, maxLength });

const request = object(
  {
    method: defaulted(
      string({
        description: 'The method.',
        minLength: 1,
        maxLength: 64,
        pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
        patternText: 'an HTTP token, for example POST',
      }),
      'GET',
    ),
    path: required(
      string({
        description: 'The path as a client sends it, without the query.',
        example: '/v1/devices/robot-7/telemetry',
        minLength: 1,
        maxLength: 2048,
        pattern: '^/.*$',
        patternText: 'a path that begins with /',
      }),
    ),
    host: optional({ ...hostName, description: 'The host of the request. Default: the first of the Api’s hosts.' }),
    headers: optional(
      map(text('A header’s value.', 8192), {
        description: 'Headers by name.',
        maxProperties: 64,
        maxKeyLength: 128,
        keys: headerName,
      }),
    ),
    query: optional(
      map(text('A parameter’s value.', 4096), {
        description: 'Query parameters by name.',
        maxProperties: 64,
        maxKeyLength: 256,
      }),
    ),
    body: optional(text('The body, as text.', 65_536)),
  },
  { description: 'The request.' },
);

const claims = json({
  description: 'Claims of the token; iss, exp, nbf and iat have defaults that are accepted.',
  maxBytes: 16_384,
});

const token = object(
  {
    issuer: required({ ...objectName, description: 'The TokenIssuer that is taken to have signed it.' }),
    claims: optional(claims),
    expired: defaulted(boolean({ description: 'Whether it ended an hour ago.' }), false),
  },
  { description: 'A token with a good signature, sent where the first jwt step that takes its issuer reads it.' },
);

const names = (what: string) => list(text(what, 512), { description: `${what}s.`, maxItems: 16 });

const certificate = object(
  {
    subject: optional(
      map(text('An attribute’s value.', 256), {
        description: 'Attributes of the subject by their names: CN, O, OU and so on.',
        maxProperties: 16,
        maxKeyLength: 32,
      }),
    ),
    subjectAltName: optional(
      object(
        {
          uri: optional(names('URI')),
          dns: optional(names('DNS name')),
          email: optional(names('e-mail address')),
          ip: optional(names('IP address')),
        },
        { description: 'Subject alternative names.' },
      ),
    ),
    sha1: optional(
      string({
        description: 'SHA-1 thumbprint; default: made from the subject.',
        minLength: 40,
        maxLength: 59,
        pattern: '^([0-9A-Fa-f]{2}[: ]?){19}[0-9A-Fa-f]{2}$',
        patternText: '40 hexadecimal digits',
      }),
    ),
    trust: optional({
      ...objectName,
      description: 'The ClientTrust by which it is good; by every other it is untrusted. Default: every.',
    }),
    revoked: defaulted(boolean({ description: 'Whether a revocation list of that ClientTrust names it.' }), false),
  },
  { description: 'A certificate of the handshake, whose chain and dates are good.' },
);

const deviceAuth = object(
  {
    status: optional(integer({ description: 'The answer’s status.', minimum: 100, maximum: 599 })),
    body: optional(
      json({ description: 'The answer’s JSON object. Default: the deviceId that was asked for.', maxBytes: 16_384 }),
    ),
    unreachable: optional(onlyTrue('The service does not answer.')),
  },
  {
    description: 'What the device-auth service answers. Absent: the service does not answer.',
    exactlyOneOf: [['status', 'unreachable']],
  },
);

const caseName = string({
  description: 'What the case is about.',
  minLength: 1,
  maxLength: 128,
  pattern: '^[^\\x00-\\x1f\\x7f]+$',
  patternText: 'text without control characters',
});

const given = object(
  {
    request: required(request),
    sourceIp: defaulted(
      string({
        description: 'The client’s address, source.ip.',
        minLength: 2,
        maxLength: 45,
        pattern: '^[0-9A-Fa-f:.]+$',
        patternText: 'an IP address',
        holds: 'address',
      }),
      '192.0.2.1',
    ),
    token: optional(token),
    certificate: optional(certificate),
    deviceAuth: optional(deviceAuth),
    subscription: optional({
      ...objectName,
      description: 'The Subscription whose key is sent, where the first subscription step reads it.',
    }),
    signature: optional(
      enumeration(['Valid', 'Invalid'], { description: 'A signature, where the first hmacSignature step reads it.' }),
    ),
    now: optional(
      string({
        description: 'When the request comes; default: when the test runs.',
        minLength: 20,
        maxLength: 35,
        holds: 'time',
        example: '2026-11-23T00:00:00Z',
      }),
    ),
  },
  { description: 'What comes in. What is not given is not there: no token, no certificate.' },
);

const expect = object(
  {
    verdict: optional(enumeration(['Permit', 'AuditPermit', 'Deny', 'Respond'], { description: 'The verdict.' })),
    status: optional(
      integer({ description: 'The status of a denial or a response of ours.', minimum: 100, maximum: 599 }),
    ),
    reason: optional(enumeration(REASON_NAMES, { description: 'The reason of a denial.' })),
    step: optional(
      string({ description: 'The step that denied or answered: step, or policy/step.', minLength: 1, maxLength: 130 }),
    ),
    headers: optional(
      map(text('The value; empty: the app does not get the header.', 8192), {
        description: 'Headers that the app gets, of a permitted request.',
        maxProperties: 64,
        maxKeyLength: 128,
        keys: headerName,
      }),
    ),
  },
  {
    description: 'What must come out. What is not named is not compared.',
    atLeastOneOf: [['verdict', 'status', 'reason', 'step', 'headers']],
  },
);

export const policyTestSpec = object(
  {
    gate: defaulted(
      boolean({
        description:
          'While a case fails, sidecars keep the last generation of this namespace’s AuthPolicies that passed. Cluster policies, keys, revocations and Secrets are never held back.',
      }),
      false,
    ),
    cases: required(
      list(
        object(
          {
            name: required(caseName),
            given: required(given),
            expect: required(expect),
          },
          { description: 'One request and its answer.' },
        ),
        { description: 'Cases, each judged by itself; counters start empty.', minItems: 1, maxItems: 128, key: 'name' },
      ),
    ),
  },
  { description: 'Requests and the answers that policies must give, run by check and by the controller.' },
);

export type PolicyTestSpec = Infer<typeof policyTestSpec>;
export type PolicyTestCase = PolicyTestSpec['cases'][number];
