/** Corners of gateway semantics that users bring with them, each asked of a running sidecar and of explain. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Ask } from '../support/connection.ts';
import * as made from '../support/manifests.ts';
import { folded, type Behaviour, type Seen } from '../support/servers.ts';
import { ISSUER, ISSUER_KEY, mint, sign } from '../support/step-subjects.ts';
import { BEHIND_HOP, testTable, type Row, type Table } from '../support/table.ts';

const JWT = { issuers: ['corp'], audiences: ['api://fleet'] };
const jwt = (more: made.Spec = {}): made.Spec => ({ name: 'who', jwt: { ...JWT, ...more } });
const later = Math.floor(Date.now() / 1000) + 3600;
const claims = (more: string): string => `{"iss":"https://login.example.com","sub":"alice"${more}}`;
const good = await mint();
const unsecured = (signature: string): string =>
  `${Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')}.${good.split('.')[1] ?? ''}.${signature}`;
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** An operation of each name at a path of that name, with a policy of its own. */
const POLICIES: Readonly<Record<string, made.Spec>> = {
  bearer: { request: [jwt({ claimHeaders: { 'x-sub': 'sub' } })] },
  scheme: { request: [jwt({ from: [{ header: 'X-Token', scheme: 'Token' }] })] },
  bare: { request: [jwt({ from: [{ header: 'X-Token' }] })] },
  cookie: { request: [jwt({ from: [{ cookie: 'session' }] })] },
  query: {
    request: [
      jwt({ from: [{ query: 'access_token' }] }),
      { name: 'hidden', authorize: { deny: [{ expression: "'access_token' in request.query" }] } },
    ],
  },
  scope: { request: [jwt({ requiredClaims: [{ name: 'scope', values: ['read'] }] })] },
  roles: {
    request: [jwt({ requiredClaims: [{ name: 'roles', match: 'Any', values: ['a', 'b'], separator: ',' }] })],
  },
  level: { request: [jwt({ requiredClaims: [{ name: 'level', values: ['3'] }] })] },
  rewritten: {
    request: [{ name: 'early', removeHeaders: ['X-Early'] }, jwt({ from: [{ header: 'X-Early' }] })],
  },
  keyed: { request: [{ name: 'key', subscription: { header: 'X-Key', query: 'key' } }] },
  optional: { request: [{ name: 'key', anyOf: [{ subscription: { header: 'X-Key' } }, { anonymous: {} }] }] },
  forgotten: {
    request: [{ name: 'if', choose: { when: [{ condition: "request.headers['x-a'] == 'b'", steps: [made.OPEN] }] } }],
  },
  visible: {
    request: [
      made.OPEN,
      {
        name: 'show',
        setHeaders: [
          { name: 'x-joined', value: "${request.headers['x-many']}" },
          { name: 'x-cookie', value: '${request.headers.cookie}' },
          { name: 'x-size', value: '${request.size}' },
          { name: 'x-host', value: '${request.host}' },
          { name: 'x-list', value: "${request.query['a'].join('|')}" },
          { name: 'x-pairs', pairs: { a: "${request.headers['x-many']}", b: 'b;c=d' } },
        ],
      },
    ],
  },
  counted: {
    request: [
      made.OPEN,
      { name: 'one', rateLimit: { calls: 1, period: '1h', key: "${request.headers['x-one']}" } },
      { name: 'two', rateLimit: { calls: 2, period: '1h', key: "${request.headers['x-one']}" } },
    ],
  },
  daily: { request: [made.OPEN, { name: 'day', quota: { calls: 1, period: '24h' } }] },
  cookies: {
    request: [made.OPEN],
    response: [{ name: 'mine', setHeaders: [{ name: 'Set-Cookie', value: 'mine=1', ifExists: 'Append' }] }],
  },
  hidden: { request: [made.OPEN], response: [{ name: 'hide', hideBackend: { rewriteHosts: {} } }] },
  swapped: {
    request: [made.OPEN],
    response: [{ name: 'swap', replaceText: { from: 'internal', to: 'public', mediaTypes: ['text/*'] } }],
  },
  told: {
    request: [{ name: 'no', requireHeader: { name: 'X-No' } }],
    errors: { overrides: [{ reasons: ['HeaderNotFound'], status: 418, message: 'No tea.' }] },
  },
  plain: { request: [{ name: 'no', requireHeader: { name: 'X-No' } }], errors: { format: 'Text' } },
  quiet: { request: [{ name: 'no', requireHeader: { name: 'X-No' } }], errors: { format: 'Empty' } },
  order: {
    request: [made.OPEN],
    response: [{ name: 'narrow', setHeaders: [{ name: 'X-Last', value: 'narrow' }] }],
  },
};

const policies = Object.entries(POLICIES).map(([name, spec]) =>
  made.authPolicy(name, { ...spec, ...made.onApi('fleet', name) }),
);

const behaviour: Behaviour = ({ path }, response) => {
  if (path.startsWith('/hidden')) {
    response.setHeader('Server', 'Kestrel').setHeader('Via', '1.1 inside').setHeader('X-AspNet-Version', '4');
    response.setHeader('Location', 'http://localhost:8443/next').setHeader('X-Kept', '1');
    response.writeHead(path.includes('broken') ? 500 : 302).end('at Contoso.Orders.Handle(Order o)');
  } else if (path.startsWith('/swapped')) {
    response.setHeader('Content-Type', 'text/plain').setHeader('ETag', '"1"');
    if (path.includes('same')) response.writeHead(304).end();
    else response.end('from internal to internal');
  } else {
    response.setHeader('Set-Cookie', ['a=1, b', 'c=2']).setHeader('X-Last', 'app').end('hello\n');
  }
};

const at = (path: string, ...headers: readonly (readonly [string, string])[]): Ask => ({ path, headers });
const withToken = (path: string, token: string): Ask => at(path, ['Authorization', `Bearer ${token}`]);
const saw =
  (name: string, ...values: readonly string[]) =>
  (seen: Seen): void =>
    assert.deepEqual(folded(seen.lines, name), values);
const sawPath =
  (path: string) =>
  (seen: Seen): void =>
    assert.equal(seen.path, path);

const rows: Readonly<Record<string, Row>> = {
  '2.2 a token is told by its scheme in any case': {
    ...{ ask: at('/bearer', ['authorization', `bEARER ${good}`]), says: '200', app: saw('x-sub', 'alice') },
  },
  '2.2 no token: the challenge names no error': {
    ...{ ask: at('/bearer'), says: '401 TokenNotPresent', headers: { 'WWW-Authenticate': /^Bearer realm="fleet"$/ } },
  },
  '2.2 a bad one: invalid_token': {
    ask: withToken('/bearer', `${good.slice(0, -8)}AAAAAAAA`),
    ...{ says: '401 TokenSignatureInvalid', headers: { 'WWW-Authenticate': /error="invalid_token"/ } },
  },
  '2.2 an unsigned one is none of an algorithm that is allowed': {
    ...{ ask: withToken('/bearer', unsecured('AAAA')), says: '401 TokenAlgorithmNotAllowed' },
  },
  '2.2 one without a signature is none at all': {
    ...{ ask: withToken('/bearer', unsecured('')), says: '401 TokenMalformed' },
  },
  '2.2 without a key id every key is tried': {
    ask: withToken('/bearer', await sign(claims(`,"aud":"api://fleet","exp":${later}`), { kid: undefined })),
    ...{ says: '200', app: saw('authorization') },
  },
  '2.2 a key id that nobody has': {
    ask: withToken('/bearer', await sign(claims(`,"aud":"api://fleet","exp":${later}`), { kid: 'b' })),
    says: '401 TokenKeyNotFound',
  },
  '2.2 an issuer that is another by its last slash': {
    ask: withToken('/bearer', await sign(`{"iss":"https://login.example.com/","aud":"api://fleet","exp":${later}}`)),
    says: '401 TokenIssuerNotAllowed',
  },
  '2.2 one audience of a list': {
    ask: withToken('/bearer', await sign(claims(`,"aud":["a","api://fleet"],"exp":${later}`))),
    ...{ says: '200', app: saw('x-sub', 'alice') },
  },
  '2.2 no audience at all': {
    ask: withToken('/bearer', await sign(claims(`,"exp":${later}`))),
    says: '401 TokenAudienceNotAllowed',
  },
  '2.2 no end': {
    ask: withToken('/bearer', await sign(claims(',"aud":"api://fleet"'))),
    says: '401 TokenExpirationMissing',
  },
  '2.2 an end that is text': {
    ask: withToken('/bearer', await sign(claims(`,"aud":"api://fleet","exp":"${later}"`))),
    says: '401 TokenMalformed',
  },
  '2.2 a scheme counts in another header too': {
    ...{ ask: at('/scheme', ['X-Token', `token ${good}`]), says: '200', app: saw('x-token') },
  },
  '2.2 without it there is no token': { ask: at('/scheme', ['X-Token', good]), says: '401 TokenNotPresent' },
  '2.2 where no scheme is asked for, one is part of the token': {
    ask: at('/bare', ['X-Token', `Bearer ${good}`]),
    says: '401 TokenMalformed',
  },
  '2.2 from a cookie, which alone is cut out': {
    ask: at('/cookie', ['Cookie', `a=1; session=${good}; b=2`]),
    ...{ says: '200', app: saw('cookie', 'a=1; b=2') },
  },
  '2.2 from the query, which keeps its other bytes, and no expression sees it': {
    ask: at(`/query?b=%7e&access_token=${good}&c=+`),
    ...{ says: '200', app: sawPath('/query?b=%7e&c=+') },
  },
  '2.2 a scope in a text, among others': {
    ask: withToken('/scope', await mint(',"scope":"write read"')),
    ...{ says: '200', app: saw('authorization') },
  },
  '2.2 a scope that is missing is 403, and the challenge says which': {
    ask: withToken('/scope', await mint(',"scope":"write"')),
    ...{ says: '403 InsufficientScope', headers: { 'WWW-Authenticate': /error="insufficient_scope", scope="read"/ } },
  },
  '2.2 a separator makes several values': {
    ask: withToken('/roles', await mint(',"roles":"x,b"')),
    ...{ says: '200', app: saw('authorization') },
  },
  '2.2 without a value of the list it is 401': {
    ask: withToken('/roles', await mint(',"roles":"x, b"')),
    says: '401 TokenClaimNotAllowed',
  },
  '2.2 a number is compared by its JSON text': {
    ask: withToken('/level', await mint(',"level":3')),
    ...{ says: '200', app: saw('authorization') },
  },
  'E1 a step that removes a header takes no credential away from a later one': {
    ask: at('/rewritten', ['X-Early', good]),
    ...{ says: '200', app: saw('x-early') },
  },
  '2.12 the key in the header counts before that in the query, and neither reaches the app': {
    ask: at('/keyed?key=wrong&a=1', ['X-Key', 'opensesame']),
    says: '200',
    app: seen => {
      sawPath('/keyed?a=1')(seen);
      saw('x-key')(seen);
    },
  },
  '2.12 a valid key is taken where none is needed': {
    ...{ ask: at('/optional', ['X-Key', 'opensesame']), says: '200', app: saw('x-key') },
  },
  '2.12 no key is none': { ask: at('/optional'), says: '200', app: saw('x-key') },
  '2.12 a bad one is no reason to be nobody (E3)': {
    ask: at('/optional', ['X-Key', 'sesame']),
    says: '401 SubscriptionKeyInvalid',
  },
  '2.13 a forgotten otherwise does not open (S7)': {
    ask: at('/forgotten', ['X-A', 'c']),
    says: '403 NoPolicyMatches',
  },
  '2.13 nor does a condition that fails (E8)': { ask: at('/forgotten'), says: '403 ExpressionFailed' },
  'E6 lines of one name are joined, cookies by semicolons, sizes known': {
    ask: {
      ...at('/visible?a=1&a=2&b=', ['X-Many', 'a;b=c'], ['X-Many', 'd'], ['Cookie', 'a=1'], ['Cookie', 'b=2']),
      ...{ method: 'POST', host: 'Fleet.Example.com:8443', body: 'four' },
    },
    says: '200',
    app: seen => {
      saw('x-joined', 'a;b=c, d')(seen);
      saw('x-cookie', 'a=1; b=2')(seen);
      saw('x-size', '4')(seen);
      saw('x-host', 'fleet.example.com')(seen);
      saw('x-list', '1|2')(seen);
      saw('x-pairs', 'a=a%3Bb%3Dc%2C%20d;b=b%3Bc%3Dd;')(seen);
      saw('host', 'Fleet.Example.com:8443')(seen);
    },
  },
  '2.9 one key in two steps is two counters: both count': {
    ...{ ask: at('/counted', ['X-One', 'a']), says: '200', app: saw('x-one', 'a') },
  },
  '2.9 the narrower of them denies': {
    ask: at('/counted', ['X-One', 'a']),
    ...{ says: '429 RateLimitExceeded', offline: '200', headers: { 'Retry-After': /^[0-9]+$/ } },
  },
  '2.11 another key is not affected': { ask: at('/counted', ['X-One', 'b']), says: '200', app: saw('x-one', 'b') },
  'quota: once': { ask: at('/daily'), says: '200' },
  'quota: used up is 403, with the time that is left': {
    ask: at('/daily'),
    ...{ says: '403 QuotaExceeded', offline: '200', headers: { 'Retry-After': /^8[0-9]{4}$/ } },
  },
  '2.1 Set-Cookie is never joined': {
    ask: at('/cookies'),
    ...{ says: '200', headers: { 'Set-Cookie': /^a=1, b\nc=2\nmine=1$/ } },
  },
  '2.1 what tells of the back end goes, the rest stays': {
    ask: at('/hidden'),
    says: '302',
    ...{ offline: '200', app: saw('accept-encoding') },
    headers: {
      Server: null,
      Via: null,
      'X-AspNet-Version': null,
      'X-Kept': /^1$/,
      Location: /^http:\/\/fleet\.example\.com\/next$/,
    },
  },
  '2.1 bodies of its failures are replaced': {
    ask: at('/hidden?broken'),
    ...{ says: '500', offline: '200', app: saw('x-key'), headers: { Server: null, 'Content-Type': /problem\+json/ } },
  },
  '2.1 replaced text has another length and no ETag': {
    ask: at('/swapped'),
    ...{ says: '200', headers: { 'Content-Length': /^21$/, ETag: null } },
  },
  '2.1 an answer without a body has nothing to replace': {
    ask: at('/swapped?same'),
    ...{ says: '304', offline: '200', app: saw('accept-encoding', 'identity') },
  },
  'errors: an override gives status and message, and the reason stays': {
    ...{ ask: at('/told'), says: '418 HeaderNotFound', headers: { 'Content-Type': /problem\+json/ } },
  },
  'errors: as text': {
    ask: at('/plain'),
    says: '403',
    offline: '403 HeaderNotFound',
    headers: { 'Content-Type': /^text\/plain/ },
  },
  'errors: empty': {
    ask: at('/quiet'),
    says: '403',
    offline: '403 HeaderNotFound',
    headers: { 'Content-Length': /^0$/ },
  },
  'S3 the broader scope has the last word on an answer': {
    ...{ ask: at('/order'), says: '200', headers: { 'X-Last': /^broad$/ } },
  },
  'M3 headers that would make it another method do not reach the app': {
    ask: at('/cookies', ['X-HTTP-Method-Override', 'DELETE'], ['X_Method_Override', 'PUT']),
    says: '200',
    app: seen => {
      saw('x-http-method-override')(seen);
      saw('x-method-override')(seen);
    },
  },
  'M3 nor does the query': { ask: at('/bearer?_method=DELETE'), says: '400 MalformedRequest' },
  'P6 OPTIONS without a cors step is an ordinary request': {
    ask: { ...at('/bearer', ['Origin', 'https://a.example']), method: 'OPTIONS' },
    says: '401 TokenNotPresent',
  },
};

const manifests: Table['manifests'] = [
  made.api('fleet', { ...BEHIND_HOP, operations: Object.keys(POLICIES).map(name => ({ name, path: `/${name}` })) }),
  ...policies,
  made.authPolicy('broad', {
    request: [],
    response: [
      {
        name: 'last',
        when: "request.path == '/order'",
        setHeaders: [{ name: 'X-Last', value: 'broad' }],
      },
    ],
  }),
  ...[ISSUER, ISSUER_KEY],
  made.subscription('a', { primaryKeyHash: made.fromSecret('keys', 'a') }),
  made.secret('keys', { a: sha256('opensesame') }),
];

testTable('semantics of gateways, corner by corner', { manifests, rows, behaviour });
