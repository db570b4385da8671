import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { play, type World } from './testing/world.ts';
import { echoHeads, openWire, type Wire } from './testing/wire.ts';

const GET = 'GET /open HTTP/1.1\r\nHost: a.example\r\n\r\n';
const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

const connectionsOf = ({ proxy }: World): number => {
  const listeners = proxy.status()['listeners'] as readonly { connections: number }[];
  return listeners.reduce((sum, { connections }) => sum + connections, 0);
};

async function settled(world: World, expected: number): Promise<void> {
  for (let i = 0; i < 100 && connectionsOf(world) !== expected; i += 1) await pause(50);
  assert.equal(connectionsOf(world), expected);
}

/** Deterministic bytes that differ for each n. */
function pattern(n: number, size: number): Buffer {
  const seed = createHash('sha256').update(`pattern ${n}`).digest();
  return Buffer.alloc(size, seed);
}

describe('many at once', () => {
  test('each client gets its own bytes, however slowly it reads and however the app frames them', () => {
    const size = 1_500_000;
    const behave = (wire: Wire): void => {
      const serve = (head: string): void => {
        const n = Number(/\/open\/(\d+)/.exec(head)?.[1]);
        const body = pattern(n, size);
        if (n % 3 === 0) {
          wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`).socket.write(body);
          behave(wire); // a client that comes late is served over the same connection
        } else if (n % 3 === 1) {
          wire.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
          for (let at = 0; at < size; at += 50_000) {
            wire.send('c350\r\n').socket.write(body.subarray(at, at + 50_000));
            wire.send('\r\n');
          }
          wire.send('0\r\n\r\n');
          behave(wire);
        } else wire.send('HTTP/1.1 200 OK\r\n\r\n').socket.end(body);
      };
      // A connection that ends asks for nothing more.
      wire.take(/\r\n\r\n/).then(serve, () => undefined);
    };
    return play(behave, {}, async ({ world }) => {
      const download = (n: number): Promise<void> =>
        new Promise((resolve, reject) => {
          const socket = connect(world.port, '127.0.0.1');
          const hash = createHash('sha256');
          let text = '';
          let left = size;
          socket.on('error', reject);
          socket.on('data', (chunk: Buffer) => {
            socket.pause();
            setTimeout(() => socket.resume(), n % 4);
            text += chunk.toString('latin1');
            left -= chunk.length;
          });
          socket.on('end', () => {
            const at = text.indexOf('\r\n\r\n') + 4;
            const body = /chunked/.test(text.slice(0, at)) ? dechunk(text.slice(at)) : text.slice(at);
            hash.update(body, 'latin1');
            try {
              const expected = createHash('sha256').update(pattern(n, size)).digest('hex');
              assert.equal(hash.digest('hex'), expected, `client ${n}, ${left} bytes to go`);
              resolve();
            } catch (error) {
              reject(error instanceof Error ? error : new Error('other bytes'));
            }
          });
          // HTTP/1.1 that closes after the answer, and HTTP/1.0.
          const head = n % 2 === 0 ? 'HTTP/1.1\r\nHost: a\r\nConnection: close' : 'HTTP/1.0';
          socket.write(`GET /open/${n} ${head}\r\n\r\n`);
        });
      await Promise.all(Array.from({ length: 12 }, (_, n) => download(n)));
    });
  });

  test('connections that come and go leave nothing behind', () =>
    play(echoHeads, {}, async ({ world }) => {
      for (let round = 0; round < 10; round += 1) {
        const wires = Array.from({ length: 30 }, () => openWire(world.port).send(GET));
        await Promise.all(
          wires.map(async (wire, n) => {
            if (n % 3 !== 0) await wire.takeAnswer();
            if (n % 2 === 0) wire.socket.resetAndDestroy();
            else wire.socket.destroy();
          }),
        );
      }
      await settled(world, 0);
      const { idle, open } = world.proxy.status()['appConnections'] as { idle: number; open: number };
      assert.equal(idle, open);
      assert.ok(open <= 30, `${open} connections to the app`);
    }));

  test('a client may leave at any point of a request', () =>
    play(undefined, {}, async ({ world, app }) => {
      const text = 'POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n';
      for (let at = 0; at <= text.length; at += 3) {
        const wire = openWire(world.port).send(text.slice(0, at));
        await pause(2);
        wire.socket.resetAndDestroy();
      }
      await settled(world, 0);
      const last = openWire(world.port).send(GET);
      const behind = await app.connection(app.wires.length);
      await behind.take(/\r\n\r\n/);
      behind.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      assert.equal((await last.takeAnswer()).status, 200);
      last.socket.destroy();
    }));
});

function dechunk(text: string): string {
  let body = '';
  for (let at = 0; ;) {
    const line = text.indexOf('\r\n', at);
    const length = parseInt(text.slice(at, line), 16);
    if (length === 0) return body;
    body += text.slice(line + 2, line + 2 + length);
    at = line + 4 + length;
  }
}

describe('file descriptors', () => {
  test('may run out: the process lives, and serves again when some are free', async () => {
    const script = fileURLToPath(new URL('./testing/starved.ts', import.meta.url));
    const child = spawn('sh', ['-c', 'ulimit -n 48; exec "$0" "$1"', process.execPath, script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const [first] = (await once(child.stdout, 'data')) as [Buffer];
      const port = Number(first.toString());
      const wires = Array.from({ length: 100 }, () => openWire(port).send(GET));
      await pause(700);
      assert.equal(child.exitCode, null);
      for (const { socket } of wires) socket.destroy();
      for (let tries = 0; ; tries += 1) {
        const wire = openWire(port).send(GET);
        const answer = await wire.takeAnswer().catch(() => undefined);
        wire.socket.destroy();
        if (answer?.status === 200) break;
        assert.ok(tries < 50, 'it does not serve again');
        await pause(100);
      }
    } finally {
      child.kill('SIGKILL');
    }
  });
});

/** Pieces of HTTP, mixed with any bytes: nearly right is what finds mistakes. */
const PIECES = [
  'GET /open HTTP/1.1\r\n',
  'POST /open HTTP/1.1\r\n',
  'HTTP/1.1 200 OK\r\n',
  'HTTP/1.1 100 Continue\r\n\r\n',
  'HTTP/1.1 101 Switching Protocols\r\n',
  'Host: a\r\n',
  'Content-Length: 3\r\n',
  'Content-Length: 0\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Connection: close\r\n',
  'Connection: Upgrade\r\nUpgrade: websocket\r\n',
  'Expect: 100-continue\r\n',
  '\r\n',
  '3\r\nabc\r\n',
  '0\r\n\r\n',
  'abc',
] as const;
const bytes = fc
  .array(
    fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...PIECES) }, fc.string({ unit: 'binary-ascii', maxLength: 12 })),
    {
      maxLength: 10,
    },
  )
  .map(parts => parts.join(''));

describe('whatever is sent', () => {
  test('by clients, the proxy goes on and holds no connection', () =>
    play(echoHeads, {}, async ({ world }) => {
      await fc.assert(
        fc.asyncProperty(bytes, async text => {
          const wire = openWire(world.port).send(text);
          wire.socket.end();
          await wire.takeAll().catch(() => undefined);
          wire.socket.destroy();
        }),
        { numRuns: 150 },
      );
      await settled(world, 0);
      const wire = openWire(world.port).send(GET);
      assert.equal((await wire.takeAnswer()).status, 200);
      wire.socket.destroy();
    }));

  test('by the app, the client gets one answer or a broken stream, and the next client its own', () => {
    let said = '';
    const behave = (wire: Wire): void => {
      void wire.take(/\r\n\r\n/).then(
        () => wire.socket.end(said, 'latin1'),
        () => undefined,
      );
    };
    return play(behave, {}, async ({ world }) => {
      await fc.assert(
        fc.asyncProperty(bytes, async text => {
          said = text;
          const wire = openWire(world.port).send(GET.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
          const all = await wire.takeAll();
          wire.socket.destroy();
          const answers = all.split(/HTTP\/1\.1 [2-5]\d\d /).length - 1;
          assert.ok(answers <= 1 || text.includes('HTTP/1.1 200 OK'), all);
          assert.doesNotMatch(all, /^HTTP\/1\.1 101/);
        }),
        { numRuns: 150 },
      );
      await settled(world, 0);
    });
  });
});
