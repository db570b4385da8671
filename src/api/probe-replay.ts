/**
 * A probe or hook that the injector moved to the sidecar's health port, and that the sidecar replays to the app. The path
 * ends in 128 random bits: whoever cannot read the pod cannot guess the only door that no policy guards.
 */
import { PORTS, PROBE_PREFIX } from './names.ts';
import { isRawObject } from './value.ts';

export const PROBE_NAMES = ['startup', 'readiness', 'liveness', 'poststart', 'prestop'] as const;
export type ProbeName = (typeof PROBE_NAMES)[number];

export interface ProbeReplay {
  /** `/app-health/<container>/<probe>/<32 hex digits>` */
  readonly path: string;
  readonly kind: 'http' | 'tcp' | 'grpc';
  readonly port: number;
  /** Of kind http; absent: HTTP. */
  readonly scheme?: 'HTTP' | 'HTTPS';
  /** Of kind http: path and query, as they are sent. */
  readonly target?: string;
  /** Of kind http: the Host header; absent: address and port. */
  readonly host?: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  /** Of kind grpc; absent: the server as a whole. */
  readonly service?: string;
  readonly timeoutMs: number;
}

const PATH = new RegExp(
  `^${PROBE_PREFIX}/([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)/(${PROBE_NAMES.join('|')})/([0-9a-f]{32})$`,
);
const TOKEN = /^[0-9a-f]{32}$/;
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/;
/** Printable ASCII, tabs, and bytes above 127. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]{0,8192}$/;
const TARGET = /^\/[\x21-\x7e]{0,8191}$/;
const HOST = /^[\x21-\x7e]{1,512}$/;
const MOST_REPLAYS = 1024;
const MOST_HEADERS = 128;
/** Longer than any grace period that makes sense. */
export const MOST_TIMEOUT_MS = 3_600_000;

/** @param token 32 hex digits. */
export const writeProbePath = (container: string, probe: ProbeName, token: string): string =>
  `${PROBE_PREFIX}/${container}/${probe}/${token}`;

/** The kubelet makes it once, and takes any answer at all for success. */
export const isHook = ({ path }: ProbeReplay): boolean => /\/(poststart|prestop)\/[^/]*$/.test(path);

/** Container, probe and token of a path; undefined: it is none. */
export function readProbePath(
  path: string,
): { readonly container: string; readonly probe: ProbeName; readonly token: string } | undefined {
  const [, container, , name, token] = PATH.exec(path) ?? [];
  const probe = PROBE_NAMES.find(known => known === name);
  return container === undefined || probe === undefined || token === undefined
    ? undefined
    : { container, probe, token };
}

export const isProbeToken = (text: string): boolean => TOKEN.test(text);
export const isSendableHeader = (name: string, value: string): boolean =>
  HEADER_NAME.test(name) && HEADER_VALUE.test(value);
export const isSendableTarget = (target: string): boolean => TARGET.test(target);
export const isSendableHost = (host: string): boolean => HOST.test(host);

/** Parsed JSON to replays; undefined when anything in it is not one, since a half-read list would fail probes. */
export function parseProbeReplays(value: unknown): readonly ProbeReplay[] | undefined {
  if (!Array.isArray(value) || value.length > MOST_REPLAYS) return undefined;
  return value.every(isProbeReplay) ? value : undefined;
}

function isProbeReplay(value: unknown): value is ProbeReplay {
  if (!isRawObject(value)) return false;
  const { path, kind, port, scheme, target, host, headers, service, timeoutMs } = value;
  return (
    typeof path === 'string' &&
    PATH.test(path) &&
    isReplayPort(port) &&
    isWhole(timeoutMs, MOST_TIMEOUT_MS) &&
    (kind === 'http'
      ? (scheme === undefined || scheme === 'HTTP' || scheme === 'HTTPS') &&
        typeof target === 'string' &&
        isSendableTarget(target) &&
        (host === undefined || (typeof host === 'string' && isSendableHost(host))) &&
        (headers === undefined || (Array.isArray(headers) && headers.length <= MOST_HEADERS && headers.every(isHeader)))
      : kind === 'tcp' ||
        (kind === 'grpc' && (service === undefined || (typeof service === 'string' && service.length <= 1024))))
  );
}

/** A replay to the sidecar itself would be a way around it, or a loop. */
const isReplayPort = (port: unknown): boolean => isWhole(port, 65_535) && port !== PORTS.proxy && port !== PORTS.health;

const isWhole = (value: unknown, most: number): boolean =>
  typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= most;

const isHeader = (header: unknown): boolean => {
  if (!Array.isArray(header) || header.length !== 2) return false;
  const [name, value] = header as unknown[];
  return typeof name === 'string' && typeof value === 'string' && isSendableHeader(name, value);
};
