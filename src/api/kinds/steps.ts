/** The steps of a policy's request and response parts. Rules P1–P13 of the design say what they do. */
import {
  boolean,
  defaulted,
  duration,
  enumeration,
  integer,
  list,
  map,
  object,
  optional,
  quantity,
  required,
  string,
  unbuilt,
  type Infer,
} from '../schema.ts';
import { celExpression, headerName, memberName, objectName, template } from './shared.ts';

const SECOND = 1000;
const DAY = 86400 * SECOND;

const tokenLocation = object(
  {
    header: optional(headerName),
    scheme: optional(
      string({
        description:
          'Scheme before the token, compared without case; only with header. Absent: the whole value is the token.',
        minLength: 1,
        maxLength: 32,
        pattern: '^[A-Za-z][A-Za-z0-9-]*$',
        patternText: 'a word such as Bearer',
      }),
    ),
    query: optional(
      string({
        description: 'Name of a query parameter.',
        minLength: 1,
        maxLength: 64,
        pattern: '^[A-Za-z0-9._~-]+$',
        patternText: 'letters, digits, ., _, ~ and -',
      }),
    ),
    cookie: optional(
      string({
        description: 'Name of a cookie.',
        minLength: 1,
        maxLength: 64,
        pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
        patternText: 'a cookie name',
      }),
    ),
  },
  {
    exactlyOneOf: [['header', 'query', 'cookie']],
    rules: [
      {
        cel: '!has(self.scheme) || has(self.header)',
        test: v => !('scheme' in v) || 'header' in v,
        field: 'scheme',
        problem: 'scheme only goes with header',
        fix: 'remove scheme',
      },
    ],
  },
);

const requiredClaim = object({
  name: required(string({ description: 'A literal member name of the claim set.', minLength: 1, maxLength: 256 })),
  match: defaulted(enumeration(['All', 'Any']), 'All'),
  values: optional(
    list(string({ maxLength: 1024 }), {
      description: 'Absent: the claim must be present. scope and scp split on spaces.',
      minItems: 1,
      maxItems: 64,
      set: true,
    }),
  ),
  separator: optional(string({ description: 'Splits a string claim.', minLength: 1, maxLength: 8 })),
});

export const jwtStep = object(
  {
    issuers: required(
      list(objectName, {
        description: 'TokenIssuers, one of which must have issued the token.',
        minItems: 1,
        maxItems: 16,
        set: true,
      }),
    ),
    from: defaulted(
      list(tokenLocation, {
        description: 'Where the token is looked for. More than one filled is 400.',
        minItems: 1,
        maxItems: 8,
      }),
      [{ header: 'Authorization', scheme: 'Bearer' }],
    ),
    audiences: required(
      list(string({ minLength: 1, maxLength: 1024 }), {
        description: 'aud must hold one of them; [Any], alone, switches the check off and is shown in status.',
        minItems: 1,
        maxItems: 64,
        set: true,
      }),
    ),
    requiredClaims: defaulted(list(requiredClaim, { maxItems: 64 }), []),
    forwardToken: defaulted(boolean({ description: 'false: the token is removed before the app.' }), false),
    claimHeaders: defaulted(
      map(string({ description: 'A claim’s name.', minLength: 1, maxLength: 256 }), {
        description: 'Headers for the app, from claims.',
        maxProperties: 32,
        maxKeyLength: 128,
      }),
      {},
    ),
    boundToCertificate: defaulted(
      boolean({ description: 'Compares cnf.x5t#S256 with the handshake’s certificate (RFC 8705).' }),
      false,
    ),
  },
  {
    rules: [
      {
        cel: "self.audiences.size() == 1 || !self.audiences.exists(a, a == 'Any')",
        test: v =>
          (v['audiences'] as readonly string[]).length === 1 || !(v['audiences'] as readonly string[]).includes('Any'),
        field: 'audiences',
        problem: '"Any" stands beside other audiences',
        fix: 'write [Any] alone, or leave it out',
      },
    ],
  },
);
export type JwtStep = Infer<typeof jwtStep>;

const stringMatch = object(
  {
    exact: optional(string({ minLength: 1, maxLength: 1024 })),
    prefix: optional(string({ minLength: 1, maxLength: 1024 })),
    suffix: optional(string({ minLength: 1, maxLength: 1024 })),
  },
  { exactlyOneOf: [['exact', 'prefix', 'suffix']] },
);
export type StringMatch = Infer<typeof stringMatch>;

const identity = object(
  {
    subjectAltName: optional(
      object(
        {
          uri: optional(stringMatch),
          dns: optional(stringMatch),
          email: optional(stringMatch),
          ip: optional(stringMatch),
        },
        {
          atLeastOneOf: [['uri', 'dns', 'email', 'ip']],
          rules: [
            {
              cel: '!has(self.dns) || !has(self.dns.prefix)',
              test: v => !('prefix' in ((v['dns'] as object | undefined) ?? {})),
              field: 'dns.prefix',
              problem: 'a DNS name cannot be matched by prefix: anybody may own the rest',
              fix: 'use exact or suffix',
            },
          ],
        },
      ),
    ),
    thumbprint: optional(
      string({
        description: 'SHA-1 or SHA-256 of the certificate; case, colons and spaces do not count.',
        maxLength: 128,
        pattern: '^[0-9A-Fa-f: ]+$',
        patternText: '40 or 64 hex digits',
      }),
    ),
    publicKeyPin: optional(
      string({
        description: 'Base64 of the SHA-256 of the public key; survives renewal.',
        maxLength: 64,
        pattern: '^(sha256/)?[A-Za-z0-9+/]{43}=$',
        patternText: '44 characters of Base64',
      }),
    ),
    serialNumber: optional(string({ maxLength: 128, pattern: '^[0-9A-Fa-f: ]+$', patternText: 'hex digits' })),
    commonName: optional(string({ minLength: 1, maxLength: 256 })),
    subject: optional(string({ description: 'The whole subject, as RFC 4514 text.', minLength: 1, maxLength: 2048 })),
    issuerSubject: optional(string({ minLength: 1, maxLength: 2048 })),
    issuerThumbprint: optional(
      string({ maxLength: 128, pattern: '^[0-9A-Fa-f: ]+$', patternText: '40 or 64 hex digits' }),
    ),
  },
  {
    atLeastOneOf: [
      [
        'subjectAltName',
        'thumbprint',
        'publicKeyPin',
        'serialNumber',
        'commonName',
        'subject',
        'issuerSubject',
        'issuerThumbprint',
      ],
    ],
  },
);
export type CertificateIdentity = Infer<typeof identity>;

export const clientCertificateStep = object({
  trust: required({ ...objectName, description: 'The ClientTrust by which the certificate is judged.' }),
  identities: optional(
    list(identity, {
      description: 'Any one entry, all fields of it; absent: any certificate of that trust.',
      minItems: 1,
      maxItems: 256,
    }),
  ),
});
export type ClientCertificateStep = Infer<typeof clientCertificateStep>;

const NOT_YET_SUBSCRIPTION = 'the step subscription is not built yet';
const NOT_YET_HMAC = 'the step hmacSignature is not built yet';

const alternative = object(
  {
    jwt: optional(jwtStep),
    clientCertificate: optional(clientCertificateStep),
    subscription: optional(unbuilt(NOT_YET_SUBSCRIPTION)),
    hmacSignature: optional(unbuilt(NOT_YET_HMAC)),
    anonymous: optional(object({}, { description: 'Passes if nothing was presented for the other alternatives.' })),
  },
  { exactlyOneOf: [['jwt', 'clientCertificate', 'subscription', 'hmacSignature', 'anonymous']] },
);
export type Alternative = Infer<typeof alternative>;

export const deviceAuthStep = object({
  service: required({ ...objectName, description: 'The DeviceAuthService that is asked.' }),
  deviceId: required({
    ...template,
    description: 'The device id; must equal the answer’s deviceId, and certificateIdentity when given.',
    example: '${params.deviceId}',
  }),
  certificateIdentity: optional({
    ...template,
    description: 'The id that the certificate states.',
    example: '${cert.subject.CN}',
  }),
});
export type DeviceAuthStep = Infer<typeof deviceAuthStep>;

const authorizeRule = object({
  name: optional(memberName),
  expression: required({ ...celExpression, description: 'CEL, of type bool.' }),
  message: optional(string({ description: 'Told to the client on denial.', maxLength: 256 })),
});

export const authorizeStep = object(
  {
    allow: optional(
      list(authorizeRule, { description: 'Any one true; absent: allowed unless denied.', minItems: 1, maxItems: 64 }),
    ),
    deny: optional(
      list(authorizeRule, {
        description: 'Any one true denies; one that fails counts as true.',
        minItems: 1,
        maxItems: 64,
      }),
    ),
  },
  { atLeastOneOf: [['allow', 'deny']] },
);
export type AuthorizeStep = Infer<typeof authorizeStep>;

export const rateLimitStep = object({
  calls: required(integer({ description: 'Calls per period, and the burst.', minimum: 1, maximum: 1000000 })),
  period: required(duration({ description: 'Within 1s to 24h.', minimumMs: SECOND, maximumMs: DAY })),
  key: defaulted({ ...template, description: 'Whom a counter belongs to; default: everything together.' }, ''),
  maxKeys: defaulted(
    integer({ description: 'Most counters held; past it new keys share one.', minimum: 1, maximum: 10000000 }),
    100000,
  ),
  headers: defaulted(boolean({ description: 'Sends RateLimit and RateLimit-Policy.' }), false),
  countWhen: optional(unbuilt('countWhen is not built yet: every admitted call counts')),
  scope: defaulted(
    enumeration(['Pod'], {
      unbuilt: {
        Workload: 'scope Workload needs the cluster source, which is not built yet',
        Shared: 'scope Shared is not built yet',
      },
    }),
    'Pod',
  ),
});
export type RateLimitStep = Infer<typeof rateLimitStep>;

export const requireHeaderStep = object({
  name: required(headerName),
  values: optional(
    list(string({ maxLength: 1024 }), { description: 'Absent: presence.', minItems: 1, maxItems: 64, set: true }),
  ),
  ignoreCase: defaulted(boolean(), false),
});

const headerSetting = object(
  {
    name: required(headerName),
    ifExists: defaulted(enumeration(['Override', 'Skip', 'Append']), 'Override'),
    value: optional({ ...template, description: 'Refused if the result is not visible ASCII.' }),
    pairs: optional(
      map(template, {
        description: 'key=value; pairs, percent-encoded, keys in byte order.',
        maxProperties: 32,
        maxKeyLength: 64,
      }),
    ),
    dictionary: optional(
      map(template, { description: 'A structured-field dictionary (RFC 9651).', maxProperties: 32, maxKeyLength: 64 }),
    ),
  },
  { exactlyOneOf: [['value', 'pairs', 'dictionary']] },
);
export type HeaderSetting = Infer<typeof headerSetting>;
export const setHeadersStep = list(headerSetting, { minItems: 1, maxItems: 64 });
export const removeHeadersStep = list(headerName, {
  description: 'Headers to remove, all occurrences.',
  minItems: 1,
  maxItems: 64,
  set: true,
});

export const respondStep = object({
  status: required(integer({ minimum: 200, maximum: 599, description: 'HTTP status of the answer.' })),
  headers: defaulted(map(template, { maxProperties: 32, maxKeyLength: 128 }), {}),
  contentType: defaulted(string({ maxLength: 128, minLength: 1 }), 'text/plain'),
  body: defaulted(string({ maxLength: 65536, holds: 'template' }), ''),
});
export type RespondStep = Infer<typeof respondStep>;

const bodies = object({
  mediaTypes: required(
    list(
      string({
        minLength: 1,
        maxLength: 128,
        pattern: '^[A-Za-z0-9!#$&^_.+-]+/([A-Za-z0-9!#$&^_.+-]+|\\*)$',
        patternText: 'a media type such as application/json or text/*',
      }),
      { minItems: 1, maxItems: 32, set: true },
    ),
  ),
  maxBytes: defaulted(
    quantity({ minimumBytes: 1, maximumBytes: 67108864, description: 'Largest body that is rewritten.' }),
    '1Mi',
  ),
  onOversize: defaulted(enumeration(['Fail', 'Pass']), 'Fail'),
});
export type BodyRewrite = Infer<typeof bodies>;

export const hideBackendStep = object({
  removeHeaders: defaulted(
    list(headerName, { description: 'Removed besides the built-in list.', maxItems: 64, set: true }),
    [],
  ),
  keepHeaders: defaulted(
    list(headerName, { description: 'Headers of the built-in list to keep.', maxItems: 64, set: true }),
    [],
  ),
  rewriteHosts: optional(
    object({
      from: optional(
        list(string({ minLength: 1, maxLength: 512 }), {
          description:
            'Back-end authorities or origins; default: the app’s authority, serverName, localhost:port and app.url.',
          minItems: 1,
          maxItems: 32,
          set: true,
        }),
      ),
      to: optional({ ...template, description: 'Default: ${request.scheme}://${request.host}' }),
    }),
  ),
  bodies: optional(bodies),
  errorBodies: defaulted(enumeration(['Replace', 'Keep']), 'Replace'),
});
export type HideBackendStep = Infer<typeof hideBackendStep>;

const when = {
  ...celExpression,
  description: 'CEL, of type bool; false skips the step. A skipped authentication step does not count as passed.',
};

const REQUEST_STEPS = [
  'jwt',
  'clientCertificate',
  'subscription',
  'hmacSignature',
  'anyOf',
  'deviceAuth',
  'authorize',
  'ipFilter',
  'rateLimit',
  'quota',
  'requireHeader',
  'concurrency',
  'cors',
  'setHeaders',
  'removeHeaders',
  'setVariables',
  'choose',
  'respond',
] as const;

export const requestStep = object(
  {
    name: required(memberName),
    when: optional(when),
    jwt: optional(jwtStep),
    clientCertificate: optional(clientCertificateStep),
    subscription: optional(unbuilt(NOT_YET_SUBSCRIPTION)),
    hmacSignature: optional(unbuilt(NOT_YET_HMAC)),
    anyOf: optional(
      list(alternative, {
        description: 'Authentication steps; the first that passes wins.',
        minItems: 1,
        maxItems: 16,
      }),
    ),
    deviceAuth: optional(deviceAuthStep),
    authorize: optional(authorizeStep),
    ipFilter: optional(unbuilt('the step ipFilter is not built yet')),
    rateLimit: optional(rateLimitStep),
    quota: optional(unbuilt('the step quota is not built yet')),
    requireHeader: optional(requireHeaderStep),
    concurrency: optional(unbuilt('the step concurrency is not built yet')),
    cors: optional(unbuilt('the step cors is not built yet')),
    setHeaders: optional(setHeadersStep),
    removeHeaders: optional(removeHeadersStep),
    setVariables: optional(unbuilt('the step setVariables is not built yet')),
    choose: optional(unbuilt('the step choose is not built yet')),
    respond: optional(respondStep),
  },
  { exactlyOneOf: [REQUEST_STEPS] },
);
export type RequestStep = Infer<typeof requestStep>;

const RESPONSE_STEPS = ['hideBackend', 'setHeaders', 'removeHeaders', 'replaceText', 'choose', 'respond'] as const;

export const responseStep = object(
  {
    name: required(memberName),
    when: optional(when),
    hideBackend: optional(hideBackendStep),
    setHeaders: optional(setHeadersStep),
    removeHeaders: optional(removeHeadersStep),
    replaceText: optional(unbuilt('the step replaceText is not built yet')),
    choose: optional(unbuilt('the step choose is not built yet')),
    respond: optional(respondStep),
  },
  { exactlyOneOf: [RESPONSE_STEPS] },
);
export type ResponseStep = Infer<typeof responseStep>;
