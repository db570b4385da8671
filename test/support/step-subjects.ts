/** One configuration for every step of the schema, with a request that it lets pass and one that it does not. */
import { createHash, createHmac } from 'node:crypto';
import { CompactSign, exportJWK } from 'jose';
import { createAuthority, createKeyPair, type IssuedCertificate } from '../../src/demo/pki.ts';
import type { Answer, Ask } from './connection.ts';
import * as made from './manifests.ts';
import { DeviceAuth, RecordingApp, type Seen } from './servers.ts';

export interface Subject {
  readonly step: made.Spec;
  /** Beside what tells the subjects apart. */
  readonly when?: string;
  /** Run before it, in the same policy. */
  readonly before?: readonly made.Spec[];
  readonly good: Ask;
  readonly bad: Ask;
  /** What an enforced one says to `bad`. */
  readonly reason: string;
  /** Only a second one is bad, which explain cannot know. */
  readonly second?: true;
  /** Only one while another is open is bad, which explain cannot know. */
  readonly whileOpen?: true;
  /** It answers; that is no denial, so Audit has nothing to count. */
  readonly answers?: true;
  /** What an enforced one does with `good`, and one in Audit does not (S8): header `name` of what the app or the client gets. */
  readonly effect?: Effect;
  readonly more?: readonly made.Manifest[];
}

interface Effect {
  readonly on: 'app' | 'client';
  readonly read: (seen: Seen, answer: Answer) => string;
  readonly enforced: string;
  readonly audit: string;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const headerOf = ({ headers }: Answer, name: string): string => headers.get(name)?.join('|') ?? '';
const lineOf = ({ lines }: Seen, name: string): string =>
  lines.flatMap(([other, value]) => (other.toLowerCase() === name ? [value] : [])).join('|');

const toApp = (name: string, enforced: string, audit: string): Effect => ({
  ...{ on: 'app', read: seen => lineOf(seen, name), enforced, audit },
});
const toClient = (name: string, enforced: string, audit: string): Effect => ({
  ...{ on: 'client', read: (_, answer) => headerOf(answer, name), enforced, audit },
});
const inBody = (enforced: string, audit: string): Effect => ({
  ...{ on: 'client', read: (_, { body }) => body, enforced, audit },
});

/** What the app answers to everybody; the response part works on it. */
export const APP_BODY = 'hello from internal.example\n';
export const APP_HEADERS = { 'content-type': 'text/plain', 'x-powered-by': 'Express', 'x-debug': 'on' };
/** The app lets a request with this header wait. */
export const HOLD = 'X-Hold';

const headers = (...lines: readonly (readonly [string, string])[]): Ask => ({ path: '', headers: lines });
const from = (address: string): Ask => headers(['X-Forwarded-For', address]);
const GOLD = headers(['X-Tier', 'gold']);
const PLAIN = headers();
const FAILED = '403 ExpressionFailed';
const TIER = "${request.headers['x-tier']}";
/** Fails without the header (E8). */
const IS_GOLD = "request.headers['x-tier'] == 'gold'";

const keyed = (key: string): Ask => headers(['X-Key', key]);
const signed = (text: string): Ask => ({
  ...headers([
    'X-Hub-Signature-256',
    `sha256=${createHmac('sha256', sha256('opensesame')).update(text).digest('hex')}`,
  ]),
  method: 'POST',
  body: 'opensesame',
});

const key = createKeyPair('P-256');
const devices = createAuthority({ name: 'devices' });
export const robot = devices.issue({ subject: 'robot-7' });
const stranger = createAuthority({ name: 'stranger' }).issue({ subject: 'robot-7' });
export const ROBOT_SHA1 = robot.sha1;

/** Signed by the key of the issuer that the policies know: JSON text, and what its header says. */
export const sign = (claims: string, header: Readonly<Record<string, string | undefined>> = {}): Promise<string> =>
  new CompactSign(Buffer.from(claims)).setProtectedHeader({ alg: 'ES256', kid: 'a', ...header }).sign(key.privateKey);

/** A token of that issuer; `more` is JSON of further members, with a comma before it. */
export function mint(more = '', header: Readonly<Record<string, string>> = {}): Promise<string> {
  const exp = Math.floor(Date.now() / 1000) + 3600;
  return sign(`{"iss":"https://login.example.com","aud":"api://fleet","sub":"alice","exp":${exp}${more}}`, header);
}
const token = await mint();
const bearer = (text: string): Ask => headers(['Authorization', `Bearer ${text}`]);
const JWT = { issuers: ['corp'], audiences: ['api://fleet'] };
/** The issuer, and its key. */
export const ISSUER = made.tokenIssuer('corp', {
  issuer: 'https://login.example.com',
  keys: [{ kid: 'a', ...made.fromConfigMap('corp', 'key') }],
});
export const ISSUER_KEY = made.configMap('corp', {
  key: JSON.stringify({ ...(await exportJWK(key.publicKey)), kid: 'a', alg: 'ES256' }),
});

/** A certificate as a hop in front tells it. */
export const shown = ({ der }: IssuedCertificate): readonly [string, string] => [
  'Client-Cert',
  `:${Buffer.from(der).toString('base64')}:`,
];
const CERTIFICATE: made.Spec = { name: 'who', clientCertificate: { trust: 'devices' } };
const TRUST = made.clientTrust('devices', {
  anchors: [made.fromConfigMap('devices')],
  revocation: { mode: 'Disabled' },
  sources: [{ header: { name: 'Client-Cert', format: 'RFC9440', acceptAddressTrust: true } }],
});
const TRUST_ANCHOR = made.configMap('devices', { 'ca.crt': devices.certificatePem });
export const DEVICE_HOST = 'device-auth.shop.svc';
const SERVICE = made.deviceAuthService('devices', {
  url: `http://${DEVICE_HOST}/check`,
  // What no header can carry, nobody is asked about (E8).
  request: { headers: { 'X-Device': '${deviceId}' } },
});

export const REQUEST_SUBJECTS: Readonly<Record<string, Subject>> = {
  jwt: {
    ...{ step: { jwt: JWT }, good: bearer(token), bad: bearer(`${token.slice(0, -8)}AAAAAAAA`) },
    ...{ reason: '401 TokenSignatureInvalid', more: [ISSUER, ISSUER_KEY] },
    effect: toApp('authorization', '', `Bearer ${token}`),
  },
  clientCertificate: {
    ...{ step: { clientCertificate: { trust: 'devices' } }, good: headers(shown(robot)) },
    ...{ bad: headers(shown(stranger)), reason: '403 ClientCertificateUntrusted', more: [TRUST, TRUST_ANCHOR] },
  },
  subscription: {
    ...{ step: { subscription: { header: 'X-Key' } }, good: keyed('opensesame'), bad: keyed('sesame') },
    reason: '401 SubscriptionKeyInvalid',
    effect: toApp('x-key', '', 'opensesame'),
    more: [
      made.subscription('partner-a', { primaryKeyHash: made.fromSecret('keys', 'primary') }),
      made.secret('keys', { primary: sha256('opensesame') }),
    ],
  },
  hmacSignature: {
    // A cluster policy names the namespace of its keys, and says that they may reach tenants.
    step: { hmacSignature: { preset: 'GitHub', keys: [made.fromSecret('keys', 'primary')] } },
    ...{ good: signed('opensesame'), bad: signed('sesame'), reason: '401 SignatureInvalid' },
  },
  anyOf: {
    step: { anyOf: [{ jwt: JWT }, { clientCertificate: { trust: 'devices' } }] },
    ...{ good: headers(shown(robot)), bad: bearer('a.b.c'), reason: '401 TokenMalformed' },
  },
  deviceAuth: {
    before: [CERTIFICATE],
    step: { deviceAuth: { service: 'devices', deviceId: "${request.headers['x-device']}" } },
    good: headers(shown(robot), ['X-Device', 'robot-7']),
    ...{ bad: headers(shown(robot)), reason: '403 DeviceMismatch', more: [SERVICE] },
  },
  authorize: {
    ...{ step: { authorize: { allow: [{ expression: IS_GOLD }] } }, good: GOLD, bad: PLAIN },
    reason: '403 AuthorizationDenied',
  },
  ipFilter: {
    ...{ step: { ipFilter: { allow: ['203.0.113.0/24'] } }, good: from('203.0.113.9'), bad: from('192.0.2.1') },
    reason: '403 AddressNotAllowed',
  },
  rateLimit: {
    step: { rateLimit: { calls: 1, period: '24h', key: '${source.ip}', headers: true } },
    when: "source.ip != '203.0.113.9'",
    ...{ good: from('203.0.113.9'), bad: from('192.0.2.1'), reason: '429 RateLimitExceeded', second: true },
  },
  quota: {
    step: { quota: { calls: 1, period: '24h', key: '${source.ip}' } },
    when: "source.ip != '203.0.113.9'",
    ...{ good: from('203.0.113.9'), bad: from('192.0.2.2'), reason: '403 QuotaExceeded', second: true },
  },
  requireHeader: {
    ...{ step: { requireHeader: { name: 'X-Tier', values: ['gold'] } }, good: GOLD, bad: PLAIN },
    reason: '403 HeaderNotFound',
  },
  concurrency: {
    step: { concurrency: { max: 1, key: '${source.ip}' } },
    ...{ good: from('203.0.113.9'), bad: from('192.0.2.3'), reason: '429 ConcurrencyExceeded', whileOpen: true },
  },
  cors: {
    step: { cors: { allowOrigins: ['https://a.example'] } },
    when: IS_GOLD,
    good: headers(['X-Tier', 'gold'], ['Origin', 'https://a.example']),
    ...{ bad: headers(['Origin', 'https://a.example']), reason: FAILED },
    effect: toClient('access-control-allow-origin', 'https://a.example', ''),
  },
  setHeaders: {
    ...{ step: { setHeaders: [{ name: 'x-out', value: TIER }] }, good: GOLD, bad: PLAIN, reason: FAILED },
    effect: toApp('x-out', 'gold', ''),
  },
  removeHeaders: {
    step: { removeHeaders: ['X-Env'] },
    when: IS_GOLD,
    ...{ good: headers(['X-Tier', 'gold'], ['X-Env', 'prod']), bad: PLAIN, reason: FAILED },
    effect: toApp('x-env', '', 'prod'),
  },
  setVariables: { step: { setVariables: { tier: TIER } }, good: GOLD, bad: PLAIN, reason: FAILED },
  choose: {
    step: {
      choose: {
        when: [{ condition: IS_GOLD, steps: [{ name: 'in', setHeaders: [{ name: 'x-chosen', value: 'a' }] }] }],
      },
    },
    ...{ good: GOLD, bad: PLAIN, reason: FAILED, effect: toApp('x-chosen', 'a', '') },
  },
  respond: {
    step: { respond: { status: 410, body: 'gone' } },
    when: "request.headers['x-tier'] == 'gone'",
    ...{ good: GOLD, bad: headers(['X-Tier', 'gone']), reason: '410', answers: true },
  },
};

const BROKEN = '502 AppProtocolError';

export const RESPONSE_SUBJECTS: Readonly<Record<string, Subject>> = {
  hideBackend: {
    ...{ step: { hideBackend: {} }, when: IS_GOLD, good: GOLD, bad: PLAIN, reason: BROKEN },
    effect: toClient('x-powered-by', '', 'Express'),
  },
  setHeaders: {
    ...{ step: { setHeaders: [{ name: 'x-out', value: TIER }] }, good: GOLD, bad: PLAIN, reason: BROKEN },
    effect: toClient('x-out', 'gold', ''),
  },
  removeHeaders: {
    ...{ step: { removeHeaders: ['X-Debug'] }, when: IS_GOLD, good: GOLD, bad: PLAIN, reason: BROKEN },
    effect: toClient('x-debug', '', 'on'),
  },
  replaceText: {
    step: { replaceText: { from: 'internal.example', to: 'fleet.example.com', mediaTypes: ['text/*'] } },
    ...{ when: IS_GOLD, good: GOLD, bad: PLAIN, reason: BROKEN },
    effect: inBody('hello from fleet.example.com\n', APP_BODY),
  },
  choose: {
    step: {
      choose: {
        when: [{ condition: IS_GOLD, steps: [{ name: 'in', setHeaders: [{ name: 'x-chosen', value: 'a' }] }] }],
      },
    },
    ...{ good: GOLD, bad: PLAIN, reason: BROKEN, effect: toClient('x-chosen', 'a', '') },
  },
  respond: {
    ...{ step: { respond: { status: 203, body: TIER } }, good: GOLD, bad: PLAIN, reason: BROKEN },
    effect: inBody('gold', APP_BODY),
  },
};

export interface Counterparts {
  readonly app: RecordingApp;
  readonly service: DeviceAuth;
}

/** The app and the device-auth service that the subjects talk of, until the test ends. What asks to be held is not answered. */
export async function startCounterparts(t: { after(end: () => unknown): void }): Promise<Counterparts> {
  const app = await new RecordingApp(({ lines }, response) => {
    if (lines.some(([name]) => name === HOLD)) return;
    response.writeHead(200, APP_HEADERS).end(APP_BODY);
  }).start();
  t.after(() => app.stop());
  const service = await new DeviceAuth().start();
  t.after(() => service.stop());
  return { app, service };
}
