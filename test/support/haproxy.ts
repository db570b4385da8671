/** A real HAProxy (Debian's package haproxy) with a configuration that the test writes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './until.ts';

export interface HaproxyOptions {
  /** Frontends and backends. */
  readonly configuration: string;
  /** A port that answers when it is ready. */
  readonly port: number;
  /** Beside the configuration, by name. */
  readonly files?: Readonly<Record<string, string>>;
}

const DEFAULTS = `global
  nbthread 1
  no strict-limits
defaults
  mode tcp
  timeout client 30s
  timeout server 30s
  timeout connect 5s
`;

/** @throws Error with HAProxy's own words when it does not start. */
export async function startHaproxy({
  configuration,
  port,
  files = {},
}: HaproxyOptions): Promise<{ stop(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-haproxy-'));
  await writeFile(join(folder, 'haproxy.cfg'), DEFAULTS + configuration);
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content, { mode: 0o600 });
  const child = spawn('haproxy', ['-db', '-f', 'haproxy.cfg'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  }
  const failed = new Promise<never>((_, reject) => {
    child.once('error', error =>
      reject(new Error('haproxy cannot be run: install it (apt-get install haproxy)', { cause: error })),
    );
    child.once('exit', code => reject(new Error(`haproxy ended with ${code ?? 'a signal'}:\n${output}`)));
  });
  failed.catch(() => undefined);
  await Promise.race([until('haproxy to listen', () => isListening(port)), failed]);
  return {
    stop: async () => {
      const ended = child.exitCode === null ? once(child, 'close') : undefined;
      child.kill('SIGKILL');
      await ended;
      await rm(folder, { recursive: true });
    },
  };
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
