/** The steps of a policy's request and response parts. Rules P1–P13 of the design say what they do. */
import {
  boolean,
  defaulted,
  describe,
  enumeration,
  integer,
  list,
  map,
  object,
  optional,
  required,
  string,
  type Infer,
  type Schema,
} from '../schema.ts';
import { bodyRewrite, corsStep, replaceTextStep, setVariablesStep } from './flow-steps.ts';
import { celExpression, headerName, memberName, objectName, queryName, settableHeader, template } from './shared.ts';
import { hmacSignatureStep, subscriptionStep } from './caller-steps.ts';
import { concurrencyStep, ipFilterStep, quotaStep, rateLimitStep } from './traffic-steps.ts';

const tokenLocation = object(
  {
    header: optional({ ...headerName, description: 'Name of a header.', example: 'Authorization' }),
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
    query: optional({ ...queryName, description: 'Name of a query parameter.', example: 'access_token' }),
    cookie: optional(
      string({
        description: 'Name of a cookie.',
        example: 'session',
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
  name: required(
    string({
      description:
        'A literal member name of the claim set; missing, null or empty ("", [], {}): 401 TokenClaimNotFound. 0 and false are values.',
      minLength: 1,
      maxLength: 256,
    }),
  ),
  match: defaulted(
    enumeration(['All', 'Any'], { description: 'Whether all values must be there, or any one.' }),
    'All',
  ),
  values: optional(
    list(string({ maxLength: 1024 }), {
      description:
        'Values of the claim; absent: it must be present. scope and scp split on spaces. Others than these: 401 TokenClaimNotAllowed, for scope and scp 403 InsufficientScope.',
      example: ['ManagementApi'],
      minItems: 1,
      maxItems: 64,
      set: true,
    }),
  ),
  separator: optional(
    string({ description: 'Splits a string claim into values.', example: ',', minLength: 1, maxLength: 8 }),
  ),
});

export const jwtStep = object(
  {
    issuers: required(
      list(objectName, {
        description: 'TokenIssuers, one of which must have issued the token; else 401 TokenIssuerNotAllowed.',
        example: ['corp'],
        minItems: 1,
        maxItems: 16,
        set: true,
      }),
    ),
    from: defaulted(
      list(tokenLocation, {
        description:
          'Where the token is looked for; empty everywhere: 401 TokenNotPresent. More than one filled: 400 DuplicateCredential.',
        minItems: 1,
        maxItems: 8,
      }),
      [{ header: 'Authorization', scheme: 'Bearer' }],
    ),
    audiences: required(
      list(string({ minLength: 1, maxLength: 1024 }), {
        description:
          'aud must hold one of them, else 401 TokenAudienceNotAllowed; [Any], alone, switches the check off and is shown in status.',
        example: ['api://fleet'],
        minItems: 1,
        maxItems: 64,
        set: true,
      }),
    ),
    requiredClaims: defaulted(
      list(requiredClaim, {
        description: 'What the token must claim besides issuer, audience and times.',
        maxItems: 64,
      }),
      [],
    ),
    forwardToken: defaulted(boolean({ description: 'Whether the app sees the token; false: it is removed.' }), false),
    claimHeaders: defaulted(
      map(string({ description: 'A claim’s name.', minLength: 1, maxLength: 256 }), {
        description:
          'Headers for the app, from claims. A list is joined with commas; %, commas and all but visible ASCII within a text are percent-encoded; an object and what is empty removes the header. Clients cannot send these headers on any route of the pod.',
        example: { 'x-client-id': 'clientId' },
        maxProperties: 32,
        maxKeyLength: 128,
        keys: settableHeader,
      }),
      {},
    ),
    boundToCertificate: defaulted(
      boolean({
        description:
          'Whether cnf.x5t#S256 must name the handshake’s certificate (RFC 8705); else 401 TokenBindingMismatch.',
      }),
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
    exact: optional(string({ description: 'The whole name.', minLength: 1, maxLength: 1024 })),
    prefix: optional(string({ description: 'How the name begins.', minLength: 1, maxLength: 1024 })),
    suffix: optional(string({ description: 'How the name ends.', minLength: 1, maxLength: 1024 })),
  },
  { exactlyOneOf: [['exact', 'prefix', 'suffix']] },
);
export type StringMatch = Infer<typeof stringMatch>;

/** SHA-1 or SHA-256, pairs of hex digits with or without colons or spaces. */
const THUMBPRINT = '^[0-9A-Fa-f]{2}([: ]?[0-9A-Fa-f]{2}){19}(([: ]?[0-9A-Fa-f]{2}){12})?$';

const identity = object(
  {
    subjectAltName: optional(
      object(
        {
          uri: optional({ ...stringMatch, description: 'A URI.', example: { prefix: 'urn:device:' } }),
          dns: optional({ ...stringMatch, description: 'A DNS name, by exact or suffix.' }),
          email: optional({ ...stringMatch, description: 'An e-mail address.' }),
          ip: optional({ ...stringMatch, description: 'An IP address as text.' }),
        },
        {
          description: 'Subject alternative names; each kind given must match one name of the certificate.',
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
        pattern: THUMBPRINT,
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
    serialNumber: optional(
      string({
        description: 'The serial number; case, colons, spaces and leading zeros do not count.',
        maxLength: 128,
        pattern: '^[0-9A-Fa-f: ]*[0-9A-Fa-f][0-9A-Fa-f: ]*$',
        patternText: 'hex digits',
      }),
    ),
    commonName: optional(string({ description: 'The subject’s common name.', minLength: 1, maxLength: 256 })),
    subject: optional(string({ description: 'The whole subject, as RFC 4514 text.', minLength: 1, maxLength: 2048 })),
    issuerSubject: optional(
      string({ description: 'The subject of the issuing CA, as RFC 4514 text.', minLength: 1, maxLength: 2048 }),
    ),
    issuerThumbprint: optional(
      string({
        description: 'SHA-1 or SHA-256 of the issuing CA’s certificate; case, colons and spaces do not count.',
        maxLength: 128,
        pattern: THUMBPRINT,
        patternText: '40 or 64 hex digits',
      }),
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
  trust: required({
    ...objectName,
    description:
      'The ClientTrust by which the certificate is judged. None presented: 401 ClientCertificateNotPresent; not trusted: 403.',
    example: 'devices',
  }),
  identities: optional(
    list(identity, {
      description:
        'Whom the certificate must name: any one entry, all fields of it; else 403 ClientCertificateIdentityNotAllowed. Absent: any certificate of that trust.',
      minItems: 1,
      maxItems: 256,
    }),
  ),
});
export type ClientCertificateStep = Infer<typeof clientCertificateStep>;

const AUTHENTICATION = {
  jwt: optional(describe(jwtStep, 'A token (JWT) of a TokenIssuer.')),
  clientCertificate: optional(describe(clientCertificateStep, 'A client certificate, judged by a ClientTrust.')),
  subscription: optional(
    describe(subscriptionStep, 'A key of a Subscription; both locations are removed before the app.'),
  ),
  hmacSignature: optional(
    describe(hmacSignatureStep, 'A signature over the body with a shared key, as webhooks carry it.'),
  ),
};

const alternative = object(
  {
    ...AUTHENTICATION,
    anonymous: optional(object({}, { description: 'Passes if nothing was presented for the other alternatives.' })),
  },
  { exactlyOneOf: [['jwt', 'clientCertificate', 'subscription', 'hmacSignature', 'anonymous']] },
);
export type Alternative = Infer<typeof alternative>;

export const deviceAuthStep = object({
  service: required({
    ...objectName,
    description: 'The DeviceAuthService that is asked; no answer that decides: 503 DeviceAuthUnavailable.',
    example: 'devices',
  }),
  deviceId: required({
    ...template,
    description:
      'The device id; must equal the answer’s deviceId, and certificateIdentity when given, else 403 DeviceMismatch. So is an empty one, and one of more than 512 characters.',
    example: '${params.deviceId}',
  }),
  certificateIdentity: optional({
    ...template,
    description: 'The id that the certificate states; compared byte by byte.',
    example: '${cert.subject.CN}',
  }),
});
export type DeviceAuthStep = Infer<typeof deviceAuthStep>;

const authorizeRule = object({
  name: optional({ ...memberName, description: 'The rule’s name; logs and explain use it.' }),
  expression: required({
    ...celExpression,
    description: 'CEL, of type bool.',
    example: "request.method == 'GET' || has(cert.sha1)",
  }),
  message: optional(
    string({ description: 'Told to the client on denial, as it is written here.', minLength: 1, maxLength: 256 }),
  ),
});

export const authorizeStep = object(
  {
    allow: optional(
      list(authorizeRule, {
        description:
          'Any one must be true, else 403 AuthorizationDenied; one that fails counts as false. Absent: allowed unless denied.',
        minItems: 1,
        maxItems: 64,
      }),
    ),
    deny: optional(
      list(authorizeRule, {
        description: 'Any one true denies with 403 AuthorizationDenied; one that fails counts as true.',
        minItems: 1,
        maxItems: 64,
      }),
    ),
  },
  { atLeastOneOf: [['allow', 'deny']] },
);
export type AuthorizeStep = Infer<typeof authorizeStep>;

export const requireHeaderStep = object({
  name: required({ ...headerName, description: 'The header; missing: 403 HeaderNotFound.' }),
  values: optional(
    list(string({ maxLength: 1024 }), {
      description: 'Allowed values; another: 403 HeaderValueNotAllowed. Absent: the header must be present.',
      minItems: 1,
      maxItems: 64,
      set: true,
    }),
  ),
  ignoreCase: defaulted(boolean({ description: 'Whether values compare without case.' }), false),
});

const headerSetting = object(
  {
    name: required({
      ...settableHeader,
      description:
        'The header. With Override, clients cannot send it on any route of the pod, in any spelling that a back end may fold together.',
    }),
    ifExists: defaulted(
      enumeration(['Override', 'Skip', 'Append'], {
        description: 'What becomes of a header that is there: replaced, kept instead of ours, or followed by ours.',
      }),
      'Override',
    ),
    value: optional({
      ...template,
      description: 'The value; a result that is not visible ASCII is 403 ExpressionFailed.',
      example: '${jwt.subject}',
    }),
    pairs: optional(
      map(template, {
        description: 'The value as key=value; pairs, values percent-encoded, keys in byte order.',
        example: { deviceId: '${params.deviceId}' },
        maxProperties: 32,
        maxKeyLength: 64,
        keys: queryName,
      }),
    ),
    dictionary: optional(
      map(template, {
        description: 'The value as a structured-field dictionary of strings (RFC 9651).',
        maxProperties: 32,
        maxKeyLength: 64,
        keys: string({
          minLength: 1,
          maxLength: 64,
          pattern: '^[a-z*][a-z0-9_.*-]*$',
          patternText: 'a key of RFC 9651: lower-case letters, digits, _, -, . and *',
        }),
      }),
    ),
  },
  { exactlyOneOf: [['value', 'pairs', 'dictionary']] },
);
export type HeaderSetting = Infer<typeof headerSetting>;
export const setHeadersStep = list(headerSetting, {
  description: 'Headers to set, in this order.',
  minItems: 1,
  maxItems: 64,
});
/** `*` is a character of names (RFC 9110), but whoever writes one here means a pattern, and nothing would be removed. */
const wholeHeader = string({
  ...settableHeader,
  pattern: "^[!#$%&'+.^_`|~0-9A-Za-z-]+$",
  patternText: 'an HTTP token, for example X-Client-Id, without *: names are compared as a whole',
});
export const removeHeadersStep = list(wholeHeader, {
  description: 'Headers to remove, all occurrences.',
  minItems: 1,
  maxItems: 64,
  set: true,
});

export const respondStep = object({
  status: required(integer({ minimum: 200, maximum: 599, description: 'HTTP status of the answer.', example: 410 })),
  headers: defaulted(
    map(template, {
      description: 'Headers of the answer.',
      maxProperties: 32,
      maxKeyLength: 128,
      keys: settableHeader,
    }),
    {},
  ),
  contentType: defaulted(
    string({
      description: 'The answer’s Content-Type.',
      minLength: 1,
      maxLength: 128,
      pattern: '^[ -~]+$',
      patternText: 'a media type such as text/plain',
    }),
    'text/plain',
  ),
  body: defaulted(
    string({
      description:
        'The answer’s body, with ${…} holes; values are escaped for JSON, HTML, XML or a form, as contentType says.',
      maxLength: 65536,
      holds: 'template',
    }),
    '',
  ),
});
export type RespondStep = Infer<typeof respondStep>;

export const hideBackendStep = object({
  removeHeaders: defaulted(
    list(settableHeader, {
      description:
        'Headers removed; a * at the end stands for any rest. They come besides the built-in list: Server, Via, X-AspNet-Version, X-AspNetMvc-Version, X-Backend, X-Backend-*, X-Cache, X-Cache-Lookup, X-Envoy-*, X-Generator, X-Powered-By, X-Powered-By-*, X-Real-Server, X-Runtime, X-Served-By, X-Upstream, X-Upstream-*, X-Varnish.',
      maxItems: 64,
      set: true,
    }),
    [],
  ),
  keepHeaders: defaulted(
    list(headerName, { description: 'Headers of the built-in list to keep.', maxItems: 64, set: true }),
    [],
  ),
  rewriteHosts: optional(
    object(
      {
        from: optional(
          list(
            string({
              minLength: 1,
              maxLength: 512,
              pattern: '^(https?://)?[A-Za-z0-9.:_\\[\\]-]+$',
              patternText: 'an authority or origin such as http://fleet.shop.svc:8080',
            }),
            {
              description:
                'Back-end authorities or origins; the scheme does not matter, and a name without a port stands for every port. Default: the app’s authority, serverName, localhost:port and app.url, each with and without its port. Outside a URL a single label or an address is replaced only with its port; a loopback name without a port stands for no port, since native apps wait for redirects on others.',
              example: ['http://fleet.shop.svc:8080'],
              minItems: 1,
              maxItems: 32,
              set: true,
            },
          ),
        ),
        to: optional({
          ...template,
          description:
            'What clients see instead; default: the scheme and the authority that the client itself used, its port kept unless it is the scheme’s default.',
          example: 'https://fleet.example.com',
        }),
      },
      {
        description:
          'Rewrites the back end’s hosts in Access-Control-Allow-Origin, Content-Base, Content-Location, Content-Security-Policy(-Report-Only), Grpc-Message, Link, Location, Refresh, Report-To, Reporting-Endpoints, SourceMap, URI, X-SourceMap, Set-Cookie domains and, with bodies, in bodies, also where a URL is percent-encoded or has JSON’s escaped slashes; an Alt-Svc that names one is removed, and so is a trailer.',
      },
    ),
  ),
  bodies: optional({
    ...bodyRewrite,
    description:
      'Bodies in which hosts are rewritten too. The app is asked for identity encoding; an encoded or ranged answer is then 502.',
  }),
  errorBodies: defaulted(
    enumeration(['Replace', 'Keep'], {
      description: 'Whether bodies of the app’s 5xx answers, which may tell of its insides, are replaced.',
    }),
    'Replace',
  ),
});
export type HideBackendStep = Infer<typeof hideBackendStep>;

/** Branches of steps; `steps` are those of the place, but for choose itself. */
const chooseBetween = <S>(step: Schema<S>) => {
  const steps = (description: string) => list(step, { description, minItems: 1, maxItems: 16, key: 'name' });
  return object(
    {
      when: required(
        list(
          object({
            condition: required({
              ...celExpression,
              description: 'CEL, of type bool; one that fails is like a when that fails.',
              example: "'tier' in jwt.claims",
            }),
            steps: required(
              steps('Steps of this branch, in order; their names are unique in the policy, like all others.'),
            ),
          }),
          { description: 'Branches in order: the first whose condition is true runs.', minItems: 1, maxItems: 16 },
        ),
      ),
      otherwise: optional(
        steps('Steps that run when no condition is true. Absent: nothing happens then, and nobody is authenticated.'),
      ),
    },
    { description: 'The first branch whose condition is true, or otherwise.', compact: true },
  );
};

const when = {
  ...celExpression,
  description:
    'CEL, of type bool; false skips the step. A skipped authentication step does not count as passed; an expression that fails is 403 ExpressionFailed.',
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

const REQUEST_FIELDS = {
  name: required({ ...memberName, description: 'The step’s name; logs, metrics and explain say policy/step.' }),
  when: optional(when),
  ...AUTHENTICATION,
  anyOf: optional(
    list(alternative, {
      description:
        'Authentication steps in order of preference; the first that passes wins, and a bad credential does not spoil a good one.',
      minItems: 1,
      maxItems: 16,
    }),
  ),
  deviceAuth: optional(
    describe(deviceAuthStep, 'Asks a DeviceAuthService whether certificate and device belong together; needs cert.'),
  ),
  authorize: optional(describe(authorizeStep, 'CEL rules on what is known by now.')),
  ipFilter: optional(describe(ipFilterStep, 'Source addresses (source.ip) that may pass, or may not.')),
  rateLimit: optional(describe(rateLimitStep, 'A rate per key (GCRA), with a burst of calls.')),
  quota: optional(describe(quotaStep, 'Calls in a fixed window.')),
  requireHeader: optional(describe(requireHeaderStep, 'A header that must be there; no authentication.')),
  concurrency: optional(describe(concurrencyStep, 'Requests open at once.')),
  cors: optional(
    describe(
      corsStep,
      'Answers preflights of browsers before any other step, and tells them which pages may read answers.',
    ),
  ),
  setHeaders: optional(describe(setHeadersStep, 'Headers set on what is forwarded to the app.')),
  removeHeaders: optional(describe(removeHeadersStep, 'Headers removed from what is forwarded, all occurrences.')),
  setVariables: optional(setVariablesStep),
  respond: optional(describe(respondStep, 'Answers instead of the app, after all sealed steps that can deny.')),
};

const innerRequestStep = object(REQUEST_FIELDS, {
  exactlyOneOf: [REQUEST_STEPS.filter(name => name !== 'choose')],
});

export const requestStep = object(
  { ...REQUEST_FIELDS, choose: optional(chooseBetween(innerRequestStep)) },
  { exactlyOneOf: [REQUEST_STEPS] },
);
export type InnerRequestStep = Infer<typeof innerRequestStep>;
export type RequestStep = Infer<typeof requestStep>;

const RESPONSE_STEPS = ['hideBackend', 'setHeaders', 'removeHeaders', 'replaceText', 'choose', 'respond'] as const;

const RESPONSE_FIELDS = {
  name: required({ ...memberName, description: 'The step’s name; logs, metrics and explain say policy/step.' }),
  when: optional({ ...when, description: 'CEL, of type bool; false skips the step. One that fails is 502.' }),
  hideBackend: optional(describe(hideBackendStep, 'Hides what runs behind: headers, hosts, error bodies.')),
  setHeaders: optional(describe(setHeadersStep, 'Headers set on the app’s answer.')),
  removeHeaders: optional(describe(removeHeadersStep, 'Headers removed from the app’s answer, all occurrences.')),
  replaceText: optional(
    describe(
      replaceTextStep,
      'Replaces text in bodies. The app is asked for identity encoding; an encoded or ranged answer is then 502.',
    ),
  ),
  respond: optional(
    describe(
      respondStep,
      'Replaces the app’s answer: later steps of this and narrower policies do not run, those of broader scopes run on it.',
    ),
  ),
};

const innerResponseStep = object(RESPONSE_FIELDS, {
  exactlyOneOf: [RESPONSE_STEPS.filter(name => name !== 'choose')],
});

export const responseStep = object(
  { ...RESPONSE_FIELDS, choose: optional(chooseBetween(innerResponseStep)) },
  { exactlyOneOf: [RESPONSE_STEPS] },
);
export type InnerResponseStep = Infer<typeof innerResponseStep>;
export type ResponseStep = Infer<typeof responseStep>;
