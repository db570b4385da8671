/** A client that reads slowly gets the whole of the last answer of its connection, or sees that it did not. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { responseStep } from '../decision/testing/fakes.ts';
import { openWire, type Wire } from './testing/wire.ts';
import { play, type World, type WorldParts } from './testing/world.ts';

/** More than the buffers of both ends hold. */
const SIZE = 24 * 1024 * 1024;
const bodies = { mediaTypes: ['text/plain'], maxBytes: SIZE, onOversize: 'Fail' } as const;
const REPLACING: WorldParts = {
  pipeline: {
    response: {
      dynamic: true,
      steps: [responseStep({ type: 'replaceText', replaceText: { from: 'back end', to: 'something', bodies } })],
    },
  },
};
const HELD = Buffer.alloc(SIZE, 'x');
const REQUEST = 'GET /open HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';

function answerLarge(wire: Wire): void {
  void wire.take(/\r\n\r\n/).then(() => {
    wire.send(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${SIZE}\r\n\r\n`);
    wire.socket.write(HELD);
  });
}

const pause = (milliseconds: number): Promise<void> => new Promise(done => setTimeout(done, milliseconds));

/** A client that asks, and reads on only once the answer has begun and both ends are full. */
async function askAndStall(world: World): Promise<{ wire: Wire; got: () => number }> {
  const wire = openWire(world.port);
  let got = 0;
  wire.socket.removeAllListeners('data');
  const first = new Promise<void>(resolve =>
    wire.socket.on('data', (chunk: Buffer) => {
      if (got === 0) {
        wire.socket.pause();
        resolve();
      }
      got += chunk.length;
    }),
  );
  wire.send(REQUEST);
  await first;
  await pause(300);
  return { wire, got: () => got };
}

describe('the last answer of a connection, held and rewritten, larger than what the system buffers', () => {
  test('comes whole to a client that pauses longer than a connection lingers', () =>
    play(answerLarge, REPLACING, async ({ world }) => {
      const { wire, got } = await askAndStall(world);
      world.advance(5000);
      await pause(600);
      wire.socket.resume();
      await wire.takeAll();
      assert.ok(got() > SIZE, `${got()} of ${SIZE}`);
      assert.equal((await world.recorded(1))[0]?.bytesOut, SIZE);
      wire.socket.destroy();
    }));

  test('is reset, and not logged as sent, when the client stalls for longer than the app may', () =>
    play(answerLarge, REPLACING, async ({ world }) => {
      const { wire, got } = await askAndStall(world);
      world.advance(301_000);
      const [record] = await world.recorded(1);
      assert.ok((record?.bytesOut ?? SIZE) < SIZE);
      wire.socket.resume();
      await wire.gone();
      assert.ok(wire.reset);
      assert.ok(got() < SIZE);
    }));
});

describe('the last answer of a connection, streamed', () => {
  /** Fits the buffer of the stream, not that of the system: only the end of the connection waits for it. */
  const streamed = (wire: Wire): void => {
    void wire.take(/\r\n\r\n/).then(() => {
      wire.send(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${SIZE}\r\n\r\n`);
      wire.socket.write(HELD);
    });
  };
  test('comes whole to a client that pauses', () =>
    play(streamed, {}, async ({ world }) => {
      const { wire, got } = await askAndStall(world);
      world.advance(5000);
      await pause(600);
      wire.socket.resume();
      await wire.takeAll();
      assert.ok(got() > SIZE);
      wire.socket.destroy();
    }));

  const PASSING: WorldParts = {
    pipeline: {
      response: {
        dynamic: true,
        steps: [
          responseStep({
            type: 'replaceText',
            replaceText: { from: 'a', to: 'b', bodies: { ...bodies, maxBytes: SIZE - 1, onOversize: 'Pass' } },
          }),
        ],
      },
    },
  };
  for (const [what, ahead, whole] of [
    ['comes whole after a pause longer than a connection lingers', 5000, true],
    ['is reset where the client stalls', 301_000, false],
  ] as const) {
    test(`passed at its last byte, as too large to rewrite: it ${what}`, () =>
      play(answerLarge, PASSING, async ({ world }) => {
        const { wire, got } = await askAndStall(world);
        world.advance(ahead);
        await pause(600);
        wire.socket.resume();
        await (whole ? wire.takeAll() : wire.gone());
        assert.equal(got() > SIZE, whole);
        assert.equal((await world.recorded(1))[0]?.bytesOut === SIZE, whole);
        wire.socket.destroy();
      }));
  }
});
