/** P10 on real sockets: a body is held, verified as raw bytes and forwarded as if nobody had looked; whatever clients do. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, test } from 'node:test';
import { origin, step } from '../decision/testing/fakes.ts';
import { BODY } from '../api/signed-payload.ts';
import type { CompiledSignature } from '../policy/steps.ts';
import { echoHeads, openWire, type Wire } from './testing/wire.ts';
import { material } from './testing/secure.ts';
import { OPEN, play, startWorld, type WorldParts } from './testing/world.ts';

const KEY = "It's a secret";
const HOOK: CompiledSignature = {
  scheme: {
    header: 'x-hub-signature-256',
    form: 'Bare',
    prefix: 'sha256=',
    encoding: 'Hex',
    algorithm: 'sha256',
    keyEncoding: 'Text',
    payload: [BODY],
  },
  id: 'orders/hook',
  keys: [{ secret: 'shop/hook', dataKey: 'key' }],
  toleranceMs: 300_000,
  maxBody: 100_000,
};
const hook = (parts: Partial<CompiledSignature> = {}, audit = false) =>
  step(
    { type: 'hmacSignature', hmacSignature: { ...HOOK, ...parts } },
    { name: 'hook', origin: origin({ name: audit ? 'trial' : 'orders', audit }) },
  );
const SIGNED: WorldParts = {
  material: material({ 'shop/hook': new Map([['key', new TextEncoder().encode(KEY)]]) }),
  routes: [
    ['/small', [hook({ maxBody: 10 })]],
    ['/audit', [OPEN, hook({ maxBody: 10 }, true)]],
    ['/twice', [hook({ maxBody: 10 }, true), hook()]],
    ['/', [hook()]],
  ],
};
const sign = (body: string | Buffer): string =>
  `X-Hub-Signature-256: sha256=${createHmac('sha256', KEY).update(body).digest('hex')}`;
const head = (path: string, ...lines: readonly string[]): string =>
  [`POST ${path} HTTP/1.1`, 'Host: a', ...lines, '', ''].join('\r\n');
const chunked = (...pieces: readonly string[]): string =>
  `${pieces.map(piece => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('')}0\r\n\r\n`;

const bytesOf = (text: string): readonly string[] => text.match(/[^]/g) ?? [];

/** Answers each request with the body that it got, by its framing as it came. */
function echoBodies(wire: Wire): void {
  void (async () => {
    for (;;) {
      const lines = await wire.take(/\r\n\r\n/);
      if (/expect: 100-continue/i.test(lines)) wire.send('HTTP/1.1 100 Continue\r\n\r\n');
      const length = Number(/content-length: (\d+)/i.exec(lines)?.[1] ?? 0);
      const body = /transfer-encoding: chunked/i.test(lines)
        ? await wire.take(/^(?:[^]*?\r\n)?0\r\n(?:[^\r\n]+\r\n)*\r\n/)
        : length === 0
          ? ''
          : await wire.take(new RegExp(`^[^]{${length}}`));
      wire.send(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    }
  })().catch(() => undefined);
}

const reasonOf = (body: string): string => /"reason":"(\w+)"/.exec(body)?.[1] ?? '';
const play_ = (scene: (port: number, requests: () => number) => Promise<void>, parts: WorldParts = SIGNED) =>
  play(echoBodies, parts, ({ app, world }) => scene(world.port, () => app.wires.length));

describe('P10: a signed body reaches the app as it came', () => {
  const text = 'a "body"\n'.repeat(20);
  const counted = `${head('/', sign(text), `Content-Length: ${text.length}`)}${text}`;
  const pieces = [text.slice(0, 7), text.slice(7, 100), text.slice(100)];
  const inChunks = head('/', sign(text), 'Transfer-Encoding: chunked');
  const WAYS: Readonly<Record<string, readonly [sent: readonly string[], got: string]>> = {
    'in one piece with its head': [[counted], text],
    'after its head': [[head('/', sign(text), `Content-Length: ${text.length}`), text], text],
    'byte by byte': [bytesOf(counted), text],
    'chunked, in one piece': [[inChunks + chunked(...pieces)], chunked(...pieces)],
    'chunked, byte by byte': [[inChunks, ...bytesOf(chunked(...pieces))], chunked(...pieces)],
    'without a body': [[head('/', sign(''))], ''],
    'of no bytes': [[head('/', sign(''), 'Content-Length: 0')], ''],
    'chunked, of no bytes': [[head('/', sign(''), 'Transfer-Encoding: chunked'), '0\r\n\r\n'], '0\r\n\r\n'],
  };
  const plain = (body: string): string => body.replace(/[0-9a-f]+\r\n/g, '').replaceAll('\r\n', '');
  for (const [way, [sent, got]] of Object.entries(WAYS)) {
    test(way, () =>
      play_(async port => {
        const wire = openWire(port);
        for (const piece of sent)
          await new Promise<void>(done => wire.socket.write(piece, 'latin1', () => setImmediate(done)));
        const answer = await wire.takeAnswer();
        assert.equal(answer.status, 200, answer.body);
        assert.equal(plain(answer.body), plain(got));
        wire.socket.destroy();
      }),
    );
  }

  test('raw bytes count, whatever they are', () =>
    play_(async port => {
      const body = Buffer.from(Array.from({ length: 512 }, (_, at) => at & 255));
      const wire = openWire(port).send(head('/', sign(body), 'Content-Length: 512', 'Content-Encoding: gzip'));
      wire.socket.write(body);
      const answer = await wire.takeAnswer();
      assert.equal(answer.body, body.toString('latin1'));
      wire.socket.destroy();
    }));

  test('trailers and the requests behind it are left as they are', () =>
    play_(async port => {
      const trailed = `${inChunks}${chunked(text).slice(0, -2)}X-Check: 1\r\n\r\n`;
      const wire = openWire(port).send(trailed + counted + counted);
      assert.match((await wire.takeAnswer()).body, /X-Check: 1\r\n\r\n$/);
      for (let n = 0; n < 2; n++) assert.equal((await wire.takeAnswer()).body, text);
      wire.socket.destroy();
    }));

  test('as long as maxBody, and with the client’s FIN behind it', () =>
    play_(async port => {
      const large = 'x'.repeat(HOOK.maxBody);
      const wire = openWire(port).send(head('/', sign(large), `Content-Length: ${large.length}`));
      wire.socket.end(large);
      assert.equal((await wire.takeAnswer()).body.length, large.length);
      wire.socket.destroy();
    }));

  test('Expect: 100-continue is answered by us, once, and the app is not asked for it again', () =>
    play_(async port => {
      const wire = openWire(port).send(head('/', sign(text), `Content-Length: ${text.length}`, 'Expect: 100-continue'));
      assert.equal(await wire.take(/\r\n\r\n/), 'HTTP/1.1 100 Continue\r\n\r\n');
      const answer = await wire.send(text).takeAnswer();
      assert.equal(answer.body, text);
      wire.socket.destroy();
    }));

  test('the app gets no Expect that we have answered', () =>
    play(echoHeads, SIGNED, async ({ world }) => {
      const wire = openWire(world.port).send(head('/', sign('ab'), 'Content-Length: 2', 'Expect: 100-continue'));
      await wire.take(/\r\n\r\n/);
      assert.doesNotMatch((await wire.send('ab').takeAnswer()).body, /expect/i);
      wire.socket.destroy();
    }));
});

describe('P10: a body that is refused never reaches the app', () => {
  const cases: Readonly<Record<string, readonly [told: string, sent: string]>> = {
    'a wrong signature': ['401 SignatureInvalid', `${head('/', sign('x'), 'Content-Length: 1')}y`],
    'no signature, before the body is read': ['401 SignatureNotPresent', head('/', 'Content-Length: 99')],
    'a signature that cannot be right, before the body is read': [
      '401 SignatureInvalid',
      head('/', 'X-Hub-Signature-256: sha256=x', 'Content-Length: 99'),
    ],
    'a length that is too great, before the body is read': [
      '413 BodyTooLarge',
      head('/small', sign('x'), 'Content-Length: 11'),
    ],
    'nor is such a client told to go on': [
      '413 BodyTooLarge',
      head('/small', sign('x'), 'Content-Length: 11', 'Expect: 100-continue'),
    ],
    'too many chunks': [
      '413 BodyTooLarge',
      head('/small', sign('x'), 'Transfer-Encoding: chunked') + chunked('123456', '78901'),
    ],
    'more framing than content': [
      '413 BodyTooLarge',
      head('/', sign('x'), 'Transfer-Encoding: chunked') + '1\r\nx\r\n'.repeat(50_000),
    ],
    'broken chunks': ['400 MalformedRequest', `${head('/', sign('x'), 'Transfer-Encoding: chunked')}x\r\n`],
    'chunks that break later': ['400 MalformedRequest', `${head('/', sign('x'), 'Transfer-Encoding: chunked')}1\r\nxy`],
  };
  for (const [what, [told, sent]] of Object.entries(cases)) {
    test(`${what}: ${told}`, () =>
      play_(async (port, connections) => {
        const wire = openWire(port).send(sent);
        const { status, body } = await wire.takeAnswer();
        assert.equal(`${status} ${reasonOf(body)}`, told);
        assert.equal(connections(), 0);
        wire.socket.destroy();
      }));
  }

  test('Api.limits.bodyBytes holds where it is less than maxBody', () =>
    play_(
      async port => {
        const wire = openWire(port).send(head('/', sign('x'), 'Content-Length: 6'));
        assert.equal((await wire.takeAnswer()).status, 413);
        wire.socket.destroy();
      },
      { ...SIGNED, api: { bodyBytes: 5 } },
    ));

  test('the connection goes on after a body that was read and refused', () =>
    play_(async port => {
      const wire = openWire(port).send(`${head('/', sign('x'), 'Content-Length: 1')}y`);
      assert.equal((await wire.takeAnswer()).status, 401);
      assert.equal((await wire.send(`${head('/', sign('x'), 'Content-Length: 1')}x`).takeAnswer()).body, 'x');
      wire.socket.destroy();
    }));
});

describe('P10: a body that never ends', () => {
  test('silence for bodyIdle is 408, with policies or without', () =>
    play(echoBodies, SIGNED, async ({ world, app }) => {
      const wire = openWire(world.port).send(`${head('/', sign('x'), 'Content-Length: 2')}x`);
      await new Promise(done => setTimeout(done, 20));
      world.advance(61_000);
      const { status, body } = await wire.takeAnswer();
      assert.equal(`${status} ${reasonOf(body)}`, '408 RequestTimeout');
      assert.equal(app.wires.length, 0);
    }));

  test('whoever sends on is not cut off by the decision’s own clock', () =>
    play(echoBodies, SIGNED, async ({ world }) => {
      const wire = openWire(world.port).send(head('/', sign('abcd'), 'Content-Length: 4'));
      for (const byte of 'abc') {
        await new Promise<void>(done => wire.socket.write(byte, () => setTimeout(done, 20)));
        world.advance(50_000);
        await new Promise(done => setTimeout(done, 600));
      }
      assert.equal((await wire.send('d').takeAnswer()).body, 'abcd');
      wire.socket.destroy();
    }));

  test('a client that leaves is forgotten', async () => {
    const world = await startWorld(1, SIGNED);
    const wire = openWire(world.port).send(`${head('/', sign('x'), 'Content-Length: 2')}x`);
    await new Promise(done => setTimeout(done, 20));
    wire.socket.resetAndDestroy();
    await wire.gone();
    const other = openWire(world.port).send(`${head('/', 'Content-Length: 2')}x`);
    assert.equal((await other.takeAnswer()).status, 401);
    other.socket.destroy();
    await world.stop();
  });
});

describe('S8: in Audit a body is looked at and changes nothing', () => {
  test('one that is too long is forwarded whole, streamed from there on', () =>
    play_(async port => {
      const large = 'x'.repeat(50_000);
      for (const [framing, body] of [
        [`Content-Length: ${large.length}`, large],
        ['Transfer-Encoding: chunked', chunked(large.slice(0, 20_000), large.slice(20_000))],
      ] as const) {
        const wire = openWire(port).send(head('/audit', sign('x'), framing));
        for (const piece of [body.slice(0, 5), body.slice(5, 30_000), body.slice(30_000)]) {
          await new Promise<void>(done => wire.socket.write(piece, 'latin1', () => setTimeout(done, 5)));
        }
        const answer = await wire.takeAnswer();
        assert.equal(answer.status, 200);
        assert.equal(answer.body.replace(/[0-9a-f]+\r\n|\r\n/g, '').length, large.length);
        wire.socket.destroy();
      }
    }));

  test('a step with more room reads on where one with less has stopped', () =>
    play_(async port => {
      const text = 'y'.repeat(40);
      const wire = openWire(port).send(head('/twice', sign(text), 'Transfer-Encoding: chunked'));
      for (const piece of [chunked(text).slice(0, 18), chunked(text).slice(18)]) {
        await new Promise<void>(done => wire.socket.write(piece, 'latin1', () => setTimeout(done, 5)));
      }
      assert.equal((await wire.takeAnswer()).status, 200);
      wire.socket.destroy();
    }));
});
