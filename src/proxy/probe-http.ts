/**
 * An HTTP probe as the kubelet makes it (pkg/probe/http): GET without a body on a connection of its own, certificates not
 * verified, redirects followed within the pod, at most 10 KiB of the answer's body read and dropped.
 */
import type { IncomingMessage } from 'node:http';
import type { RequestOptions } from 'node:https';
import { isIPv6 } from 'node:net';
import { PORTS } from '../api/names.ts';
import { isHook, type ProbeReplay } from '../api/probe-replay.ts';
import type { Outcome, ReplayContext } from './probe-replays.ts';

const MOST_BODY = 10 * 1024;
const MOST_REDIRECTS = 10;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

interface Step {
  readonly scheme: 'HTTP' | 'HTTPS';
  readonly port: number;
  readonly target: string;
  /** Of the probe's own headers; later steps within the pod keep it, as Go's client does for relative redirects. */
  readonly host?: string;
}

export async function replayHttp(replay: ProbeReplay, context: ReplayContext, signal: AbortSignal): Promise<Outcome> {
  const { scheme = 'HTTP', port, target = '/', host } = replay;
  let step: Step = { scheme, port, target, ...(host === undefined ? {} : { host }) };
  for (let redirects = 0; redirects < MOST_REDIRECTS; redirects += 1) {
    const { status, location } = await ask(step, replay, context, signal);
    const next = location === undefined ? undefined : findNext(step, location, context.find(port).podAddress);
    if (next === undefined) return status;
    step = next;
  }
  throw new Error('too many redirects');
}

interface Answer {
  readonly status: number;
  /** Of a redirect. */
  readonly location?: string;
}

async function ask(step: Step, replay: ProbeReplay, context: ReplayContext, signal: AbortSignal): Promise<Answer> {
  try {
    return await send(step, replay, context, signal);
  } catch (error) {
    // The kubelet does so for hooks: before 1.26 it had asked in plain text whatever the scheme said.
    if (!isHook(replay) || step.scheme === 'HTTP' || !isPlainAnswer(error)) throw error;
    return send({ ...step, scheme: 'HTTP' }, replay, context, signal);
  }
}

/** What OpenSSL says of an answer that is no TLS record. */
const isPlainAnswer = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  error.code === 'EPROTO' &&
  error.message.includes('wrong version number');

function send(step: Step, { headers = [] }: ProbeReplay, context: ReplayContext, signal: AbortSignal): Promise<Answer> {
  const { address, podAddress, certificate } = context.find(step.port);
  const options: RequestOptions = {
    host: address,
    port: step.port,
    path: step.target,
    method: 'GET',
    headers: writeHeaders(step.host ?? writeAuthority(podAddress, step.port), headers, context.userAgent),
    agent: false,
    setDefaultHeaders: false,
    signal,
    ...(step.scheme === 'HTTP'
      ? {}
      : {
          // A probe asks whether the app is well, not who it is: the kubelet verifies nothing either.
          rejectUnauthorized: false,
          servername: '',
          ...(certificate === undefined ? {} : { cert: certificate.certificate, key: certificate.key }),
        }),
  };
  return new Promise((resolve, reject) => {
    // Not imported at the top: what most sidecars never need costs memory.
    const { request } =
      step.scheme === 'HTTP' ? process.getBuiltinModule('node:http') : process.getBuiltinModule('node:https');
    const sent = request(options, response => {
      readAnswer(response).then(resolve, reject);
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** Names and values in turn, so that a name may occur twice. */
function writeHeaders(host: string, headers: readonly (readonly [string, string])[], userAgent: string): string[] {
  const given = new Set(headers.map(([name]) => name.toLowerCase()));
  const sent = headers.filter(([name, value]) => name.toLowerCase() !== 'accept' || value !== '');
  return [
    ['Host', host],
    ...(given.has('user-agent') ? [] : [['User-Agent', userAgent]]),
    ...(given.has('accept') ? [] : [['Accept', '*/*']]),
    ...sent,
    ['Connection', 'close'],
  ].flat();
}

const writeAuthority = (address: string, port: number): string =>
  isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;

/** Resolves at the end of the body, or when enough of it came; an answer that breaks off is none. */
function readAnswer(response: IncomingMessage): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { statusCode = 0, headers } = response;
    const { location } = REDIRECTS.has(statusCode) ? headers : {};
    const answer = { status: statusCode, ...(location === undefined ? {} : { location }) };
    let size = 0;
    response.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= MOST_BODY) return;
      resolve(answer);
      response.destroy();
    });
    response.once('end', () => resolve(answer));
    response.once('error', reject);
    response.once('close', () => reject(new Error('broken off')));
  });
}

/** Where a redirect leads; undefined: out of the pod, where nobody follows, or to the sidecar itself. */
function findNext(step: Step, location: string, podAddress: string): Step | undefined {
  const base = `${step.scheme.toLowerCase()}://${writeAuthority(podAddress, step.port)}`;
  if (!URL.canParse(location, base + step.target)) return undefined;
  const url = new URL(location, base + step.target);
  if (url.hostname !== new URL(base).hostname || !/^https?:$/.test(url.protocol)) return undefined;
  const scheme = url.protocol === 'https:' ? 'HTTPS' : 'HTTP';
  const port = url.port === '' ? (scheme === 'HTTPS' ? 443 : 80) : Number(url.port);
  if (port === PORTS.proxy || port === PORTS.health) return undefined;
  const isRelative = !/^[a-z][a-z0-9+.-]*:|^\/\//i.test(location);
  return {
    scheme,
    port,
    target: url.pathname + url.search,
    ...(isRelative && step.host !== undefined ? { host: step.host } : {}),
  };
}
