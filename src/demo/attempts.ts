/** The requests of the demo, each with what must come of it. Pure data: the walk-through prints it, `demo --run` performs it. */
import type { Reason } from '../api/reasons.ts';
import type { TokenOptions } from './issuer.ts';
import type { DeviceName } from './material.ts';

const WEB = { clientId: 'web-portal', scope: 'ManagementApi profile' };

/** Tokens by the name of their file. */
export const TOKENS = {
  web: { claims: WEB },
  expired: { claims: WEB, expiresIn: -600 },
  'other-audience': { claims: WEB, audience: 'api://billing' },
  'other-scope': { claims: { ...WEB, scope: 'profile' } },
  'no-client-id': { claims: { scope: WEB.scope } },
  'other-issuer': { claims: WEB, issuer: 'https://login.evil.example' },
  forged: { claims: WEB, forged: true },
} as const satisfies Readonly<Record<string, TokenOptions>>;
export type TokenName = keyof typeof TOKENS;

export interface Attempt {
  readonly title: string;
  /** Default `sidecar`. */
  readonly to?: 'sidecar' | 'app';
  readonly method?: 'GET' | 'POST';
  readonly path: string;
  readonly token?: TokenName;
  readonly device?: DeviceName;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly expect: Expectation;
}

export interface Expectation {
  /** 0: the connection is refused. */
  readonly status: number;
  readonly reason?: Reason;
  /** The app must (true) or must not get the request. Default: as the status says. */
  readonly reachesApp?: boolean;
  /** Headers as the app must see them; null: it must not see one of that name, however it is spelt. */
  readonly app?: Readonly<Record<string, string | null>>;
  /** Must not occur in the answer's headers and body. */
  readonly hidden?: readonly string[];
  /** Must occur in the answer's headers or body. */
  readonly shown?: readonly string[];
}

const DEVICE = '/v1/devices/robot-7';
const TELEMETRY = `${DEVICE}/telemetry`;
const BODY = '{"celsius":21}';
const CONTEXT = 'x-request-context-data';
/** Stands for the thumbprint of robot-7's certificate. */
export const THUMBPRINT = '{thumbprint}';
const VERIFIED = `certificateThumbprint=${THUMBPRINT};deviceId=robot-7;`;
const LEAKS = ['Kestrel', 'ASP.NET', '4.0.30319', 'fleet.shop.svc', 'Files.cs', 'SqlException'];
const FORGED = 'deviceId=robot-1;certificateThumbprint=00;';

const post = { method: 'POST', path: TELEMETRY, body: BODY } as const;

export const ATTEMPTS: readonly Attempt[] = [
  {
    title: 'web client with a token',
    path: DEVICE,
    token: 'web',
    expect: { status: 200, app: { 'x-client-id': 'web-portal', authorization: null, [CONTEXT]: null }, hidden: LEAKS },
  },
  {
    title: 'device with its certificate',
    ...post,
    device: 'robot-7',
    expect: { status: 200, app: { [CONTEXT]: VERIFIED }, hidden: LEAKS },
  },
  { title: 'no credentials', path: DEVICE, expect: { status: 401, reason: 'TokenNotPresent' } },
  { title: 'expired token', path: DEVICE, token: 'expired', expect: { status: 401, reason: 'TokenExpired' } },
  {
    title: 'token for another audience',
    path: DEVICE,
    token: 'other-audience',
    expect: { status: 401, reason: 'TokenAudienceNotAllowed' },
  },
  {
    title: 'token of another issuer',
    path: DEVICE,
    token: 'other-issuer',
    expect: { status: 401, reason: 'TokenIssuerNotAllowed' },
  },
  {
    title: 'token signed by somebody else',
    path: DEVICE,
    token: 'forged',
    expect: { status: 401, reason: 'TokenSignatureInvalid' },
  },
  {
    title: 'token without the scope',
    path: DEVICE,
    token: 'other-scope',
    expect: { status: 403, reason: 'InsufficientScope' },
  },
  {
    title: 'token without clientId',
    path: DEVICE,
    token: 'no-client-id',
    expect: { status: 401, reason: 'TokenClaimNotFound' },
  },
  {
    title: 'web client at the devices’ operation',
    ...post,
    token: 'web',
    expect: { status: 403, reason: 'AuthorizationDenied' },
  },
  {
    title: 'device that device-auth does not know',
    ...post,
    path: '/v1/devices/robot-8/telemetry',
    device: 'robot-8',
    expect: { status: 403, reason: 'DeviceNotRecognized' },
  },
  {
    title: 'device that claims to be another one',
    ...post,
    path: '/v1/devices/robot-8/telemetry',
    device: 'robot-7',
    expect: { status: 403, reason: 'DeviceMismatch' },
  },
  {
    title: 'device-auth is broken: nobody’s fault',
    ...post,
    path: '/v1/devices/robot-5/telemetry',
    device: 'robot-5',
    expect: { status: 503, reason: 'DeviceAuthUnavailable' },
  },
  {
    title: 'revoked certificate',
    ...post,
    device: 'revoked',
    expect: { status: 403, reason: 'ClientCertificateRevoked' },
  },
  {
    title: 'expired certificate',
    ...post,
    device: 'expired',
    expect: { status: 403, reason: 'ClientCertificateExpired' },
  },
  {
    title: 'certificate of another authority',
    ...post,
    device: 'untrusted',
    expect: { status: 403, reason: 'ClientCertificateUntrusted' },
  },
  {
    title: 'forged context header, by a device',
    ...post,
    device: 'robot-7',
    headers: { 'X-Request-Context-Data': FORGED, X_Request_Context_Data: FORGED },
    expect: { status: 200, app: { [CONTEXT]: VERIFIED } },
  },
  {
    title: 'forged context header, by a web client',
    path: DEVICE,
    token: 'web',
    headers: { 'X-Request-Context-Data': FORGED, 'X_REQUEST.context_data': FORGED, 'X-Client-Id': 'admin' },
    expect: { status: 200, app: { [CONTEXT]: null, 'x-client-id': 'web-portal' } },
  },
  {
    title: 'operation that nobody declared',
    path: '/v1/admin',
    token: 'web',
    expect: { status: 404, reason: 'OperationNotFound' },
  },
  {
    title: 'path that back ends read in different ways',
    path: '/v1/files/..%2fadmin',
    token: 'web',
    expect: { status: 400, reason: 'AmbiguousPath' },
  },
  {
    title: 'redirect to an internal address',
    path: '/v1/files/moved',
    token: 'web',
    expect: { status: 302, hidden: LEAKS, shown: ['/v1/files/report'] },
  },
  {
    title: 'cookie for an internal domain',
    path: '/v1/files/login',
    token: 'web',
    expect: { status: 200, hidden: LEAKS, shown: ['session=1'] },
  },
  {
    title: 'stack trace of the app',
    path: '/v1/files/crash',
    token: 'web',
    expect: { status: 500, reachesApp: true, hidden: LEAKS },
  },
  {
    title: 'round the sidecar, straight to the app',
    to: 'app',
    path: DEVICE,
    token: 'web',
    expect: { status: 0, reachesApp: false },
  },
];
