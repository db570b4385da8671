/**
 * Probes and HTTP hooks on intercepted ports come from the node, without a credential: they are moved to the health port,
 * and what they were is written down for the sidecar to replay.
 */
import { itemPath } from '../api/field-path.ts';
import { PORTS } from '../api/names.ts';
import {
  isSendableHeader,
  isSendableHost,
  isSendableTarget,
  MOST_TIMEOUT_MS,
  readProbePath,
  writeProbePath,
  type ProbeName,
  type ProbeReplay,
} from '../api/probe-replay.ts';
import type { Container, Handler, HttpGet, PortReference, Probe } from './pod.ts';
import type { Path, PodEditor } from './pod-editor.ts';
import type { Refusal } from './refusal.ts';

export interface ProbeOptions {
  readonly isIntercepted: (port: number) => boolean;
  /** Of the sidecar that an earlier invocation added, by path. */
  readonly known: ReadonlyMap<string, ProbeReplay>;
  /** 32 random hex digits. */
  readonly newToken: () => string;
}

/** One handler of a container: where it stands and what it is called in the path. */
interface Place {
  readonly probe: ProbeName;
  readonly member: Path;
  readonly handler: Handler;
  readonly timeoutMs: number;
}

export interface Rewriting {
  readonly replays: readonly ProbeReplay[];
  readonly refusals: readonly Refusal[];
  /** Makes the changes. */
  readonly apply: (editor: PodEditor) => void;
}

/** Hooks have no time of their own: the kubelet waits for as long as the grace period. */
const HOOK_MS = 600_000;

/** `list` and `index`: where the container stands now. */
export function rewriteProbes(
  container: Container,
  [list, index]: readonly ['containers' | 'initContainers', number],
  options: ProbeOptions,
): Rewriting {
  const replays: ProbeReplay[] = [];
  const refusals: Refusal[] = [];
  const changes: ((editor: PodEditor) => void)[] = [];
  for (const place of listPlaces(container)) {
    const field = [itemPath(`spec.${list}`, index), ...place.member].join('.');
    const path = ['spec', list, index, ...place.member];
    const own = findOwnPort(place.handler, container);
    if (own !== undefined) {
      const known = options.known.get(findRewrittenPath(place, container) ?? '');
      if (known === undefined) refusals.push(refuseOwnPort(field, own));
      else replays.push(known);
      continue;
    }
    const replay = createReplay(place, container, options);
    if (replay === undefined) continue;
    replays.push(replay);
    changes.push(editor => moveHandler(editor, path, place.handler, replay.path));
  }
  return { replays, refusals, apply: editor => changes.forEach(change => change(editor)) };
}

const findTimeout = ({ timeoutSeconds = 1 }: Probe): number => Math.min(timeoutSeconds * 1000, MOST_TIMEOUT_MS);

function listPlaces({ startupProbe, readinessProbe, livenessProbe, lifecycle }: Container): readonly Place[] {
  const ofProbe = (probe: ProbeName, member: string, handler: Probe | undefined): Place[] =>
    handler === undefined ? [] : [{ probe, member: [member], handler, timeoutMs: findTimeout(handler) }];
  // Of hooks only httpGet does anything: tcpSocket stands in the API for what was written before 1.23.
  const ofHook = (probe: ProbeName, member: string, handler: Handler | undefined): Place[] =>
    handler?.httpGet === undefined
      ? []
      : [{ probe, member: ['lifecycle', member], handler: { httpGet: handler.httpGet }, timeoutMs: HOOK_MS }];
  return [
    ...ofProbe('startup', 'startupProbe', startupProbe),
    ...ofProbe('readiness', 'readinessProbe', readinessProbe),
    ...ofProbe('liveness', 'livenessProbe', livenessProbe),
    ...ofHook('poststart', 'postStart', lifecycle?.postStart),
    ...ofHook('prestop', 'preStop', lifecycle?.preStop),
  ];
}

function createReplay(place: Place, container: Container, options: ProbeOptions): ProbeReplay | undefined {
  const { probe, handler, timeoutMs } = place;
  const port = findPort(handler, container);
  if (port === undefined || !options.isIntercepted(port)) return undefined;
  const base = { path: writeProbePath(container.name, probe, options.newToken()), port, timeoutMs };
  const { httpGet, tcpSocket, grpc } = handler;
  if (httpGet !== undefined) return describeHttp(httpGet, base);
  if (tcpSocket !== undefined) return { ...base, kind: 'tcp' };
  const { service = '' } = grpc ?? {};
  return { ...base, kind: 'grpc', ...(service === '' ? {} : { service }) };
}

/** The port that is dialled in this pod; undefined: none, or on another host, or a name that no port of the container has. */
function findPort({ httpGet, tcpSocket, grpc }: Handler, container: Container): number | undefined {
  const dialled = httpGet ?? tcpSocket;
  // With a host the kubelet dials that host, which is not this pod: its address is not known before it runs.
  if (dialled !== undefined) return (dialled.host ?? '') === '' ? resolvePort(dialled.port, container) : undefined;
  return grpc?.port;
}

/** As the kubelet resolves it: by the names of the container's own ports, then as a number. */
function resolvePort(port: PortReference, { ports = [] }: Container): number | undefined {
  if (typeof port === 'number') return port;
  const named = ports.find(({ name }) => name === port)?.containerPort;
  return named ?? (/^\d{1,5}$/.test(port) ? Number(port) : undefined);
}

function findOwnPort(handler: Handler, container: Container): number | undefined {
  const port = findPort(handler, container);
  return port === PORTS.health || port === PORTS.proxy ? port : undefined;
}

/** The path of a handler that an earlier invocation moved; undefined: it did not. */
function findRewrittenPath({ probe, handler }: Place, { name }: Container): string | undefined {
  const path = handler.httpGet?.path ?? '';
  const read = readProbePath(path);
  return read?.container === name && read.probe === probe ? path : undefined;
}

const refuseOwnPort = (field: string, port: number): Refusal => ({
  field,
  problem: `names port ${port}, which is the sidecar’s own`,
  fix: 'write the port of the app',
});

type Base = Pick<ProbeReplay, 'path' | 'port' | 'timeoutMs'>;

/** Undefined when the kubelet could not send it either: it stays as it is, and fails as it did. */
function describeHttp({ path = '', scheme, httpHeaders = [] }: HttpGet, base: Base): ProbeReplay | undefined {
  const target = writeTarget(path);
  const all = httpHeaders.map(({ name, value = '' }) => [name, value] as const);
  const host = all.find(([name]) => name.toLowerCase() === 'host')?.[1] ?? '';
  const headers = all.filter(([name]) => !UNSENT.has(name.toLowerCase()));
  const fits =
    isSendableTarget(target) &&
    (host === '' || isSendableHost(host)) &&
    headers.every(([name, value]) => isSendableHeader(name, value));
  if (!fits) return undefined;
  return {
    ...base,
    kind: 'http',
    target,
    ...(scheme === 'HTTPS' ? { scheme } : {}),
    ...(host === '' ? {} : { host }),
    ...(headers.length === 0 ? {} : { headers }),
  };
}

/** Host goes its own way; the others say how a body is framed, and Go's client sends none of them from here. */
const UNSENT: ReadonlySet<string> = new Set(['host', 'content-length', 'transfer-encoding', 'trailer', 'connection']);

const ENCODER = new TextEncoder();

/** Path and query as the kubelet sends them: an authority and a fragment are left out, what a URL cannot hold is encoded. */
function writeTarget(path: string): string {
  const [text = ''] = path.split('#', 1);
  const local = text.replace(/^(?:[A-Za-z][A-Za-z0-9+.-]*:)?\/\/[^/?]*/, '');
  const rooted = local.startsWith('/') ? local : `/${local}`;
  return rooted.replace(/[^\x21-\x7e]|["<>\\^`{|}]/gu, encode);
}

const encode = (character: string): string =>
  [...ENCODER.encode(character)].map(byte => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');

function moveHandler(editor: PodEditor, path: Path, { httpGet, tcpSocket }: Handler, to: string): void {
  const moved = { path: to, port: PORTS.health, scheme: 'HTTP' };
  if (httpGet !== undefined) return editor.replace([...path, 'httpGet'], moved);
  editor.remove([...path, tcpSocket === undefined ? 'grpc' : 'tcpSocket']);
  editor.add([...path, 'httpGet'], moved);
}
