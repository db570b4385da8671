/**
 * Sends requests over keep-alive connections on raw sockets and prints what happened as one JSON line.
 * A process of its own, so that its CPU time is not the proxy's. Closed loop (each connection sends when it was
 * answered) or, with `rate`, open loop (latency counts from the moment a request was due).
 */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext } from 'node:tls';

export interface LoadPlan {
  readonly port: number;
  readonly tls?: {
    readonly ca: string;
    readonly serverName: string;
    readonly certificate?: string;
    readonly key?: string;
  };
  readonly connections: number;
  /** Stops at whichever comes first; SIGTERM is sooner. */
  readonly seconds: number;
  readonly requests?: number;
  /** JSON file: heads to send in turn. */
  readonly headsFile: string;
  /** Where in the list to start, so that a later run sends heads never sent before. */
  readonly offset?: number;
  /** Each `0000000` of a head becomes the number of the request, counted from `offset`. */
  readonly numbered?: boolean;
  readonly rate?: number;
  /** Over HTTP/2 (http2-load.ts): so many calls at once on each connection; `message`: Base64, a call of gRPC. */
  readonly http2?: { readonly streams: number; readonly message?: string };
  /** A new connection for each request. */
  readonly reconnect?: boolean;
  /** Opens the connections, sends one request on each, and holds them open until standard input ends. */
  readonly hold?: boolean;
}

export interface LoadResult {
  readonly requests: number;
  readonly failures: number;
  readonly seconds: number;
  readonly bytes: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly firstFailure?: string;
}

const plan = JSON.parse(process.argv[2] ?? '{}') as LoadPlan;
const heads = (JSON.parse(readFileSync(plan.headsFile, 'utf8')) as string[]).map(head => Buffer.from(head, 'latin1'));
const secureContext =
  plan.tls === undefined
    ? undefined
    : createSecureContext({ ca: plan.tls.ca, cert: plan.tls.certificate, key: plan.tls.key });

let next = plan.offset ?? 0;
let started = 0;
let requests = 0;
let failures = 0;
let bytes = 0;
let firstFailure: string | undefined;
const latencies: number[] = [];
const begin = performance.now();
let end = begin + plan.seconds * 1000;
process.on('SIGTERM', () => (end = performance.now()));
const idle: Worker[] = [];
const due: number[] = [];

const isOver = (): boolean => performance.now() >= end || (plan.requests !== undefined && started >= plan.requests);

function fail(why: string): void {
  failures += 1;
  firstFailure ??= why;
}

const NUMBER = '0000000';

function headOf(number: number): Buffer {
  const head = heads[number % heads.length] ?? Buffer.alloc(0);
  if (plan.numbered !== true) return head;
  const numbered = Buffer.from(head);
  numbered.write(String(number).padStart(NUMBER.length, '0'), head.indexOf(NUMBER), 'latin1');
  return numbered;
}

/** One connection: sends a head, reads the answer by its Content-Length or last chunk, tells `done`. */
class Worker {
  private socket: Socket | undefined;
  private text = '';
  private left = -1;
  private chunked = false;
  private sentAt = 0;
  private readonly done: (worker: Worker) => void;

  constructor(done: (worker: Worker) => void) {
    this.done = done;
  }

  open(ready: () => void): void {
    const options = { host: '127.0.0.1', port: plan.port, noDelay: true };
    const socket =
      plan.tls === undefined
        ? connect(options, ready)
        : connectTls({ ...options, secureContext, servername: plan.tls.serverName }, ready);
    this.socket = socket;
    this.left = -1;
    this.text = '';
    socket.on('data', (chunk: Buffer) => {
      this.read(chunk);
    });
    socket.on('error', (error: Error) => {
      if (this.sentAt > 0) {
        this.sentAt = 0;
        fail(error.message);
      }
    });
    socket.on('close', () => {
      if (this.socket === socket) this.reopen();
    });
  }

  private reopen(): void {
    if (this.sentAt > 0) {
      this.sentAt = 0;
      fail('closed before the answer ended');
    }
    if (isOver() || plan.hold === true) return;
    this.open(() => {
      this.done(this);
    });
  }

  send(dueAt = performance.now()): void {
    this.sentAt = dueAt;
    started += 1;
    this.socket?.write(headOf(next));
    next += 1;
  }

  private read(chunk: Buffer): void {
    bytes += chunk.length;
    if (this.left > 0) {
      this.left -= chunk.length;
      if (this.left <= 0) this.finish();
      return;
    }
    this.text += chunk.toString('latin1');
    if (!this.chunked) this.readHead();
    if (this.chunked && this.text.endsWith('0\r\n\r\n')) this.finish();
    else if (this.chunked && this.text.length > 16) this.text = this.text.slice(-8);
  }

  private readHead(): void {
    const at = this.text.indexOf('\r\n\r\n');
    if (at < 0) return;
    const head = this.text.slice(0, at);
    if (!head.startsWith('HTTP/1.1 200')) fail(head.slice(0, 60));
    const length = /\r\ncontent-length: *(\d+)/i.exec(head);
    if (length === null) {
      this.chunked = true;
      return;
    }
    this.left = Number(length[1]) - (this.text.length - at - 4);
    this.text = '';
    if (this.left <= 0) this.finish();
  }

  private finish(): void {
    requests += 1;
    latencies.push(performance.now() - this.sentAt);
    this.sentAt = 0;
    this.left = -1;
    this.chunked = false;
    this.text = '';
    if (plan.hold === true) return;
    if (plan.reconnect === true) {
      const old = this.socket;
      this.socket = undefined;
      old?.destroy();
      if (!isOver()) this.reopen();
      return;
    }
    this.done(this);
  }

  close(): void {
    const socket = this.socket;
    this.socket = undefined;
    socket?.destroy();
  }
}

const workers: Worker[] = [];

function onIdle(worker: Worker): void {
  if (plan.rate === undefined) {
    if (!isOver()) worker.send();
    return;
  }
  const dueAt = due.shift();
  if (dueAt === undefined) idle.push(worker);
  else worker.send(dueAt);
}

/** Open loop: what is due is sent on an idle connection, or waits for one. */
function keepRate(rate: number): void {
  let sent = 0;
  const timer = setInterval(() => {
    if (isOver()) {
      clearInterval(timer);
      return;
    }
    const target = ((performance.now() - begin) / 1000) * rate;
    for (; sent < target; sent += 1) {
      const dueAt = begin + (sent * 1000) / rate;
      const worker = idle.shift();
      if (worker === undefined) due.push(dueAt);
      else worker.send(performance.now());
    }
  }, 1);
}

function report(): void {
  latencies.sort((a, b) => a - b);
  const at = (share: number): number =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0;
  const result: LoadResult = {
    requests,
    failures,
    seconds: (performance.now() - begin) / 1000,
    bytes,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    ...(firstFailure === undefined ? {} : { firstFailure }),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

for (let i = 0; i < plan.connections; i += 1) {
  const worker = new Worker(onIdle);
  workers.push(worker);
  worker.open(() => {
    if (plan.hold === true) worker.send();
    else onIdle(worker);
  });
}
if (plan.rate !== undefined) keepRate(plan.rate);
if (plan.hold === true) {
  const timer = setInterval(() => {
    if (requests + failures < plan.connections && performance.now() < end) return;
    clearInterval(timer);
    report();
  }, 50);
  process.stdin.on('end', () => process.exit(0)).resume();
} else {
  const timer = setInterval(() => {
    if (!isOver()) return;
    clearInterval(timer);
    setTimeout(() => {
      report();
      for (const worker of workers) worker.close();
      process.exit(0);
    }, 200);
  }, 20);
}
