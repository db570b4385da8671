/** The others of a scenario, real and under the test’s hand: an app, an issuer, a device-auth service. */
import { once } from 'node:events';
import { createServer as createHttp, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { exportJWK, SignJWT, type JWTPayload } from 'jose';
import { createKeyPair, type IssuedCertificate, type KeyPair } from '../../src/demo/pki.ts';

export interface TlsServer {
  readonly server: IssuedCertificate;
  /** PEM of the authorities whose clients are let in; absent: everybody. */
  readonly clients?: string;
}

/** More than a sidecar lets pass, so that what is too much is its own answer. */
const HEADS = { maxHeaderSize: 128 * 1024 };

/** An HTTP server whose port stays the same while it goes down and comes back. */
export class Endpoint {
  readonly #tls: TlsServer | undefined;
  readonly #listener: RequestListener;
  readonly #sockets = new Set<Socket>();
  #server: ReturnType<typeof createHttp> | ReturnType<typeof createHttps> | undefined;
  #upgrade: ((request: IncomingMessage, socket: Duplex) => void) | undefined;
  port = 0;

  constructor(listener: RequestListener, tls?: TlsServer) {
    this.#listener = listener;
    this.#tls = tls;
  }

  onUpgrade(listener: (request: IncomingMessage, socket: Duplex) => void): void {
    this.#upgrade = listener;
    this.#server?.on('upgrade', listener);
  }

  async start(): Promise<this> {
    const tls = this.#tls;
    const server =
      tls === undefined ? createHttp(HEADS, this.#listener) : createHttps(describeTls(tls), this.#listener);
    this.#server = server;
    server.keepAliveTimeout = 60_000;
    server.on('tlsClientError', () => undefined);
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    if (this.#upgrade !== undefined) server.on('upgrade', this.#upgrade);
    server.listen(this.port, '127.0.0.1');
    await once(server, 'listening');
    this.port = (server.address() as AddressInfo).port;
    return this;
  }

  /** What the server shows and demands from the next handshake on. */
  secure(tls: TlsServer): void {
    if (this.#server !== undefined && 'setSecureContext' in this.#server) {
      this.#server.setSecureContext(describeTls(tls));
    }
  }

  /** Every connection ends, and nobody listens. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

function describeTls({ server, clients }: TlsServer) {
  return {
    cert: server.chainPem,
    key: server.keyPem,
    ...(clients === undefined ? {} : { ca: clients, requestCert: true, rejectUnauthorized: true }),
  };
}

export interface Seen {
  readonly method: string;
  readonly path: string;
  /** Name and value as they came, in their order. */
  readonly lines: readonly (readonly [name: string, value: string])[];
  readonly trailers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  /** SHA-256 of the client certificate; empty: none. */
  readonly peer: string;
}

export type Behaviour = (seen: Seen, response: ServerResponse) => void;

/** An app that keeps what it got, and answers as the test says (default: 200 with a line of text). */
export class RecordingApp extends Endpoint {
  readonly seen: Seen[];

  constructor(behaviour: Behaviour = answerPlainly, tls?: TlsServer) {
    const seen: Seen[] = [];
    super((request, response) => {
      let body = '';
      request.setEncoding('latin1').on('data', (chunk: string) => (body += chunk));
      request.on('error', () => undefined);
      request.on('end', () => {
        const now = describe(request, body);
        seen.push(now);
        behaviour(now, response);
      });
    }, tls);
    this.seen = seen;
  }

  /** The newest request. */
  get last(): Seen {
    const last = this.seen.at(-1);
    if (last === undefined) throw new Error('the app got no request');
    return last;
  }
}

export const answerPlainly: Behaviour = (_, response) => {
  response.writeHead(200, { 'content-type': 'text/plain' }).end('hello\n');
};

function describe(request: IncomingMessage, body: string): Seen {
  return {
    method: request.method ?? '',
    path: request.url ?? '',
    lines: pairUp(request.rawHeaders),
    trailers: pairUp(request.rawTrailers),
    body,
    peer: readPeer(request),
  };
}

const pairUp = (raw: readonly string[]): [string, string][] =>
  raw.flatMap((name, index) => (index % 2 === 0 ? [[name, raw[index + 1] ?? ''] as [string, string]] : []));

function readPeer({ socket }: IncomingMessage): string {
  const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
  return certificate?.fingerprint256.replaceAll(':', '') ?? '';
}

/** Values of a header, by the name that a back end may fold others into: case, `_` and `.` do not count. */
export function folded(lines: Seen['lines'], name: string): string[] {
  const fold = (text: string): string => text.toLowerCase().replaceAll(/[_.]/g, '-');
  return lines.filter(([other]) => fold(other) === fold(name)).map(([, value]) => value);
}

export const ISSUER = 'https://login.example.com';
export const AUDIENCE = 'api://fleet';

export interface TokenParts {
  readonly claims?: JWTPayload;
  /** Seconds from now; default an hour; null: without exp. */
  readonly expiresIn?: number | null;
  readonly audience?: string;
  readonly issuer?: string;
  /** Key that signs; default the newest. */
  readonly kid?: string;
  /** What the header says, if not the kid of the key. */
  readonly saysKid?: string;
}

/** An issuer whose keys the test rotates. */
export class TestIssuer extends Endpoint {
  readonly #keys: Map<string, KeyPair>;
  readonly #published: Set<string>;
  readonly #counts: Map<string, number>;

  constructor(tls: TlsServer, firstKey = 'key-1') {
    const keys = new Map<string, KeyPair>();
    const published = new Set<string>();
    const counts = new Map<string, number>();
    super((request, response) => {
      const path = request.url ?? '';
      counts.set(path, (counts.get(path) ?? 0) + 1);
      void answerIssuer(path, keys, published).then(document => {
        response.writeHead(document === undefined ? 404 : 200, { 'content-type': 'application/json' });
        response.end(JSON.stringify(document ?? {}));
      });
    }, tls);
    this.#keys = keys;
    this.#published = published;
    this.#counts = counts;
    this.publish(firstKey);
  }

  /** Makes a key of this id, unless there is one, and publishes it. */
  publish(kid: string): void {
    this.create(kid);
    this.#published.add(kid);
  }

  /** A key that nobody is told of yet. */
  create(kid: string): void {
    if (!this.#keys.has(kid)) this.#keys.set(kid, createKeyPair('P-256'));
  }

  withdraw(kid: string): void {
    this.#published.delete(kid);
  }

  /** How often the key set was asked for. */
  get fetches(): number {
    return this.#counts.get('/keys') ?? 0;
  }

  async mint(parts: TokenParts = {}): Promise<string> {
    const { claims = {}, expiresIn = 3600, audience = AUDIENCE, issuer = ISSUER } = parts;
    const kid = parts.kid ?? [...this.#keys.keys()].at(-1) ?? '';
    const key = this.#keys.get(kid);
    if (key === undefined) throw new Error(`no key ${kid}`);
    const now = Math.floor(Date.now() / 1000);
    const token = new SignJWT({ sub: 'web', iat: now, ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: parts.saysKid ?? kid, typ: 'JWT' })
      .setIssuer(issuer)
      .setAudience(audience);
    if (expiresIn !== null) token.setExpirationTime(now + expiresIn);
    return token.sign(key.privateKey);
  }
}

async function answerIssuer(
  path: string,
  keys: ReadonlyMap<string, KeyPair>,
  published: ReadonlySet<string>,
): Promise<unknown> {
  if (path === '/.well-known/openid-configuration') return { issuer: ISSUER, jwks_uri: `${ISSUER}/keys` };
  if (path !== '/keys') return undefined;
  const list = [...published].map(async kid => {
    const key = keys.get(kid);
    return key === undefined ? {} : { ...(await exportJWK(key.publicKey)), kid, alg: 'ES256', use: 'sig' };
  });
  return { keys: await Promise.all(list) };
}

export interface DeviceAnswer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A device-auth service: knows devices by their id and SHA-1 thumbprint, or answers as the test says. */
export class DeviceAuth extends Endpoint {
  readonly devices: Map<string, string>;
  /** One for each call, in their order. */
  readonly asked: URLSearchParams[];
  readonly #control: { answer?: DeviceAnswer | undefined; held?: Promise<void> | undefined };

  constructor(tls?: TlsServer) {
    const devices = new Map<string, string>();
    const asked: URLSearchParams[] = [];
    const control: { answer?: DeviceAnswer | undefined; held?: Promise<void> | undefined } = {};
    super((request, response) => {
      const { searchParams } = new URL(request.url ?? '/', 'http://device-auth');
      asked.push(searchParams);
      void Promise.resolve(control.held).then(() => {
        const { status, body = {}, headers = {} } = control.answer ?? lookUp(searchParams, devices);
        response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
      });
    }, tls);
    this.devices = devices;
    this.asked = asked;
    this.#control = control;
  }

  /** Every call is answered so, until undefined is given. */
  answerAll(answer: DeviceAnswer | undefined): void {
    this.#control.answer = answer;
  }

  /** Calls wait for their answer until the function that is given back is called. */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#control.held = promise.then(() => undefined);
    return () => {
      this.#control.held = undefined;
      resolve(undefined);
    };
  }
}

function lookUp(asked: URLSearchParams, devices: ReadonlyMap<string, string>): DeviceAnswer {
  const deviceId = asked.get('deviceId') ?? '';
  const certificateThumbprint = asked.get('certificateThumbprint') ?? '';
  if (devices.get(deviceId) !== certificateThumbprint) return { status: 404, body: { error: 'unknown' } };
  return { status: 200, body: { deviceId, certificateThumbprint } };
}
