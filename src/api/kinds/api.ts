/** Kind Api: an API and its operations; also the listener: port, TLS, how the app is reached. */
import {
  defaulted,
  duration,
  enumeration,
  integer,
  intOrString,
  list,
  object,
  optional,
  quantity,
  required,
  string,
  unbuilt,
  type Infer,
} from '../schema.ts';
import { labelSelector, memberName, objectName, serverTrust, url } from './shared.ts';

const SECOND = 1000;
const HOUR = 3600 * SECOND;

const operation = object({
  name: required(memberName),
  methods: optional(
    list(
      string({
        description: 'An HTTP method, upper case.',
        minLength: 1,
        maxLength: 32,
        pattern: '^[A-Z][A-Z0-9-]*$',
        patternText: 'an upper-case method such as GET',
      }),
      {
        description: 'Methods; absent: all. HEAD matches GET.',
        minItems: 1,
        maxItems: 16,
        set: true,
      },
    ),
  ),
  path: required(
    string({
      description:
        'Path template below basePath: literals, {parameter} for one non-empty segment, a trailing * for everything below.',
      example: '/devices/{deviceId}/telemetry',
      minLength: 1,
      maxLength: 1024,
      pattern: '^/',
      patternText: 'a path that starts with /',
    }),
  ),
});

const trustedPeer = object(
  {
    identity: optional(
      string({
        description: 'Exact URI among the subject alternative names of the peer’s certificate; needs trust.',
        minLength: 1,
        maxLength: 2048,
      }),
    ),
    trust: optional({ ...objectName, description: 'The ClientTrust by which the identity must be proved.' }),
    cidr: optional(string({ description: 'An address range, for example 10.0.8.0/24.', maxLength: 64, holds: 'cidr' })),
  },
  {
    exactlyOneOf: [['identity', 'cidr']],
    rules: [
      {
        cel: 'has(self.identity) == has(self.trust)',
        test: peer => 'identity' in peer === 'trust' in peer,
        field: 'trust',
        problem: 'identity and trust belong together',
        fix: 'give both, or cidr alone',
      },
    ],
  },
);

const limits = object({
  headBytes: defaulted(
    quantity({ description: 'Largest request head.', minimumBytes: 1024, maximumBytes: 1048576 }),
    '64Ki',
  ),
  headers: defaulted(integer({ description: 'Most headers in a request.', minimum: 1, maximum: 1000 }), 100),
  targetBytes: defaulted(
    quantity({ description: 'Longest request target.', minimumBytes: 256, maximumBytes: 65536 }),
    '16Ki',
  ),
  bodyBytes: defaulted(
    quantity({ description: 'Largest request body; 0: unlimited.', minimumBytes: 0, maximumBytes: 1099511627776 }),
    0,
  ),
  headTimeout: defaulted(
    duration({ description: 'The whole head must arrive within this time.', minimumMs: 100, maximumMs: 120 * SECOND }),
    '10s',
  ),
  bodyIdle: defaulted(
    duration({ description: 'Longest silence within a request body.', minimumMs: 100, maximumMs: HOUR }),
    '60s',
  ),
  clientIdle: defaulted(
    duration({
      description: 'How long an idle client connection is kept; above the 600 s of common load balancers.',
      minimumMs: SECOND,
      maximumMs: 24 * HOUR,
    }),
    '620s',
  ),
  connections: defaulted(
    integer({ description: 'Most client connections of this port.', minimum: 1, maximum: 1000000 }),
    10000,
  ),
  perPeerConnections: defaulted(
    integer({ description: 'Most client connections of one peer address.', minimum: 1, maximum: 1000000 }),
    1000,
  ),
});

const timeouts = object({
  connect: defaulted(
    duration({ description: 'Connecting to the app, TLS handshake included.', minimumMs: 10, maximumMs: 60 * SECOND }),
    '1s',
  ),
  response: defaulted(
    duration({ description: 'From the end of the request to the head of the answer.', minimumMs: 10, maximumMs: HOUR }),
    '60s',
  ),
  idle: defaulted(
    duration({ description: 'Longest silence of an open exchange or stream.', minimumMs: 100, maximumMs: 24 * HOUR }),
    '5m',
  ),
  poolIdle: defaulted(
    duration({ description: 'How long an idle connection to the app is kept.', minimumMs: 0, maximumMs: HOUR }),
    '4s',
  ),
});

const isHttps = (value: unknown): boolean => typeof value === 'string' && value.startsWith('https:');

const app = object(
  {
    scheme: defaulted(enumeration(['http', 'https']), 'http'),
    protocol: defaulted(
      enumeration(['Auto', 'HTTP1'], { unbuilt: { HTTP2: 'HTTP/2 to the app is not built yet' } }),
      'Auto',
    ),
    credential: optional({
      ...objectName,
      description: 'The BackendCredential (meshCertificate) presented to the app.',
    }),
    trust: optional(serverTrust),
    fingerprint: optional(
      string({
        description: 'SHA-256 of the app’s certificate, instead of trust.',
        maxLength: 128,
        pattern: '^sha256:([0-9a-fA-F]{2}:?){32}$',
        patternText: 'sha256: and 64 hex digits',
      }),
    ),
    serverName: optional(
      string({ description: 'Name that the app’s certificate must carry, and SNI.', minLength: 1, maxLength: 253 }),
    ),
    address: defaulted(enumeration(['PodIP', 'Loopback']), 'PodIP'),
    url: optional(
      url(
        'A fixed back end elsewhere, instead of scheme and address.',
        '^https?://[^\\s/?#@]+(/[^\\s?#]*)?$',
        'an http or https URL without query, fragment and user',
      ),
    ),
    timeouts: defaulted(timeouts, {}),
  },
  {
    description: 'How the app is reached.',
    atMostOneOf: [['trust', 'fingerprint']],
    rules: [
      {
        cel: "!(self.scheme == 'https' || (has(self.url) && self.url.startsWith('https:'))) || has(self.trust) || has(self.fingerprint)",
        test: v => !(v['scheme'] === 'https' || isHttps(v['url'])) || 'trust' in v || 'fingerprint' in v,
        field: 'trust',
        problem: 'an https app needs trust or fingerprint',
        fix: 'name the CA that signs the app’s certificate: trust: {configMapKeyRef: {name: app-ca, key: ca.crt}}',
      },
      {
        cel: "self.scheme == 'https' || (has(self.url) && self.url.startsWith('https:')) || !(has(self.trust) || has(self.fingerprint) || has(self.credential) || has(self.serverName))",
        test: v =>
          v['scheme'] === 'https' ||
          isHttps(v['url']) ||
          !['trust', 'fingerprint', 'credential', 'serverName'].some(name => name in v),
        field: 'scheme',
        problem: 'trust, fingerprint, credential and serverName need TLS to the app, but scheme is http',
        fix: 'set scheme: https',
      },
      {
        cel: "!has(self.url) || (self.address == 'PodIP')",
        test: v => !('url' in v) || v['address'] === 'PodIP',
        field: 'address',
        problem: 'url and address exclude each other',
        fix: 'remove address',
      },
    ],
  },
);

const tls = object({
  mode: defaulted(enumeration(['Terminate', 'Permissive']), 'Terminate'),
  certificate: required(
    object({
      secretName: required(
        string({
          description: 'A Secret of type kubernetes.io/tls, read again when it changes.',
          minLength: 1,
          maxLength: 253,
        }),
      ),
    }),
  ),
  minVersion: defaulted(enumeration(['1.2', '1.3']), '1.2'),
});

export const apiSpec = object(
  {
    podSelector: required(labelSelector),
    port: required(
      intOrString({
        description: 'Container port that is intercepted (number or name).',
        minimum: 1,
        maximum: 65535,
        maxLength: 15,
        pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
        patternText: 'a port from 1 to 65535, or the name of a container port',
      }),
    ),
    protocol: defaulted(
      enumeration(['Auto', 'HTTP1'], {
        unbuilt: { HTTP2: 'HTTP/2 is not built yet: Auto means HTTP/1.1', TCP: 'protocol TCP is not built yet' },
      }),
      'Auto',
    ),
    hosts: optional(
      list(
        string({
          description: 'A host name; *.x is one label.',
          minLength: 1,
          maxLength: 253,
          pattern: '^(\\*\\.)?[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*\\.?$',
          patternText: 'a host name without port, optionally *. in front',
        }),
        { minItems: 1, maxItems: 64, set: true },
      ),
    ),
    basePath: optional(
      string({
        description: 'Prefix of every operation; not stripped.',
        minLength: 1,
        maxLength: 1024,
        pattern: '^/',
        patternText: 'a path that starts with /',
      }),
    ),
    unmatched: defaulted(enumeration(['Deny', 'Forward']), 'Deny'),
    tls: optional(tls),
    trustedPeers: defaulted(
      list(trustedPeer, {
        description:
          'Who may send X-Forwarded-*, Forwarded, X-Real-IP, X-Request-Id and forwarded certificates; default nobody.',
        maxItems: 64,
      }),
      [],
    ),
    clientAddress: defaulted(
      object({
        from: defaulted(enumeration(['Peer', 'ForwardedFor']), 'Peer'),
        trustedHops: defaulted(
          integer({
            minimum: 1,
            maximum: 16,
            description: 'How many addresses at the right end of X-Forwarded-For were written by trusted hops.',
          }),
          1,
        ),
      }),
      {},
    ),
    proxyProtocol: optional(unbuilt('the PROXY protocol is not built yet')),
    paths: defaulted(
      object({
        case: defaulted(enumeration(['Insensitive', 'Sensitive']), 'Insensitive'),
        trailingSlash: defaulted(enumeration(['Same', 'Distinct']), 'Same'),
      }),
      {},
    ),
    limits: defaulted(limits, {}),
    app: defaulted(app, {}),
    operations: optional(
      list(operation, {
        description: 'Absent: everything under basePath, at API scope.',
        minItems: 1,
        maxItems: 10000,
        key: 'name',
      }),
    ),
  },
  { description: 'An API and its operations; also the listener: port, TLS, how the app is reached.' },
);
export type ApiSpec = Infer<typeof apiSpec>;
export type ApiOperation = Infer<typeof operation>;
export type ApiLimits = Infer<typeof limits>;
export type ApiApp = Infer<typeof app>;
export type TrustedPeer = Infer<typeof trustedPeer>;
