/** gRPC as its own library speaks it (grpc-js), on both sides of a sidecar; messages are bytes, without protocol buffers. */
import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  status,
  type ChannelCredentials,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientWritableStream,
  type MethodDefinition,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  type sendUnaryData,
  type StatusObject,
} from '@grpc/grpc-js';
import type { IssuedCertificate } from '../../src/demo/pki.ts';
import { PUBLIC_HOST } from './connection.ts';

type Bytes = Buffer;
const same = (bytes: Bytes): Bytes => bytes;
export const SERVICE = '/fleet.Echo/';
const MOST_BYTES = 16 * 1024 * 1024;

const method = (name: string, requestStream: boolean, responseStream: boolean): MethodDefinition<Bytes, Bytes> => ({
  ...{ path: SERVICE + name, requestStream, responseStream },
  ...{ requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same },
});

export const METHODS = {
  Unary: method('Unary', false, false),
  Down: method('Down', false, true),
  Up: method('Up', true, false),
  Both: method('Both', true, true),
};

type AnyCall =
  | ServerUnaryCall<Bytes, Bytes>
  | ServerWritableStream<Bytes, Bytes>
  | ServerReadableStream<Bytes, Bytes>
  | ServerDuplexStream<Bytes, Bytes>;

/** Unary says its message again, Down counts up to it, Up tells how many bytes came, Both says everything again. */
export class GrpcApp {
  readonly #server: Server;
  readonly #secure: IssuedCertificate | undefined;
  /** What was called, in its order. */
  readonly calls: AnyCall[] = [];
  port = 0;

  constructor(secure?: IssuedCertificate) {
    this.#secure = secure;
    const most = { 'grpc.max_receive_message_length': MOST_BYTES, 'grpc.max_send_message_length': MOST_BYTES };
    this.#server = new Server(most);
    this.#server.addService(METHODS, {
      Unary: (call: ServerUnaryCall<Bytes, Bytes>, done: sendUnaryData<Bytes>) => this.#unary(call, done),
      Down: (call: ServerWritableStream<Bytes, Bytes>) => this.#down(call),
      Up: (call: ServerReadableStream<Bytes, Bytes>, done: sendUnaryData<Bytes>) => this.#up(call, done),
      Both: (call: ServerDuplexStream<Bytes, Bytes>) => this.#both(call),
    });
  }

  /** The newest call. */
  get last(): AnyCall {
    const last = this.calls.at(-1);
    if (last === undefined) throw new Error('the app was not called');
    return last;
  }

  /** What metadata came is sent back: as the head, and as trailers. */
  #begin(call: AnyCall): Metadata {
    this.calls.push(call);
    const [head, trailers] = [new Metadata(), new Metadata()];
    for (const [name, to] of [
      ['x-head', head],
      ['x-head-bin', head],
      ['x-end', trailers],
      ['x-end-bin', trailers],
    ] as const) {
      for (const value of call.metadata.get(name)) to.add(name, value);
    }
    call.sendMetadata(head);
    return trailers;
  }

  /** Metadata `x-do`: `fail` with an error of the app's own, `wait` without an answer. */
  #unary(call: ServerUnaryCall<Bytes, Bytes>, done: sendUnaryData<Bytes>): void {
    const [what] = call.metadata.get('x-do');
    if (what === 'fail') {
      this.calls.push(call);
      const metadata = new Metadata();
      metadata.set('x-detail-bin', Buffer.from([0, 255, 10, 13]));
      return done({ code: status.FAILED_PRECONDITION, details: 'no robot “7”: 100 %', metadata });
    }
    const trailers = this.#begin(call);
    if (what !== 'wait') done(null, call.request, trailers);
  }

  /** `x-do: wait` ends it only when the test does. */
  #down(call: ServerWritableStream<Bytes, Bytes>): void {
    const trailers = this.#begin(call);
    const count = Number(call.request.toString());
    for (let at = 1; at <= count; at++) call.write(Buffer.from(String(at)));
    if (call.metadata.get('x-do')[0] !== 'wait') call.end(trailers);
  }

  #up(call: ServerReadableStream<Bytes, Bytes>, done: sendUnaryData<Bytes>): void {
    const trailers = this.#begin(call);
    let bytes = 0;
    call.on('data', (message: Bytes) => (bytes += message.length));
    call.on('end', () => done(null, Buffer.from(String(bytes)), trailers));
    call.on('error', () => undefined);
  }

  #both(call: ServerDuplexStream<Bytes, Bytes>): void {
    const trailers = this.#begin(call);
    call.on('data', (message: Bytes) => call.write(message));
    call.on('end', () => call.end(trailers));
    call.on('error', () => undefined);
  }

  async start(): Promise<this> {
    const certificate = this.#secure;
    const keys =
      certificate === undefined
        ? ServerCredentials.createInsecure()
        : ServerCredentials.createSsl(null, [
            { cert_chain: Buffer.from(certificate.chainPem), private_key: Buffer.from(certificate.keyPem) },
          ]);
    this.port = await new Promise<number>((resolve, reject) =>
      this.#server.bindAsync(`127.0.0.1:${this.port}`, keys, (error, port) =>
        error === null ? resolve(port) : reject(error),
      ),
    );
    return this;
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}

export interface GrpcAnswer {
  readonly status: StatusObject;
  readonly head: Metadata | undefined;
  readonly messages: readonly Bytes[];
}

export interface CallOptions {
  readonly metadata?: Readonly<Record<string, string | Bytes>>;
  /** Milliseconds. */
  readonly deadline?: number;
}

const makeMetadata = (values: CallOptions['metadata'] = {}): Metadata => {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(values)) metadata.set(name, value);
  return metadata;
};
const makeOptions = ({ deadline }: CallOptions) => ({
  // Longer than any test: a call that is never answered fails instead of hanging.
  deadline: Date.now() + (deadline ?? 30_000),
});

const keepIn =
  (messages: Bytes[]) =>
  (_: ServiceError | null, value?: Bytes): void => {
    if (value !== undefined) messages.push(value);
  };

export class GrpcClient {
  readonly #client: Client;

  /** `ca`: over TLS. */
  constructor(port: number, ca?: string) {
    const keys: ChannelCredentials =
      ca === undefined ? credentials.createInsecure() : credentials.createSsl(Buffer.from(ca));
    this.#client = new Client(`127.0.0.1:${port}`, keys, {
      ...(ca === undefined ? {} : { 'grpc.ssl_target_name_override': PUBLIC_HOST }),
      'grpc.default_authority': PUBLIC_HOST,
      'grpc.max_receive_message_length': MOST_BYTES,
      // Each client has its own connection, and says at once what went wrong.
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
    });
  }

  unary(message: string | Bytes, options: CallOptions = {}, path = METHODS.Unary.path): Promise<GrpcAnswer> {
    return new Promise(resolve => {
      const messages: Bytes[] = [];
      const keep = keepIn(messages);
      let head: Metadata | undefined;
      const call = this.#client.makeUnaryRequest(
        ...([path, same, same, Buffer.from(message), makeMetadata(options.metadata), makeOptions(options)] as const),
        keep,
      );
      call.on('metadata', told => (head = told));
      // Behind the value, which comes in an event of its own.
      call.on('status', ended => setImmediate(() => resolve({ status: ended, head, messages })));
    });
  }

  down(message: string, options: CallOptions = {}, path = METHODS.Down.path): ClientReadableStream<Bytes> {
    const [metadata, rest] = [makeMetadata(options.metadata), makeOptions(options)];
    return this.#client.makeServerStreamRequest(path, same, same, Buffer.from(message), metadata, rest);
  }

  up(options: CallOptions = {}): readonly [ClientWritableStream<Bytes>, Promise<GrpcAnswer>] {
    const messages: Bytes[] = [];
    const keep = keepIn(messages);
    let head: Metadata | undefined;
    const call = this.#client.makeClientStreamRequest(
      ...([METHODS.Up.path, same, same, makeMetadata(options.metadata), makeOptions(options)] as const),
      keep,
    );
    call.on('metadata', told => (head = told));
    const answer = new Promise<GrpcAnswer>(resolve =>
      call.on('status', ended => setImmediate(() => resolve({ status: ended, head, messages }))),
    );
    return [call, answer];
  }

  both(options: CallOptions = {}): ClientDuplexStream<Bytes, Bytes> {
    const [metadata, rest] = [makeMetadata(options.metadata), makeOptions(options)];
    return this.#client.makeBidiStreamRequest(METHODS.Both.path, same, same, metadata, rest);
  }

  close(): void {
    this.#client.close();
  }
}

/** Everything that a stream brings, until its status. */
export function collect(call: ClientReadableStream<Bytes> | ClientDuplexStream<Bytes, Bytes>): Promise<GrpcAnswer> {
  const messages: Bytes[] = [];
  let head: Metadata | undefined;
  call.on('metadata', (told: Metadata) => (head = told));
  call.on('data', (message: Bytes) => messages.push(message));
  call.on('error', () => undefined);
  return new Promise(resolve =>
    call.on('status', (ended: StatusObject) => setImmediate(() => resolve({ status: ended, head, messages }))),
  );
}
