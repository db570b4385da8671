/** A small HTTP server for the health port and the admin socket: one request a connection, bounded, by the same codec. */
import { createServer, type Server, type Socket } from 'node:net';
import { createBodyDecoder } from '../http/body.ts';
import { createFieldList } from '../http/fields.ts';
import { findSingle } from '../http/head.ts';
import { createRequestReader, renderFields, renderResponse, type RequestHead } from '../http/message.ts';
import { latin1 } from './chunk-writer.ts';

export interface ServiceRequest {
  readonly method: string;
  readonly path: string;
  /** UTF-8; empty without one. */
  readonly body: string;
  /** As sent; empty without one, or with several. */
  readonly userAgent: string;
}

export interface ServiceReply {
  /** 0: the connection is reset, and nothing is answered. */
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

export type ServiceHandler = (request: ServiceRequest) => ServiceReply | Promise<ServiceReply>;

export interface ServicePort {
  readonly server: Server;
  close(): void;
}

const LIMITS = { headBytes: 16 * 1024, headers: 64, targetBytes: 2048 } as const;
const MOST_BODY = 1024 * 1024;
const MOST_CONNECTIONS = 64;

export interface ServiceOptions {
  /** False: whoever sends a body is answered without it and disconnected, so that nothing of it is waited for or held. */
  readonly takesBodies: boolean;
  /** Milliseconds within which the whole request must come, and then the answer be taken. */
  readonly patienceMs: number;
  /** Milliseconds that a handler may take; default: as many. */
  readonly handlingMs?: number;
}

export const asText = (status: number, body: string): ServiceReply => ({
  status,
  contentType: 'text/plain; charset=utf-8',
  body,
});

export const NO_ANSWER: ServiceReply = asText(0, '');

/** The caller binds `server`. A handler that throws is 500 and says nothing. */
export function createServicePort(handle: ServiceHandler, options: ServiceOptions): ServicePort {
  /** In the order in which they came; true: the request is complete. */
  const open = new Map<Socket, boolean>();
  const server = createServer({ noDelay: true, allowHalfOpen: true }, socket => {
    if (open.size >= MOST_CONNECTIONS) makeRoom(open, socket);
    if (socket.destroyed) return;
    open.set(socket, false);
    let wait = setTimeout(() => socket.destroy(), options.patienceMs);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(wait);
      open.delete(socket);
    });
    const pause = (ms: number): void => {
      clearTimeout(wait);
      wait = setTimeout(() => socket.destroy(), ms);
    };
    serve(socket, options, async request => {
      open.set(socket, true);
      pause(options.handlingMs ?? options.patienceMs);
      try {
        return await handle(request);
      } finally {
        pause(options.patienceMs);
      }
    });
  });
  return {
    server,
    close: () => {
      server.close();
      for (const socket of open.keys()) socket.destroy();
    },
  };
}

/** Who has said nothing for the longest time goes, so that silent connections keep no kubelet out. */
function makeRoom(open: ReadonlyMap<Socket, boolean>, newcomer: Socket): void {
  for (const [socket, isComplete] of open) {
    if (isComplete) continue;
    socket.destroy();
    return;
  }
  newcomer.destroy();
}

function serve(
  socket: Socket,
  { takesBodies }: ServiceOptions,
  handle: (request: ServiceRequest) => Promise<ServiceReply>,
): void {
  const reader = createRequestReader(LIMITS);
  let head: RequestHead | undefined;
  let take: ((chunk: Buffer) => void) | undefined;
  const reply = (answer: ServiceReply): void => {
    take = () => undefined;
    if (socket.destroyed) return;
    if (answer.status === 0) return void socket.resetAndDestroy();
    socket.end(renderReply(answer, head?.method === 'HEAD'));
    if (head !== undefined && hasBody(head) && !takesBodies) socket.destroySoon();
  };
  const finish = (request: ServiceRequest): void => {
    take = () => undefined;
    handle(request).then(reply, () => reply(asText(500, 'failed\n')));
  };
  take = chunk => {
    const progress = reader.read(latin1(chunk));
    if (progress.kind === 'error') return reply(asText(400, 'bad request\n'));
    if (progress.kind === 'more') return;
    head = progress.head;
    if (!takesBodies && hasBody(head)) return finish(describeRequest(head, ''));
    take = collectBody(head, body => (body === undefined ? reply(asText(413, 'too large\n')) : finish(body)));
    take(chunk.subarray(progress.consumed));
  };
  socket.on('data', (chunk: Buffer) => take?.(chunk));
  socket.on('end', () => {
    if (head === undefined) socket.end();
  });
}

const hasBody = ({ framing }: RequestHead): boolean =>
  framing.kind === 'chunked' || (framing.kind === 'length' && framing.length > 0);

function collectBody(head: RequestHead, done: (request: ServiceRequest | undefined) => void): (chunk: Buffer) => void {
  const decoder = createBodyDecoder(head.framing);
  const pieces: Uint8Array[] = [];
  let size = 0;
  const sink = {
    data: (slice: Uint8Array): void => {
      size += slice.length;
      if (size <= MOST_BODY) pieces.push(Uint8Array.from(slice));
    },
  };
  return chunk => {
    const progress = decoder.read(chunk, sink);
    if (progress.kind === 'error' || size > MOST_BODY) return done(undefined);
    if (progress.kind === 'more') return;
    done(describeRequest(head, Buffer.concat(pieces).toString('utf8')));
  };
}

const describeRequest = (head: RequestHead, body: string): ServiceRequest => ({
  method: head.method,
  path: head.path,
  body,
  userAgent: findSingle(head, 'user-agent') ?? '',
});

function renderReply({ status, contentType, body }: ServiceReply, bare: boolean): Buffer {
  const bytes = Buffer.from(body, 'utf8');
  const head = renderResponse({
    status,
    fields: createFieldList(),
    drop: 0,
    reserved: new Set(),
    connectionNames: new Set(),
    edits: new Map(),
    framing: { kind: 'length', length: bytes.length },
    extra: renderFields([
      ['Content-Type', contentType],
      ['Cache-Control', 'no-store'],
      ['Connection', 'close'],
    ]),
  });
  return Buffer.concat([Buffer.from(head, 'latin1'), bare ? Buffer.alloc(0) : bytes]);
}
