/** Large answers side by side, whose reads share a buffer or do not: every byte arrives at the client that it is for. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openWire, type Wire } from './testing/wire.ts';
import { play } from './testing/world.ts';

const SIZE = 6 * 1024 * 1024 + 77;
const FILLS = [...'pqrstuvw'];

const FRAMINGS: Record<string, (wire: Wire, body: Buffer) => void> = {
  counted: (wire, body) => {
    wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
    wire.socket.write(body);
  },
  'in chunks, large and tiny': (wire, body) => {
    wire.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (const piece of [body.subarray(0, 5), body.subarray(5, 400_000), body.subarray(400_000)]) {
      wire.socket.write(`${piece.length.toString(16)}\r\n`);
      wire.socket.write(piece);
      wire.socket.write('\r\n');
    }
    wire.socket.write('0\r\n\r\n');
  },
  'until the connection ends': (wire, body) => {
    wire.send('HTTP/1.1 200 OK\r\n\r\n');
    wire.socket.end(body);
  },
};

/** Reads one answer of `fill` alone; `slow` rests after each piece. */
async function readAnswer(port: number, fill: string, slow: boolean): Promise<number> {
  const wire = openWire(port);
  const { socket } = wire;
  socket.removeAllListeners('data');
  let bytes = 0;
  let strangers = 0;
  let inBody = false;
  socket.on('data', (chunk: Buffer) => {
    let at = 0;
    if (!inBody) {
      at = chunk.indexOf('\r\n\r\n') + 4;
      inBody = true;
    }
    for (const byte of chunk.subarray(at)) {
      if (byte === fill.charCodeAt(0)) bytes += 1;
      else strangers += 1;
    }
    if (slow && bytes < SIZE / 2) {
      socket.pause();
      setTimeout(() => socket.resume(), 5);
    }
  });
  wire.send(`GET /open HTTP/1.1\r\nHost: a\r\nX-Fill: ${fill}\r\nConnection: close\r\n\r\n`);
  await wire.takeAll();
  wire.socket.destroy();
  // Chunk sizes and ends are not of the body; foreign fills would be megabytes.
  assert.ok(strangers < 4096, `${fill}: ${strangers} bytes of something else`);
  return bytes;
}

describe('eight large answers at once, half of them to clients that read slowly', () => {
  for (const [name, answer] of Object.entries(FRAMINGS)) {
    test(`${name}: each client gets its own, byte for byte`, () => {
      const behave = (wire: Wire): void => {
        void wire.take(/\r\n\r\n/).then(head => {
          const fill = /x-fill: (\w)/i.exec(head)?.[1] ?? '?';
          answer(wire, Buffer.alloc(SIZE, fill));
        });
      };
      return play(behave, {}, async ({ world }) => {
        const got = await Promise.all(FILLS.map((fill, at) => readAnswer(world.port, fill, at % 2 === 0)));
        assert.deepEqual(
          got,
          FILLS.map(() => SIZE),
        );
      });
    });
  }
});
