/** Large answers side by side, whose reads share a buffer or do not: every byte arrives at the client that it is for. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { createChunkedDecoder } from '../http/body.ts';
import { openWire, type Wire } from './testing/wire.ts';
import { play } from './testing/world.ts';

const SIZE = 3 * 1024 * 1024 + 77;
const FILLS = [0, 1, 2, 3, 4, 5, 6, 7];

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

/** Bytes of which none stands where another could. */
function fillBody(fill: number, size: number): Buffer {
  const numbers = new Uint32Array(size / 4 + 1);
  for (let at = 0; at < numbers.length; at += 1) numbers[at] = at * 8 + fill;
  return Buffer.from(numbers.buffer, 0, size);
}

const BODIES = FILLS.map(fill => fillBody(fill, SIZE));

/** Reads one answer; `slow` rests after each piece. */
async function readAnswer(port: number, fill: number, slow: boolean): Promise<Buffer> {
  const wire = openWire(port);
  const { socket } = wire;
  socket.removeAllListeners('data');
  const pieces: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => {
    pieces.push(chunk);
    if (!slow || pieces.length > 60) return;
    socket.pause();
    setTimeout(() => socket.resume(), 5);
  });
  wire.send(`GET /open HTTP/1.1\r\nHost: a\r\nX-Fill: ${fill}\r\nConnection: close\r\n\r\n`);
  await wire.takeAll();
  socket.destroy();
  return readBody(Buffer.concat(pieces));
}

function readBody(answer: Buffer): Buffer {
  const at = answer.indexOf('\r\n\r\n') + 4;
  const body = answer.subarray(at);
  if (!/^transfer-encoding: chunked/im.test(answer.toString('latin1', 0, at))) return body;
  const slices: Uint8Array[] = [];
  createChunkedDecoder().read(body, { data: slice => slices.push(slice) });
  return Buffer.concat(slices);
}

async function serve(wire: Wire, answer: (wire: Wire, body: Buffer) => void): Promise<void> {
  for (;;) {
    const head = await wire.take(/\r\n\r\n/);
    answer(wire, BODIES[Number(/x-fill: (\d)/i.exec(head)?.[1])] ?? Buffer.alloc(0));
  }
}

describe('eight large answers at once, half of them to clients that read slowly', () => {
  for (const [name, answer] of Object.entries(FRAMINGS)) {
    test(`${name}: each client gets its own, byte for byte`, () => {
      const behave = (wire: Wire): void => {
        void serve(wire, answer).catch(() => undefined);
      };
      return play(behave, {}, async ({ world }) => {
        const got = await Promise.all(FILLS.map(fill => readAnswer(world.port, fill, fill % 2 === 0)));
        assert.deepEqual(
          got.map((body, fill) => body.equals(BODIES[fill] ?? body.subarray(1))),
          FILLS.map(() => true),
        );
      });
    });
  }
});

/** More than the system buffers on its way. */
const LARGE = 24 * 1024 * 1024;
/** So small that a socket which holds one of them still takes another. */
const PIECE = 30_000;

test('pieces that wait for a client are not written over by those that follow', () => {
  const body = fillBody(1, LARGE);
  const behave = (wire: Wire): void => {
    void wire.take(/\r\n\r\n/).then(async () => {
      wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${LARGE}\r\n\r\n`);
      wire.socket.write(body.subarray(0, 1024 * 1024));
      for (let at = 1024 * 1024; at < LARGE; at += PIECE) {
        wire.socket.write(body.subarray(at, at + PIECE));
        await setImmediate();
      }
    });
  };
  return play(behave, {}, async ({ world }) => {
    assert.ok((await readAnswer(world.port, 1, true)).equals(body));
  });
});
