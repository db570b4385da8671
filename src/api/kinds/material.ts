/** Kinds TokenIssuer, ClientTrust, DeviceAuthService, BackendCredential; Subscription and PolicyTest, which are not built yet. */
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
  required,
  string,
  unbuilt,
  type Infer,
} from '../schema.ts';
import {
  celExpression,
  headerName,
  HTTP_URL,
  HTTPS_URL,
  keyRef,
  materialRef,
  objectName,
  serverTrust,
  template,
  url,
} from './shared.ts';

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const DAY = 24 * HOUR;

const PUBLIC_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const;
const SYMMETRIC_ALGORITHMS = ['HS256', 'HS384', 'HS512'] as const;

const keySource = {
  url: required(url('Where it is fetched.', HTTPS_URL.replace('https', 'https?'), 'an http or https URL')),
  trust: optional(serverTrust),
};

const issuerKey = object(
  {
    kid: optional(
      string({ description: 'Key id that tokens name; absent: the JWK’s own, or any.', minLength: 1, maxLength: 256 }),
    ),
    secretKeyRef: optional(keyRef),
    configMapKeyRef: optional(keyRef),
  },
  {
    description: 'A JWK, a PEM public key or certificate, or (from a Secret) a symmetric key.',
    exactlyOneOf: [['secretKeyRef', 'configMapKeyRef']],
  },
);

export const tokenIssuerSpec = object(
  {
    discovery: optional(object(keySource, { description: 'OpenID Connect discovery document.' })),
    jwks: optional(object(keySource, { description: 'A JSON Web Key Set.' })),
    keys: optional(list(issuerKey, { description: 'Keys kept in the cluster.', minItems: 1, maxItems: 16 })),
    issuer: optional(
      string({ description: 'Exact iss. Default: what discovery says.', minLength: 1, maxLength: 2048 }),
    ),
    algorithms: optional(
      list(enumeration([...PUBLIC_ALGORITHMS, ...SYMMETRIC_ALGORITHMS]), {
        description: 'Default RS*, PS*, ES*, EdDSA; HS* only with explicit symmetric keys.',
        minItems: 1,
        maxItems: 13,
        set: true,
      }),
    ),
    decryptionKeys: optional(
      list(materialRef, {
        description: 'Private keys for encrypted tokens (JWE); zip and PBES2 are refused.',
        minItems: 1,
        maxItems: 8,
      }),
    ),
    clockSkew: defaulted(
      duration({ minimumMs: 0, maximumMs: 10 * 60 * SECOND, description: 'Tolerance for exp, nbf and iat.' }),
      '30s',
    ),
    requireExpiration: defaulted(boolean({ description: 'A token without exp is refused.' }), true),
    maxTokenAge: optional(
      duration({ minimumMs: SECOND, maximumMs: 365 * DAY, description: 'Longest time since iat.' }),
    ),
    cache: defaulted(
      object({
        maxAge: defaulted(
          duration({ minimumMs: SECOND, maximumMs: 7 * DAY, description: 'Keys older than this are fetched again.' }),
          '10m',
        ),
        unknownKidCooldown: defaulted(
          duration({
            minimumMs: SECOND,
            maximumMs: HOUR,
            description: 'At most one fetch for unknown key ids in this time.',
          }),
          '30s',
        ),
        maxStale: defaulted(
          duration({
            minimumMs: 0,
            maximumMs: 30 * DAY,
            description: 'How long keys serve after they could not be fetched again; then 503.',
          }),
          '24h',
        ),
      }),
      {},
    ),
  },
  {
    description: 'Who issues tokens, and by which keys they are verified.',
    exactlyOneOf: [['discovery', 'jwks', 'keys']],
    rules: [
      {
        cel: 'has(self.discovery) || has(self.issuer)',
        test: v => 'discovery' in v || 'issuer' in v,
        field: 'issuer',
        problem: 'issuer is missing, and without discovery nothing says it',
        fix: 'write the exact iss of the tokens',
      },
      {
        cel: "has(self.keys) || !has(self.algorithms) || !self.algorithms.exists(a, a.startsWith('HS'))",
        test: v =>
          'keys' in v || !((v['algorithms'] as readonly string[] | undefined) ?? []).some(a => a.startsWith('HS')),
        field: 'algorithms',
        problem: 'HS* needs explicit symmetric keys: with fetched keys a public key could serve as the secret',
        fix: 'remove HS*, or give keys',
      },
    ],
  },
);
export type TokenIssuerSpec = Infer<typeof tokenIssuerSpec>;

const crl = object(
  {
    secretKeyRef: optional(keyRef),
    configMapKeyRef: optional(keyRef),
    url: optional(url('Where the list is fetched; it is signed, so http will do.', HTTP_URL, 'an http or https URL')),
  },
  { exactlyOneOf: [['secretKeyRef', 'configMapKeyRef', 'url']] },
);

const certificateSource = object(
  {
    tls: optional(object({}, { description: 'The certificate of the TLS handshake.' })),
    header: optional(
      object({
        name: required(headerName),
        format: required(enumeration(['RFC9440', 'XFCC', 'UrlEncodedPEM', 'Base64DER'])),
        acceptAddressTrust: defaulted(
          boolean({
            description: 'true: a peer known by its address alone may forward certificates; status shows it.',
          }),
          false,
        ),
      }),
    ),
  },
  { exactlyOneOf: [['tls', 'header']] },
);

export const clientTrustSpec = object(
  {
    anchors: required(
      list(materialRef, {
        description: 'CA certificates (PEM). Never empty: an empty bundle would mean the public roots.',
        minItems: 1,
        maxItems: 16,
      }),
    ),
    partialChain: defaulted(boolean({ description: 'true: an issuing CA may be an anchor.' }), false),
    revocation: optional(
      object(
        {
          mode: defaulted(enumeration(['Strict', 'SoftFail', 'Disabled']), 'Strict'),
          crls: defaulted(list(crl, { maxItems: 16 }), []),
          leafOnly: defaulted(boolean({ description: 'true: only the leaf’s issuer needs a list.' }), true),
          refresh: defaulted(
            duration({ minimumMs: SECOND, maximumMs: 7 * DAY, description: 'How often a url is fetched again.' }),
            '15m',
          ),
        },
        {
          description: 'Absent: Disabled, shown in status.',
          rules: [
            {
              cel: "self.mode == 'Disabled' || self.crls.size() > 0",
              test: v => v['mode'] === 'Disabled' || (v['crls'] as readonly unknown[]).length > 0,
              field: 'crls',
              problem: 'Strict and SoftFail need at least one list',
              fix: 'name a CRL, or write mode: Disabled',
            },
          ],
        },
      ),
    ),
    maxDepth: defaulted(
      integer({
        minimum: 1,
        maximum: 10,
        description: 'Most certificates between leaf and anchor, the leaf included.',
      }),
      5,
    ),
    validity: defaulted(object({ notBefore: defaulted(boolean(), true), notAfter: defaulted(boolean(), true) }), {}),
    sources: defaulted(
      list(certificateSource, {
        minItems: 1,
        maxItems: 4,
        description: 'Where certificates come from; a trusted peer’s header is looked at first.',
      }),
      [{ tls: {} }],
    ),
  },
  { description: 'CA certificates, revocation and forwarded certificates by which client certificates are judged.' },
);
export type ClientTrustSpec = Infer<typeof clientTrustSpec>;

const STATUS = integer({ minimum: 100, maximum: 599 });
export const DEFAULT_DEVICE_ALLOW =
  'body.deviceId == deviceId && (!has(body.certificateThumbprint) || body.certificateThumbprint.upperAscii() == cert.sha1)';

export const deviceAuthServiceSpec = object(
  {
    url: required(
      string({
        description: 'The path may hold ${…}, the authority not.',
        minLength: 1,
        maxLength: 2048,
        holds: 'template',
        pattern: '^https?://[^\\s/?#@$]+(/[^\\s#]*)?$',
        patternText: 'an http or https URL with a literal authority',
      }),
    ),
    request: defaulted(
      object({
        method: defaulted(enumeration(['GET', 'POST']), 'GET'),
        query: defaulted(map(template, { maxProperties: 16, maxKeyLength: 64 }), {
          certificateThumbprint: '${cert.sha1}',
          deviceId: '${deviceId}',
        }),
        headers: defaulted(map(template, { maxProperties: 16, maxKeyLength: 128 }), {}),
        body: defaulted(template, ''),
      }),
      {},
    ),
    allow: defaulted(
      object({
        status: defaulted(list(STATUS, { minItems: 1, maxItems: 16, set: true }), [200]),
        expression: defaulted(celExpression, DEFAULT_DEVICE_ALLOW),
      }),
      {},
    ),
    credential: optional(unbuilt('header credentials for device-auth are not built yet')),
    deny: defaulted(
      object({ status: defaulted(list(STATUS, { minItems: 1, maxItems: 16, set: true }), [401, 403, 404]) }),
      {},
    ),
    tls: optional(
      object({
        trust: optional(serverTrust),
        credential: optional({
          ...objectName,
          description: 'The BackendCredential (meshCertificate) presented to the service.',
        }),
        serverName: optional(string({ minLength: 1, maxLength: 253 })),
      }),
    ),
    timeout: defaulted(duration({ minimumMs: 10, maximumMs: 60 * SECOND, description: 'For the whole answer.' }), '2s'),
    retry: defaulted(
      object({
        attempts: defaulted(integer({ minimum: 0, maximum: 3, description: 'Further calls after the first.' }), 1),
        on: defaulted(list(enumeration(['connect']), { minItems: 1, maxItems: 1 }), ['connect']),
      }),
      {},
    ),
    concurrency: defaulted(
      integer({ minimum: 1, maximum: 10000, description: 'Most calls at once; one more is 503.' }),
      64,
    ),
    breaker: defaulted(
      object({
        consecutiveErrors: defaulted(integer({ minimum: 1, maximum: 1000 }), 10),
        openFor: defaulted(duration({ minimumMs: 100, maximumMs: HOUR }), '15s'),
      }),
      {},
    ),
    cache: defaulted(
      object({
        ttl: defaulted(
          duration({
            minimumMs: 0,
            maximumMs: DAY,
            description: 'How long a yes counts; Cache-Control may shorten it.',
          }),
          '60s',
        ),
        negativeTtl: defaulted(
          duration({ minimumMs: 0, maximumMs: HOUR, description: 'How long a no counts.' }),
          '10s',
        ),
        staleIfError: defaulted(
          duration({ minimumMs: 0, maximumMs: DAY, description: 'How long a yes past its time serves an outage.' }),
          '0s',
        ),
        maxEntries: defaulted(integer({ minimum: 1, maximum: 1000000 }), 10000),
      }),
      {},
    ),
    revoke: optional({
      ...materialRef,
      description: 'Thumbprints (SHA-1 or SHA-256), one a line: refused at once, cached or not.',
    }),
  },
  { description: 'The in-cluster service that knows which certificate belongs to which device.' },
);
export type DeviceAuthServiceSpec = Infer<typeof deviceAuthServiceSpec>;

const meshCertificate = object(
  {
    managed: optional(object({ lifetime: defaulted(duration({ minimumMs: HOUR, maximumMs: 30 * DAY }), '72h') })),
    secretName: optional(string({ description: 'A Secret of type kubernetes.io/tls.', minLength: 1, maxLength: 253 })),
    files: optional(
      object({
        certificate: required(string({ minLength: 1, maxLength: 4096 })),
        key: required(string({ minLength: 1, maxLength: 4096 })),
      }),
    ),
  },
  { exactlyOneOf: [['managed', 'secretName', 'files']] },
);

export const backendCredentialSpec = object(
  {
    meshCertificate: optional(meshCertificate),
    sharedAccessSignature: optional(unbuilt('sharedAccessSignature is not built yet')),
    basic: optional(unbuilt('basic is not built yet')),
    header: optional(unbuilt('header is not built yet')),
    oauth2ClientCredentials: optional(unbuilt('oauth2ClientCredentials is not built yet')),
    signedContext: optional(unbuilt('signedContext is not built yet')),
  },
  {
    description: 'What the sidecar presents to the app; clients never see it.',
    exactlyOneOf: [
      ['meshCertificate', 'sharedAccessSignature', 'basic', 'header', 'oauth2ClientCredentials', 'signedContext'],
    ],
  },
);
export type BackendCredentialSpec = Infer<typeof backendCredentialSpec>;
