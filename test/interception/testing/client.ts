/**
 * A client in a network of its own: does what its arguments (JSON, one task each) say, one after the other, or with `--at-once`
 * all together, and prints what came of each, as JSON.
 */
import { createSocket } from 'node:dgram';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { connect as connectTls } from 'node:tls';

export type Task =
  /** One request on a connection of its own. */
  | { readonly kind: 'get'; readonly url: string; readonly host?: string }
  /** Bytes sent, and what comes until the other side ends; `from` is the port it comes from. */
  | {
      readonly kind: 'tcp';
      readonly host: string;
      readonly port: number;
      readonly send?: string;
      readonly from?: number;
    }
  | { readonly kind: 'tls'; readonly host: string; readonly port: number; readonly send: string }
  /** A datagram, and the one that comes back within half a second. */
  | { readonly kind: 'udp'; readonly host: string; readonly port: number }
  /** Connections that are kept open, each with so many requests. */
  | { readonly kind: 'load'; readonly url: string; readonly connections: number; readonly requests: number }
  /** Opens connections, all at once, and counts those that stay open for a moment. */
  | { readonly kind: 'hold'; readonly host: string; readonly port: number; readonly connections: number };

export interface Outcome {
  readonly status?: number;
  readonly body?: string;
  /** `ECONNREFUSED`, `ECONNRESET`, `timeout` … */
  readonly error?: string;
  readonly ok?: number;
}

const PATIENCE_MS = 3000;

function get(url: string, agent: Agent | false, host?: string): Promise<Outcome> {
  return new Promise(resolve => {
    const headers = host === undefined ? {} : { host };
    const asked = request(url, { agent, timeout: PATIENCE_MS, headers }, response => {
      text(response).then(
        body => resolve({ status: response.statusCode ?? 0, body }),
        (error: unknown) => resolve({ error: codeOf(error) }),
      );
    });
    asked.on('timeout', () => asked.destroy(Object.assign(new Error(), { code: 'timeout' })));
    asked.on('error', error => resolve({ error: codeOf(error) }));
    asked.end();
  });
}

function exchange(task: Extract<Task, { kind: 'tcp' | 'tls' }>): Promise<Outcome> {
  return new Promise(resolve => {
    const { host, port } = task;
    const socket =
      task.kind === 'tls'
        ? connectTls({ host, port, rejectUnauthorized: false })
        : connect({ host, port, ...(task.from === undefined ? {} : { localPort: task.from }) });
    let body = '';
    socket.setTimeout(PATIENCE_MS, () => socket.destroy(Object.assign(new Error(), { code: 'timeout' })));
    socket.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    socket.on('error', error => resolve({ body, error: codeOf(error) }));
    socket.on('end', () => resolve({ body }));
    if (task.send !== undefined) socket.write(task.send);
  });
}

function ask(host: string, port: number): Promise<Outcome> {
  return new Promise(resolve => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    const finish = (outcome: Outcome): void => {
      clearTimeout(timer);
      socket.close();
      resolve(outcome);
    };
    const timer = setTimeout(() => finish({ error: 'timeout' }), 500);
    socket.on('message', message => finish({ body: message.toString() }));
    socket.on('error', error => finish({ error: codeOf(error) }));
    socket.send('ping', port, host);
  });
}

async function load(url: string, connections: number, requests: number): Promise<Outcome> {
  const run = async (): Promise<number> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    let ok = 0;
    for (let i = 0; i < requests; i++) if ((await get(url, agent)).status === 200) ok++;
    agent.destroy();
    return ok;
  };
  const counts = await Promise.all(Array.from({ length: connections }, run));
  return { ok: counts.reduce((sum, count) => sum + count, 0) };
}

async function hold(host: string, port: number, connections: number): Promise<Outcome> {
  const sockets = Array.from({ length: connections }, () => connect({ host, port }).on('error', () => undefined));
  await new Promise(resolve => setTimeout(resolve, 500));
  const ok = sockets.filter(socket => !socket.destroyed && !socket.connecting).length;
  for (const socket of sockets) socket.destroy();
  return { ok };
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

function perform(task: Task): Promise<Outcome> {
  switch (task.kind) {
    case 'get':
      return get(task.url, false, task.host);
    case 'tcp':
    case 'tls':
      return exchange(task);
    case 'udp':
      return ask(task.host, task.port);
    case 'load':
      return load(task.url, task.connections, task.requests);
    case 'hold':
      return hold(task.host, task.port, task.connections);
  }
}

async function performAll(tasks: readonly Task[], atOnce: boolean): Promise<readonly Outcome[]> {
  if (atOnce) return Promise.all(tasks.map(perform));
  const outcomes: Outcome[] = [];
  for (const task of tasks) outcomes.push(await perform(task));
  return outcomes;
}

if (import.meta.main) {
  const words = process.argv.slice(2);
  const tasks = words.filter(word => word !== '--at-once').map(word => JSON.parse(word) as Task);
  process.stdout.write(`${JSON.stringify(await performAll(tasks, words.includes('--at-once')))}\n`);
  process.exit(0);
}
