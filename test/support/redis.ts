/** A real Redis (Debian's package redis-server) that a test kills, stops and starts again at the same port. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import { findFreePort } from '../../src/demo/listening.ts';
import type { IssuedCertificate } from '../../src/demo/pki.ts';
import { until } from './until.ts';

export interface RedisOptions {
  readonly tls?: Pick<IssuedCertificate, 'chainPem' | 'keyPem'>;
  /** Lines of its configuration: `requirepass …`, `user …`. */
  readonly lines?: readonly string[];
}

export class Redis {
  readonly port: number;
  readonly #folder: string;
  #child: ChildProcess | undefined;

  constructor(port: number, folder: string) {
    this.port = port;
    this.#folder = folder;
  }

  /** @throws Error with its own words when it does not start. */
  async start(): Promise<void> {
    const child = spawn('redis-server', [join(this.#folder, 'redis.conf')], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
    }
    const failed = new Promise<never>((_, reject) => {
      child.once('error', reject);
      child.once('exit', code => reject(new Error(`redis-server ended with ${code ?? 'a signal'}:\n${output}`)));
    });
    failed.catch(() => undefined);
    await Promise.race([until('Redis to listen', () => isListening(this.port)), failed]);
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  /** Without a word to its clients. What it held is lost. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'close');
  }

  async close(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true });
  }

  /** Asks it by a client of its own; without TLS only. */
  async ask(...words: string[]): Promise<unknown> {
    const client = createClient({ socket: { host: '127.0.0.1', port: this.port } });
    await client.connect();
    try {
      return await client.sendCommand(words);
    } finally {
      client.destroy();
    }
  }
}

export async function startRedis({ tls, lines = [] }: RedisOptions = {}): Promise<Redis> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-redis-'));
  const port = await findFreePort();
  const configuration = ['bind 127.0.0.1', 'save ""', 'appendonly no', `dir ${folder}`, ...lines];
  if (tls === undefined) configuration.push(`port ${port}`);
  else {
    await writeFile(join(folder, 'tls.crt'), tls.chainPem);
    await writeFile(join(folder, 'tls.key'), tls.keyPem, { mode: 0o600 });
    const files = [`tls-cert-file ${join(folder, 'tls.crt')}`, `tls-key-file ${join(folder, 'tls.key')}`];
    configuration.push('port 0', `tls-port ${port}`, 'tls-auth-clients no', ...files);
  }
  await writeFile(join(folder, 'redis.conf'), `${configuration.join('\n')}\n`, { mode: 0o600 });
  const redis = new Redis(port, folder);
  await redis.start();
  return redis;
}

function isListening(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
