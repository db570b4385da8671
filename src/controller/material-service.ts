/**
 * The service on port 15194: material streams and mesh certificates for sidecars, acknowledgements for other replicas.
 * Every request is judged by its token alone; there is nothing here for anybody without one.
 */
import {
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import {
  ACKNOWLEDGEMENTS_PATH,
  BOUNDS,
  CERTIFICATE_PATH,
  MATERIAL_PATH,
  type Bye,
  type CertificateResponse,
  type Refusal,
} from '../material/protocol.ts';
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import type { AcknowledgementRegistry } from './acknowledgement-registry.ts';
import type { Authenticator, Bearer } from './bearer.ts';
import type { MaterialHub } from './material-hub.ts';
import { openMaterialStream, STREAM_TIMINGS, type MaterialStream, type StreamTimings } from './material-stream.ts';
import type { PodFacts } from './pods.ts';
import { openReplicaStream } from './replica-stream.ts';
import { readBody, readCertificateRequest } from './request-body.ts';

/** A serving certificate that may change. */
export interface ServingCertificate {
  /** PEM. */
  current(): { readonly certificate: string; readonly key: string };
  /** Returns how to stop. */
  onChange(listener: () => void): () => void;
}

export interface MaterialServiceOptions {
  readonly tls: ServingCertificate;
  readonly host: string;
  /** 0: any. */
  readonly port: number;
  readonly authenticator: Authenticator;
  /** Of the controller itself: whose tokens may ask for acknowledgements. */
  readonly own: { readonly namespace: string; readonly serviceAccount: string };
  /** The pod as it is known, or read now; undefined: there is no such pod. */
  readonly findPod: (namespace: string, name: string, uid: string) => Promise<PodFacts | undefined>;
  /** As far as it is known without asking. */
  readonly isEntitled: (pod: PodFacts) => boolean;
  readonly issue: (
    csr: string,
    pod: PodFacts,
    credential: string | undefined,
  ) => CertificateResponse | { readonly problem: string } | undefined;
  readonly hub: MaterialHub;
  readonly registry: AcknowledgementRegistry;
  /** False while not everything was read once: then nobody is answered. */
  readonly isReady: () => boolean;
  readonly log: Log;
  readonly metrics: Metrics;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly timings?: StreamTimings;
  /** Default 10,000. */
  readonly maxStreams?: number;
}

export interface MaterialService {
  start(): Promise<{ readonly port: number }>;
  streams(): number;
  /** Ends every stream with a hint when to come back. */
  stop(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly body: CertificateResponse | Refusal;
}

const refuse = (status: number, reason: string, problem: string): Answer => ({ status, body: { reason, problem } });

/** A session without a request, or whose request was refused, is not kept. */
const IDLE_MS = 15_000;
const MOST_CONNECTIONS = 20_000;

export function createMaterialService(options: MaterialServiceOptions): MaterialService {
  const { tls, authenticator, registry, hub, log, metrics, random, timings = STREAM_TIMINGS } = options;
  const streams = new Map<string, MaterialStream>();
  const sessions = new Set<ServerHttp2Session>();
  const replicas = new Set<() => void>();
  let stopping = false;
  let server: Http2SecureServer | undefined;
  let stopListening = (): void => undefined;

  async function identify(headers: IncomingHttpHeaders): Promise<{ bearer: Bearer } | { refusal: Answer }> {
    const authentication = await authenticator.authenticate(headers.authorization);
    if ('bearer' in authentication) return authentication;
    const { failure, problem } = authentication;
    const refusal = failure === 'Refused' ? refuse(401, 'TokenInvalid', problem) : refuse(503, 'NotReady', problem);
    return { refusal };
  }

  async function admit({ namespace, pod }: Bearer): Promise<{ pod: PodFacts } | { refusal: Answer }> {
    if (pod === undefined) return { refusal: refuse(401, 'TokenNotBound', 'the token is bound to no pod') };
    const known = await options.findPod(namespace, pod.name, pod.uid);
    if (known?.live !== true) return { refusal: refuse(403, 'PodUnknown', 'the pod of the token does not live') };
    const { sidecar } = known;
    if (sidecar.state === 'Protected') return { pod: known };
    const problem = sidecar.state === 'Altered' ? sidecar.problem : 'there is none';
    return { refusal: refuse(403, 'PodNotProtected', `the pod does not carry our sidecar unaltered: ${problem}`) };
  }

  async function answer(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<Answer | undefined> {
    const asked = `${headers[':method'] ?? ''} ${headers[':path'] ?? ''}`;
    const known = [`POST ${MATERIAL_PATH}`, `POST ${CERTIFICATE_PATH}`, `GET ${ACKNOWLEDGEMENTS_PATH}`];
    if (!known.includes(asked)) return refuse(404, 'NotFound', 'there is nothing here');
    const identified = await identify(headers);
    if ('refusal' in identified) return identified.refusal;
    const { bearer } = identified;
    if (asked === known[2]) return serveReplica(stream, bearer);
    if (stopping || !options.isReady()) return refuse(503, 'NotReady', 'the controller has not read everything yet');
    const admitted = await admit(bearer);
    if ('refusal' in admitted) return admitted.refusal;
    return asked === known[0] ? openStream(stream, admitted.pod) : certify(stream, admitted.pod);
  }

  function serveReplica(stream: ServerHttp2Stream, { namespace, serviceAccount }: Bearer): Answer | undefined {
    const { own } = options;
    if (namespace !== own.namespace || serviceAccount !== own.serviceAccount) {
      return refuse(403, 'PodUnknown', 'only replicas of the controller may ask for this');
    }
    stream.respond({ ':status': 200, 'content-type': 'application/x-ndjson' });
    const close = openReplicaStream(stream, registry, { pingMs: timings.pingMs });
    replicas.add(close);
    stream.once('close', () => replicas.delete(close));
    return undefined;
  }

  function openStream(stream: ServerHttp2Stream, pod: PodFacts): Answer | undefined {
    const { maxStreams = 10_000 } = options;
    const earlier = streams.get(pod.uid);
    if (earlier === undefined && streams.size >= maxStreams) {
      return refuse(429, 'TooManyStreams', 'this replica has as many streams as it takes');
    }
    earlier?.end('Replaced', 30_000);
    if (stream.destroyed) return undefined;
    stream.respond({ ':status': 200, 'content-type': 'application/x-ndjson' });
    const opened = openMaterialStream({
      ...{ stream, pod, hub, registry, random, timings },
      isEntitled: () => options.isEntitled(pod),
      onClose: () => {
        if (streams.get(pod.uid) === opened) streams.delete(pod.uid);
        metrics.gauge('sallyport_controller_streams', streams.size);
      },
    });
    streams.set(pod.uid, opened);
    metrics.gauge('sallyport_controller_streams', streams.size);
    return undefined;
  }

  async function certify(stream: ServerHttp2Stream, pod: PodFacts): Promise<Answer> {
    const request = readCertificateRequest(await readBody(stream, BOUNDS.certificateRequest));
    if (request === undefined) return refuse(400, 'BadRequest', 'the body is no JSON object with csr');
    const issued = options.issue(request.csr, pod, request.credential);
    if (issued === undefined) return refuse(503, 'NotReady', 'there is no mesh CA yet');
    const outcome = 'problem' in issued ? 'Refused' : 'Issued';
    metrics.count('sallyport_controller_mesh_certificates_total', { outcome });
    return 'problem' in issued ? refuse(400, 'BadRequest', issued.problem) : { status: 200, body: issued };
  }

  function serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    stream.on('error', () => undefined);
    answer(stream, headers)
      .catch((error: unknown) => {
        log.error({ problem: error instanceof Error ? error.message : 'failed' }, 'a request of a sidecar failed');
        return refuse(503, 'NotReady', 'the request failed');
      })
      .then(
        result => {
          if (result !== undefined) respond(stream, result);
        },
        () => stream.close(),
      );
  }

  function respond(stream: ServerHttp2Stream, { status, body }: Answer): void {
    if (stream.destroyed) return;
    if ('reason' in body) {
      metrics.count('sallyport_controller_refused_requests_total', { reason: body.reason });
    }
    const retry = status === 503 || status === 429 ? { 'retry-after': '2' } : {};
    stream.respond({ ':status': status, 'content-type': 'application/json', ...retry });
    stream.end(JSON.stringify(body));
    // What else it may send is not waited for.
    stream.once('finish', () => stream.close());
  }

  function keepSession(session: ServerHttp2Session): void {
    sessions.add(session);
    session.on('error', () => undefined);
    session.once('close', () => sessions.delete(session));
    session.setTimeout(Math.max(IDLE_MS, timings.silenceMs + IDLE_MS), () => session.destroy());
  }

  return {
    streams: () => streams.size,
    start() {
      const made = createSecureServer({
        ...readPair(tls),
        minVersion: 'TLSv1.3',
        allowHTTP1: false,
        handshakeTimeout: IDLE_MS,
        maxSessionMemory: 8,
        settings: { maxConcurrentStreams: 8, enablePush: false, maxHeaderListSize: 24 * 1024 },
      });
      server = made;
      made.maxConnections = MOST_CONNECTIONS;
      made.on('session', keepSession);
      made.on('stream', serve);
      made.on('unknownProtocol', (socket: Socket) => socket.destroy());
      made.on('tlsClientError', (_error: Error, socket: Socket) => socket.destroy());
      stopListening = tls.onChange(() => made.setSecureContext({ ...readPair(tls), minVersion: 'TLSv1.3' }));
      return new Promise((resolve, reject) => {
        made.once('error', reject);
        made.listen(options.port, options.host, () => resolve({ port: (made.address() as AddressInfo).port }));
      });
    },
    async stop() {
      stopping = true;
      stopListening();
      // Not all at once: the other replicas take them one after another.
      const hint = (): number => 100 + Math.floor(random() * 2000);
      for (const stream of streams.values()) stream.end('Stopping' satisfies Bye['reason'], hint());
      for (const close of replicas) close();
      const closed = new Promise<void>(resolve => {
        if (server === undefined) resolve();
        else server.close(() => resolve());
      });
      for (const session of sessions) session.close();
      const late = setTimeout(() => sessions.forEach(session => session.destroy()), 3000);
      await closed;
      clearTimeout(late);
    },
  };
}

function readPair(tls: ServingCertificate): { readonly cert: string; readonly key: string } {
  const { certificate, key } = tls.current();
  return { cert: certificate, key };
}
