/** Kind Api: an API and its operations; also the listener: port, TLS, how the app is reached. */
import {
  defaulted,
  describe,
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
  type Infer,
} from '../schema.ts';
import { hostName, labelSelector, memberName, objectName, secretName, serverTrust, url } from './shared.ts';

const SECOND = 1000;
const HOUR = 3600 * SECOND;

/** What a literal segment may hold; the rest is what back ends read in different ways. */
const LITERAL = '([^\\x00-\\x20/{}*?#%;\\\\\\x7f]|%[0-9A-Fa-f]{2})+';
/** Literals, {parameters} that fill a segment, a last * or /. Each part begins with its own character: matching is linear. */
const PATH_TEMPLATE = `^(/${LITERAL}|/\\{[A-Za-z_][A-Za-z0-9_]*\\})*(/|/\\*)?$`;
const BASE_PATH = `^(/${LITERAL})*/?$`;

const operation = object({
  name: required({ ...memberName, description: 'The operation’s name; policies target it by sectionName.' }),
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
        example: ['POST'],
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
      holds: 'pathTemplate',
      pattern: PATH_TEMPLATE,
      patternText: 'a path such as /devices/{deviceId} or /files/*; a * may stand at the end only, after a /',
    }),
  ),
});

const trustedPeer = object(
  {
    identity: optional(
      string({
        description: 'Exact URI among the subject alternative names of the peer’s certificate; needs trust.',
        example: 'spiffe://cluster.local/ns/gateways/sa/edge',
        minLength: 1,
        maxLength: 2048,
      }),
    ),
    trust: optional({ ...objectName, description: 'The ClientTrust by which the identity must be proved.' }),
    cidr: optional(
      string({ description: 'An address range of peers.', example: '10.0.8.0/24', maxLength: 64, holds: 'cidr' }),
    ),
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
    quantity({
      description: 'Largest request head, request line included; more is 431 HeadersTooLarge.',
      minimumBytes: 1024,
      maximumBytes: 1048576,
    }),
    '64Ki',
  ),
  headers: defaulted(
    integer({ description: 'Most headers in a request; more is 431 HeadersTooLarge.', minimum: 1, maximum: 1000 }),
    100,
  ),
  targetBytes: defaulted(
    quantity({
      description: 'Longest request target; more is 414 TargetTooLong.',
      minimumBytes: 256,
      maximumBytes: 65536,
    }),
    '16Ki',
  ),
  bodyBytes: defaulted(
    quantity({
      description: 'Largest request body; 0: unlimited. More is 413 BodyTooLarge.',
      minimumBytes: 0,
      maximumBytes: 1099511627776,
    }),
    0,
  ),
  headTimeout: defaulted(
    duration({
      description: 'The whole head must arrive within this time, else 408 RequestTimeout.',
      minimumMs: 100,
      maximumMs: 120 * SECOND,
    }),
    '10s',
  ),
  bodyIdle: defaulted(
    duration({
      description: 'Longest silence within a request body; then 408 RequestTimeout.',
      minimumMs: 100,
      maximumMs: HOUR,
    }),
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
    integer({
      description: 'Most client connections of this port; more are closed at accept.',
      minimum: 1,
      maximum: 1000000,
    }),
    10000,
  ),
  perPeerConnections: defaulted(
    integer({
      description: 'Most client connections of one peer address; more are closed at accept.',
      minimum: 1,
      maximum: 1000000,
    }),
    1000,
  ),
});

const timeouts = object({
  connect: defaulted(
    duration({
      description: 'Connecting to the app, TLS handshake included; then 502 AppUnavailable.',
      minimumMs: 10,
      maximumMs: 60 * SECOND,
    }),
    '1s',
  ),
  response: defaulted(
    duration({
      description: 'From the end of the request to the head of the answer; then 504 AppTimeout.',
      minimumMs: 10,
      maximumMs: HOUR,
    }),
    '60s',
  ),
  idle: defaulted(
    duration({
      description: 'Longest silence of an open exchange or stream, which then ends.',
      minimumMs: 100,
      maximumMs: 24 * HOUR,
    }),
    '5m',
  ),
  poolIdle: defaulted(
    duration({
      description: 'How long an idle connection to the app is kept; below the app’s own keep-alive time.',
      minimumMs: 0,
      maximumMs: HOUR,
    }),
    '4s',
  ),
});

const isHttps = (value: unknown): boolean => typeof value === 'string' && value.startsWith('https:');

const app = object(
  {
    scheme: defaulted(
      enumeration(['http', 'https'], { description: 'How the app speaks; https needs trust or fingerprint.' }),
      'http',
    ),
    protocol: defaulted(
      enumeration(['Auto', 'HTTP1', 'HTTP2'], {
        description:
          'What the app speaks: Auto (with https what it agrees to by ALPN; with http HTTP/1.1, and HTTP/2 by prior knowledge for application/grpc), HTTP1 or HTTP2 (with http by prior knowledge). WebSockets are HTTP/1.1.',
      }),
      'Auto',
    ),
    credential: optional({
      ...objectName,
      description:
        'The BackendCredential presented to the app; a policy’s backend.credential of the same sort goes before it. meshCertificate needs TLS. 503 CredentialUnavailable while it cannot be had.',
    }),
    trust: optional({
      ...serverTrust,
      description: 'Which certificate authorities the app’s certificate must chain to; else 502 AppCertificateInvalid.',
    }),
    fingerprint: optional(
      string({
        description: 'SHA-256 of the app’s certificate, instead of trust; colons and case do not count.',
        maxLength: 128,
        pattern: '^sha256:([0-9a-fA-F]{2}:?){32}$',
        patternText: 'sha256: and 64 hex digits',
      }),
    ),
    serverName: optional(describe(hostName, 'Name that the app’s certificate must carry, and SNI.', 'fleet.shop.svc')),
    address: defaulted(
      enumeration(['PodIP', 'Loopback'], {
        description:
          'PodIP: the address that the client dialled; Loopback: 127.0.0.1, for an app that listens there only.',
      }),
      'PodIP',
    ),
    url: optional(
      url(
        'A fixed back end elsewhere, instead of scheme and address.',
        '^https?://[^\\s/?#@]+(/[^\\s?#]*)?$',
        'an http or https URL without query, fragment and user',
      ),
    ),
    timeouts: defaulted({ ...timeouts, description: 'How long the app is waited for.' }, {}),
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
        cel: "self.scheme == 'https' || (has(self.url) && self.url.startsWith('https:')) || !(has(self.trust) || has(self.fingerprint) || has(self.serverName))",
        test: v =>
          v['scheme'] === 'https' ||
          isHttps(v['url']) ||
          !['trust', 'fingerprint', 'serverName'].some(name => name in v),
        field: 'scheme',
        problem: 'trust, fingerprint and serverName need TLS to the app, but scheme is http',
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
  mode: defaulted(
    enumeration(['Terminate', 'Permissive'], {
      description: 'Terminate: TLS only. Permissive: TLS and plain HTTP on one port, told apart by the first byte.',
    }),
    'Terminate',
  ),
  certificate: required(
    object(
      {
        secretName: required(describe(secretName, 'A Secret of type kubernetes.io/tls, read again when it changes.')),
      },
      { description: 'The server certificate; chosen by SNI where several Apis share a port.' },
    ),
  ),
  minVersion: defaulted(enumeration(['1.2', '1.3'], { description: 'Oldest TLS version that is spoken.' }), '1.2'),
});

const memberOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;

export const apiSpec = object(
  {
    podSelector: required({ ...labelSelector, description: 'The pods of this Api, by their labels.' }),
    port: required(
      intOrString({
        description: 'Container port that is intercepted (number or name).',
        example: 8080,
        minimum: 1,
        maximum: 65535,
        maxLength: 15,
        pattern: '^([0-9][-0-9]*)?[a-z]([-a-z0-9]*[a-z0-9])?$',
        patternText: 'a port from 1 to 65535, or the name of a container port',
      }),
    ),
    protocol: defaulted(
      enumeration(['Auto', 'HTTP1', 'HTTP2', 'TCP'], {
        description:
          'What clients speak: Auto (HTTP/1.1 and HTTP/2, told apart by ALPN, on plaintext by the first bytes), HTTP1, HTTP2 (anything else is refused), or TCP: anything, passed on unread. Policies of a TCP Api take clientCertificate, ipFilter and concurrency; without tls it needs an explicit anonymous.',
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
        {
          description:
            'Host names of this Api, compared without case, port and trailing dot; absent: any. Nothing matches: 404 OperationNotFound.',
          example: ['fleet.example.com'],
          minItems: 1,
          maxItems: 64,
          set: true,
        },
      ),
    ),
    basePath: optional(
      string({
        description: 'Prefix of every operation; not stripped (but see app.url).',
        example: '/v1',
        minLength: 1,
        maxLength: 1024,
        holds: 'pathTemplate',
        pattern: BASE_PATH,
        patternText: 'a literal path that starts with /',
      }),
    ),
    unmatched: defaulted(
      enumeration(['Deny', 'Forward'], {
        description:
          'What becomes of a request that matches no operation: Deny (404 OperationNotFound), or Forward, judged by the policies of API and broader scopes.',
      }),
      'Deny',
    ),
    tls: optional({ ...tls, description: 'Absent: the port speaks plain HTTP.' }),
    trustedPeers: defaulted(
      list(trustedPeer, {
        description:
          'Who may send X-Forwarded-*, Forwarded, X-Real-IP, X-Request-Id and forwarded certificates; default nobody.',
        maxItems: 64,
      }),
      [],
    ),
    clientAddress: defaulted(
      object(
        {
          from: defaulted(
            enumeration(['Peer', 'ForwardedFor'], {
              description:
                'Peer: the connection’s other end; ForwardedFor: X-Forwarded-For, believed from trustedPeers only.',
            }),
            'Peer',
          ),
          trustedHops: defaulted(
            integer({
              minimum: 1,
              maximum: 16,
              description: 'How many addresses at the right end of X-Forwarded-For were written by trusted hops.',
            }),
            1,
          ),
        },
        { description: 'Which address is source.ip in expressions and limits.' },
      ),
      {},
    ),
    proxyProtocol: optional(
      object(
        {
          from: required(
            list(string({ description: 'An address range.', maxLength: 64, holds: 'cidr' }), {
              description: 'Address ranges of load balancers that send it.',
              example: ['10.0.9.0/24'],
              minItems: 1,
              maxItems: 64,
              set: true,
            }),
          ),
        },
        {
          description:
            'Peers that must begin every connection with the PROXY protocol (version 1 or 2), before TLS; its source address is then the peer: for source.ip, trustedPeers and perPeerConnections. From these a connection without it is closed, from all others one with it.',
        },
      ),
    ),
    paths: defaulted(
      object(
        {
          case: defaulted(
            enumeration(['Insensitive', 'Sensitive'], { description: 'Whether /A and /a are the same path.' }),
            'Insensitive',
          ),
          trailingSlash: defaulted(
            enumeration(['Same', 'Distinct'], { description: 'Whether /a and /a/ are the same path.' }),
            'Same',
          ),
        },
        {
          description:
            'Which paths are judged as the same; the defaults are what common frameworks treat as the same. Parameters keep their case.',
        },
      ),
      {},
    ),
    limits: defaulted({ ...limits, description: 'Bounds on what clients send.' }, {}),
    app: defaulted(app, {}),
    operations: optional(
      list(operation, {
        description:
          'Operations; absent: everything under basePath, at API scope. Of several that match, the most specific wins: host over no host, longer literal prefix, literal over {parameter} over *, method over none.',
        minItems: 1,
        maxItems: 10000,
        key: 'name',
      }),
    ),
  },
  {
    description: 'An API and its operations; also the listener: port, TLS, how the app is reached.',
    rules: [
      {
        cel: "self.protocol != 'TCP' || !(has(self.operations) || has(self.basePath) || has(self.hosts))",
        test: v => v['protocol'] !== 'TCP' || !['operations', 'basePath', 'hosts'].some(name => name in v),
        field: 'protocol',
        problem: 'TCP has no requests, so nothing of it can match hosts, basePath or operations',
        fix: 'remove hosts, basePath and operations',
      },
      {
        cel: "self.protocol != 'TCP' || !has(self.tls) || self.tls.mode != 'Permissive'",
        test: v => v['protocol'] !== 'TCP' || memberOf(v['tls'], 'mode') !== 'Permissive',
        field: 'tls',
        problem: 'the first byte of TCP may be any, so nobody can tell TLS from plaintext by it',
        fix: 'write mode: Terminate, or remove tls',
      },
      {
        cel: "self.protocol != 'TCP' || !has(self.app) || !has(self.app.url)",
        test: v => v['protocol'] !== 'TCP' || memberOf(v['app'], 'url') === undefined,
        field: 'app',
        problem: 'protocol: TCP passes bytes on to the pod, not to a URL',
        fix: 'remove url',
      },
      {
        cel: "self.protocol != 'TCP' || !has(self.clientAddress) || self.clientAddress.from != 'ForwardedFor'",
        test: v => v['protocol'] !== 'TCP' || memberOf(v['clientAddress'], 'from') !== 'ForwardedFor',
        field: 'clientAddress',
        problem: 'TCP has no X-Forwarded-For',
        fix: 'write from: Peer; with proxyProtocol the sender says who the client is',
      },
    ],
  },
);
export type ApiSpec = Infer<typeof apiSpec>;
export type ApiOperation = Infer<typeof operation>;
export type ApiLimits = Infer<typeof limits>;
export type ApiApp = Infer<typeof app>;
export type TrustedPeer = Infer<typeof trustedPeer>;
