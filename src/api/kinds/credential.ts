/** Kind BackendCredential: what the sidecar presents to the app. */
import {
  defaulted,
  describe,
  duration,
  enumeration,
  list,
  map,
  object,
  optional,
  required,
  string,
  type Infer,
} from '../schema.ts';
import { HTTPS_URL, keyRef, queryName, secretName, serverTrust, settableHeader, url, valueSource } from './shared.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const FILE_PATH = { minLength: 1, maxLength: 4096 };

const meshCertificate = object(
  {
    managed: optional(
      object(
        {
          lifetime: defaulted(
            duration({
              minimumMs: HOUR,
              maximumMs: 30 * DAY,
              description: 'Lifetime of a certificate; renewed from a third of it on.',
            }),
            '72h',
          ),
        },
        {
          description:
            'Issued by the mesh CA for the pod’s service account; outside a cluster --mesh-certificate and --mesh-key stand for it.',
        },
      ),
    ),
    secretName: optional(describe(secretName, 'A Secret of type kubernetes.io/tls, read again when it changes.')),
    files: optional(
      object(
        {
          certificate: required(string({ description: 'Path of the certificate chain (PEM).', ...FILE_PATH })),
          key: required(string({ description: 'Path of the private key (PEM).', ...FILE_PATH })),
        },
        {
          description: 'Files of the sidecar, as drivers of cert-manager and SPIFFE write them; read again on change.',
        },
      ),
    ),
  },
  {
    description: 'The certificate by which the app knows the sidecar.',
    exactlyOneOf: [['managed', 'secretName', 'files']],
  },
);

/** Only a Secret: what is written in a manifest or a ConfigMap can be read by many. A line break at the end is not part of it. */
const secretSource = object(
  { secretKeyRef: required({ ...keyRef, description: 'A key of a Secret; a line break at its end does not count.' }) },
  { description: 'A value that is kept in a Secret.' },
);

const sharedAccessSignature = object(
  {
    resourceUri: required({
      ...valueSource,
      description: 'What the token is for (sr): it covers every resource under this URI.',
      example: { value: 'https://contoso.servicebus.windows.net/orders/messages' },
    }),
    keyName: required({
      ...valueSource,
      description: 'Name of the shared access policy (skn).',
      example: { value: 'SendPolicy' },
    }),
    key: required({ ...secretSource, description: 'The primary key, as text: it is not decoded.' }),
    secondaryKey: optional({ ...secretSource, description: 'The secondary key, for a rotation without a gap.' }),
    activeKey: defaulted(
      enumeration(['Primary', 'Secondary'], { description: 'Which of the two keys signs.' }),
      'Primary',
    ),
    ttl: defaulted(
      duration({
        minimumMs: 10 * SECOND,
        maximumMs: DAY,
        description: 'Lifetime of a token; each is used until a quarter of it is left.',
      }),
      '60s',
    ),
  },
  {
    description:
      'A token of Azure Service Bus, Event Hubs, Notification Hubs and Relay, computed from a shared key and sent as Authorization, whatever the client sent there.',
    rules: [
      {
        cel: "self.activeKey == 'Primary' || has(self.secondaryKey)",
        test: v => v['activeKey'] === 'Primary' || 'secondaryKey' in v,
        field: 'activeKey',
        problem: 'Secondary is active, and there is no secondaryKey',
        fix: 'add secondaryKey, or write Primary',
      },
    ],
  },
);

const basic = object(
  {
    username: required({ ...valueSource, description: 'The user’s name; a colon cannot be part of it (RFC 7617).' }),
    password: required({ ...secretSource, description: 'The password.' }),
  },
  {
    description: 'User name and password, sent as Authorization: Basic (RFC 7617, UTF-8).',
    rules: [
      {
        cel: "!has(self.username.value) || !self.username.value.contains(':')",
        test: v => !((v['username'] as { readonly value?: string }).value ?? '').includes(':'),
        field: 'username.value',
        problem: 'holds a colon, at which the app would split name and password',
        fix: 'remove it',
      },
    ],
  },
);

const header = object(
  {
    name: required({ ...settableHeader, description: 'The header.', example: 'X-Api-Key' }),
    value: required({ ...secretSource, description: 'Its value, visible ASCII.' }),
  },
  { description: 'A header whose value is kept in a Secret.' },
);

const oauth2ClientCredentials = object(
  {
    tokenUrl: required(
      url(
        'The token endpoint, asked for a token when one is needed, again from three quarters of its lifetime on, and once at a time.',
        HTTPS_URL,
        'an https URL',
      ),
    ),
    clientId: required({ ...valueSource, description: 'The client’s id.' }),
    clientSecret: required({ ...secretSource, description: 'The client’s secret.' }),
    scopes: optional(
      list(
        string({
          minLength: 1,
          maxLength: 256,
          pattern: '^[!#-\\[\\]-~]+$',
          patternText: 'visible ASCII without spaces, " and \\',
        }),
        {
          description: 'Scopes to ask for; absent: the server’s default.',
          example: ['api://orders/.default'],
          minItems: 1,
          maxItems: 32,
          set: true,
        },
      ),
    ),
    parameters: optional(
      map(string({ minLength: 1, maxLength: 1024 }), {
        description: 'Further parameters of the token request that some servers want.',
        example: { audience: 'https://orders.example.com' },
        maxProperties: 8,
        maxKeyLength: 64,
        keys: queryName,
      }),
    ),
    authentication: defaulted(
      enumeration(['Basic', 'Body'], {
        description:
          'How the client proves itself: in Authorization (RFC 6749 section 2.3.1), or in the request’s body.',
      }),
      'Basic',
    ),
    trust: optional({
      ...serverTrust,
      description: 'Which certificate authorities that server’s certificate must chain to; default systemRoots.',
    }),
  },
  {
    description:
      'A token of an authorization server (RFC 6749 section 4.4), sent as Authorization: Bearer. While the server is away the last token serves until it expires; then 503 CredentialUnavailable.',
    rules: [
      {
        cel: "!has(self.parameters) || !('grant_type' in self.parameters || 'client_id' in self.parameters || 'client_secret' in self.parameters || 'scope' in self.parameters)",
        test: v =>
          !Object.keys((v['parameters'] as object | undefined) ?? {}).some(name =>
            ['grant_type', 'client_id', 'client_secret', 'scope'].includes(name),
          ),
        field: 'parameters',
        problem: 'grant_type, client_id, client_secret and scope have their own fields',
        fix: 'remove them',
      },
    ],
  },
);

const signedContext = object(
  {
    audience: required(
      string({
        description: 'aud of the token: the app that must accept it, and no other.',
        example: 'fleet',
        minLength: 1,
        maxLength: 1024,
      }),
    ),
    lifetime: defaulted(
      duration({
        minimumMs: 5 * SECOND,
        maximumMs: 10 * MINUTE,
        description: 'From iat to exp; the same caller gets the same token until a quarter of it is left.',
      }),
      '60s',
    ),
    header: defaulted({ ...settableHeader, description: 'The header that carries it.' }, 'X-Sallyport-Context'),
    key: optional({
      ...secretSource,
      description:
        'Private key (PEM or JWK: P-256, P-384, P-521, Ed25519, RSA from 2048 bits). Absent: one that each sidecar makes for itself at its start.',
    }),
  },
  {
    description:
      'A short token (JWS) of the verified identity, for apps that cannot do TLS: iss (urn:sallyport:NAMESPACE:NAME), aud, sub and kind of the caller, iat, exp, api, operation; for certificates cnf, for tokens idp. Any JOSE library verifies it with the keys at http://localhost:15191/.well-known/jwks.json; its typ is sallyport-context+jwt.',
  },
);

export const backendCredentialSpec = object(
  {
    meshCertificate: optional(meshCertificate),
    sharedAccessSignature: optional(sharedAccessSignature),
    basic: optional(basic),
    header: optional(header),
    oauth2ClientCredentials: optional(oauth2ClientCredentials),
    signedContext: optional(signedContext),
  },
  {
    description:
      'What the sidecar presents to the app; clients never see it. meshCertificate is of the certificate sort, the others of the header sort; one of each may apply together. Where a header sort applies, the client’s Authorization does not reach the app unless a jwt step says forwardToken. A Secret with the annotation sallyport.dev/allowed-hosts (names, separated by commas) is presented to no other host.',
    exactlyOneOf: [
      ['meshCertificate', 'sharedAccessSignature', 'basic', 'header', 'oauth2ClientCredentials', 'signedContext'],
    ],
  },
);
export type BackendCredentialSpec = Infer<typeof backendCredentialSpec>;
export type SharedAccessSignatureSpec = Infer<typeof sharedAccessSignature>;
export type OAuthSpec = Infer<typeof oauth2ClientCredentials>;
export type SignedContextSpec = Infer<typeof signedContext>;
export type SecretSource = Infer<typeof secretSource>;
