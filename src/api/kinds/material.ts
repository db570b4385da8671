/** Kinds TokenIssuer, ClientTrust and DeviceAuthService. */
import {
  boolean,
  defaulted,
  describe,
  duration,
  enumeration,
  integer,
  list,
  map,
  object,
  optional,
  required,
  string,
  type Infer,
} from '../schema.ts';
import {
  celExpression,
  headerName,
  HTTP_URL,
  HTTPS_URL,
  keyRef,
  hostName,
  materialRef,
  objectName,
  queryName,
  serverTrust,
  settableHeader,
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
  url: required(
    url(
      'Where it is fetched, at first and whenever keys are older than cache.maxAge.',
      HTTPS_URL.replace('https', 'https?'),
      'an http or https URL',
    ),
  ),
  trust: optional({
    ...serverTrust,
    description: 'Which certificate authorities that server’s certificate must chain to; default systemRoots.',
  }),
};

const issuerKey = object(
  {
    kid: optional(
      string({ description: 'Key id that tokens name; absent: the JWK’s own, or any.', minLength: 1, maxLength: 256 }),
    ),
    secretKeyRef: optional({ ...keyRef, description: 'A key of a Secret; symmetric keys only here.' }),
    configMapKeyRef: optional({ ...keyRef, description: 'A key of a ConfigMap.' }),
  },
  {
    description: 'A JWK, a PEM public key or certificate, or (from a Secret) a symmetric key.',
    exactlyOneOf: [['secretKeyRef', 'configMapKeyRef']],
  },
);

export const tokenIssuerSpec = object(
  {
    discovery: optional(
      object(keySource, {
        description: 'OpenID Connect discovery document. Unreachable, without keys in hand: 503 KeysUnavailable.',
      }),
    ),
    jwks: optional(object(keySource, { description: 'A JSON Web Key Set (RFC 7517); needs issuer.' })),
    keys: optional(
      list(issuerKey, { description: 'Keys kept in the cluster; needs issuer.', minItems: 1, maxItems: 16 }),
    ),
    issuer: optional(
      string({
        description: 'Exact iss of the tokens. Default: what discovery says.',
        example: 'https://login.example.com/',
        minLength: 1,
        maxLength: 2048,
      }),
    ),
    algorithms: optional(
      list(enumeration([...PUBLIC_ALGORITHMS, ...SYMMETRIC_ALGORITHMS]), {
        description:
          'Signature algorithms that tokens may have; default RS*, PS*, ES*, EdDSA; HS* only with explicit symmetric keys. Another: 401 TokenAlgorithmNotAllowed.',
        example: ['RS256', 'ES256'],
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
      duration({ minimumMs: 0, maximumMs: 10 * 60 * SECOND, description: 'Tolerance of clocks for exp, nbf and iat.' }),
      '30s',
    ),
    requireExpiration: defaulted(
      boolean({ description: 'Whether a token without exp is refused (401 TokenExpirationMissing).' }),
      true,
    ),
    maxTokenAge: optional(
      duration({
        minimumMs: SECOND,
        maximumMs: 365 * DAY,
        description: 'Longest time since iat; older, or without iat: 401 TokenTooOld. Absent: no bound.',
        example: '12h',
      }),
    ),
    cache: defaulted(
      object(
        {
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
              description: 'How long keys serve after they could not be fetched again; then 503 KeysUnavailable.',
            }),
            '24h',
          ),
        },
        { description: 'How long fetched keys are used.' },
      ),
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
    secretKeyRef: optional({ ...keyRef, description: 'A key of a Secret that holds a list (PEM).' }),
    configMapKeyRef: optional({ ...keyRef, description: 'A key of a ConfigMap that holds a list (PEM).' }),
    url: optional(url('Where the list is fetched; it is signed, so http will do.', HTTP_URL, 'an http or https URL')),
  },
  { exactlyOneOf: [['secretKeyRef', 'configMapKeyRef', 'url']] },
);

const certificateSource = object(
  {
    tls: optional(object({}, { description: 'The certificate of the TLS handshake.' })),
    header: optional(
      object(
        {
          name: required({ ...headerName, description: 'The header.', example: 'Client-Cert' }),
          format: required(
            enumeration(['RFC9440', 'XFCC', 'UrlEncodedPEM', 'Base64DER'], {
              description:
                'How the certificate is written: RFC 9440, Envoy’s X-Forwarded-Client-Cert, PEM percent-encoded (nginx), or DER in Base64.',
            }),
          ),
          acceptAddressTrust: defaulted(
            boolean({
              description:
                'Whether a peer known by its address alone may forward certificates; status shows it. A certificate is public, so anybody at that address may then claim any.',
            }),
            false,
          ),
        },
        { description: 'A header of a trusted peer (Api.trustedPeers); from anybody else it is removed.' },
      ),
    ),
  },
  { exactlyOneOf: [['tls', 'header']] },
);

export const clientTrustSpec = object(
  {
    anchors: required(
      list(materialRef, {
        description:
          'CA certificates (PEM) that client certificates must chain to, else 403 ClientCertificateUntrusted. Never empty.',
        example: [{ configMapKeyRef: { name: 'device-ca', key: 'ca.crt' } }],
        minItems: 1,
        maxItems: 16,
      }),
    ),
    partialChain: defaulted(
      boolean({ description: 'Whether an issuing CA, which is not self-signed, may be an anchor.' }),
      false,
    ),
    revocation: optional(
      object(
        {
          mode: defaulted(
            enumeration(['Strict', 'SoftFail', 'Disabled'], {
              description:
                'Strict: without a list in force 503 RevocationUnavailable. SoftFail: then nothing counts as revoked. Disabled: not checked.',
            }),
            'Strict',
          ),
          crls: defaulted(
            list(crl, { description: 'Certificate revocation lists, each signed by the CA it is for.', maxItems: 16 }),
            [],
          ),
          leafOnly: defaulted(
            boolean({ description: 'true: only the leaf’s issuer needs a list; false: every CA of the chain.' }),
            true,
          ),
          refresh: defaulted(
            duration({ minimumMs: SECOND, maximumMs: 7 * DAY, description: 'How often a url is fetched again.' }),
            '15m',
          ),
        },
        {
          description:
            'Whether revoked certificates are refused (403 ClientCertificateRevoked). Absent: Disabled, shown in status.',
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
        description:
          'Most certificates of a path, the leaf included and the anchor not; longer: 403 ClientCertificateUntrusted.',
      }),
      5,
    ),
    validity: defaulted(
      object(
        {
          notBefore: defaulted(boolean({ description: 'Whether 403 ClientCertificateNotYetValid is given.' }), true),
          notAfter: defaulted(boolean({ description: 'Whether 403 ClientCertificateExpired is given.' }), true),
        },
        { description: 'Which dates of certificates are checked; one that is not is shown in status.' },
      ),
      {},
    ),
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
        description: 'Where the service is asked. The path may hold ${…}, the authority not.',
        example: 'https://device-auth.fleet.svc:8443/check',
        minLength: 1,
        maxLength: 2048,
        holds: 'template',
        pattern: '^https?://[^\\s/?#@$]+(/[^\\s#]*)?$',
        patternText: 'an http or https URL with a literal authority',
      }),
    ),
    request: defaulted(
      object(
        {
          method: defaulted(enumeration(['GET', 'POST'], { description: 'The method.' }), 'GET'),
          query: defaulted(
            map(template, {
              description: 'Query parameters; values are percent-encoded. A query in url stays in front.',
              maxProperties: 16,
              maxKeyLength: 64,
              keys: queryName,
            }),
            { certificateThumbprint: '${cert.sha1}', deviceId: '${deviceId}' },
          ),
          headers: defaulted(
            map(template, {
              description: 'Headers of the request.',
              maxProperties: 16,
              maxKeyLength: 128,
              keys: settableHeader,
            }),
            {},
          ),
          body: defaulted(
            {
              ...template,
              description:
                'Body of a POST; values are escaped for JSON, HTML, XML or a form, as Content-Type says; without one JSON, when it begins like it.',
            },
            '',
          ),
        },
        { description: 'What is asked; its templates see cert, deviceId and certificateIdentity only.' },
      ),
      {},
    ),
    allow: defaulted(
      object(
        {
          status: defaulted(
            list(STATUS, { description: 'Statuses of a yes.', minItems: 1, maxItems: 16, set: true }),
            [200],
          ),
          expression: defaulted(
            {
              ...celExpression,
              description:
                'CEL over body, deviceId, certificateIdentity and cert that must be true: false is 403 DeviceMismatch, a failure 503.',
            },
            DEFAULT_DEVICE_ALLOW,
          ),
        },
        {
          description:
            'Which answers let the device pass. Each is a JSON object in UTF-8 without a byte order mark, of at most 64 KiB, that names no member twice; its Content-Type, if any, is application/json or ends in +json. Anything else decides nothing.',
        },
      ),
      {},
    ),
    credential: optional({
      ...objectName,
      description:
        'The BackendCredential of a header sort, but signedContext, that is sent to the service; one that cannot be had is 503 DeviceAuthUnavailable.',
      example: 'device-auth-key',
    }),
    deny: defaulted(
      object(
        {
          status: defaulted(
            list(STATUS, { description: 'Statuses of a no.', minItems: 1, maxItems: 16, set: true }),
            [401, 403, 404],
          ),
        },
        { description: 'Which answers are 403 DeviceNotRecognized; any other is 503 DeviceAuthUnavailable.' },
      ),
      {},
    ),
    tls: optional(
      object(
        {
          trust: optional({
            ...serverTrust,
            description: 'Which certificate authorities the service’s certificate must chain to; default systemRoots.',
          }),
          credential: optional({
            ...objectName,
            description: 'The BackendCredential (meshCertificate) presented to the service.',
          }),
          serverName: optional(
            describe(hostName, 'Name that the service’s certificate must carry, and SNI; default the URL’s host.'),
          ),
        },
        { description: 'How the service is trusted, for an https url.' },
      ),
    ),
    timeout: defaulted(
      duration({
        minimumMs: 10,
        maximumMs: 60 * SECOND,
        description: 'For the whole answer; then 503 DeviceAuthUnavailable.',
      }),
      '2s',
    ),
    retry: defaulted(
      object(
        {
          attempts: defaulted(integer({ minimum: 0, maximum: 3, description: 'Further calls after the first.' }), 1),
          on: defaulted(
            list(enumeration(['connect']), {
              description:
                'What is tried again: connect, a connection that could not be made. Write the name in quotes, "on": kubectl reads YAML 1.1, where it is the word for true.',
              minItems: 1,
              maxItems: 1,
            }),
            ['connect'],
          ),
        },
        { description: 'Further tries within the timeout.' },
      ),
      {},
    ),
    concurrency: defaulted(
      integer({
        minimum: 1,
        maximum: 10000,
        description: 'Most calls at once; one more is 503 DeviceAuthUnavailable.',
      }),
      64,
    ),
    breaker: defaulted(
      object(
        {
          consecutiveErrors: defaulted(
            integer({ minimum: 1, maximum: 1000, description: 'Failed calls in a row that open it.' }),
            10,
          ),
          openFor: defaulted(
            duration({
              minimumMs: 100,
              maximumMs: HOUR,
              description: 'How long nothing is asked; then one call tries.',
            }),
            '15s',
          ),
        },
        { description: 'Stops asking a service that fails; meanwhile 503 DeviceAuthUnavailable.' },
      ),
      {},
    ),
    cache: defaulted(
      object(
        {
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
          maxEntries: defaulted(
            integer({ minimum: 1, maximum: 1000000, description: 'Most answers held; the least recently used go.' }),
            10000,
          ),
        },
        { description: 'Answers by certificate (SHA-256) and device id.' },
      ),
      {},
    ),
    revoke: optional({
      ...materialRef,
      description: 'Thumbprints (SHA-1 or SHA-256), one a line: refused at once with 403 DeviceRevoked, cached or not.',
    }),
  },
  { description: 'The in-cluster service that knows which certificate belongs to which device.' },
);
export type DeviceAuthServiceSpec = Infer<typeof deviceAuthServiceSpec>;
