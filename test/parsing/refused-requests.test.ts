/** Every malformed or ambiguous request, on real sockets: its status, the connection closed, nothing at the app. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, suite, test } from 'node:test';
import { REASONS } from '../../src/api/reasons.ts';
import { REFUSED_CHUNKS } from '../../src/http/testing/refused-chunks.ts';
import { REFUSED_REQUESTS } from '../../src/http/testing/refused-requests.ts';
import { openWire } from '../../src/proxy/testing/wire.ts';
import { OPEN, startWorld, type World } from '../../src/proxy/testing/world.ts';
import { splitAnswers, type Answer } from './testing/answers.ts';
import { startRecordingApp, type RecordingApp } from './testing/recording-app.ts';

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: app.example\r\n\r\n';

let app: RecordingApp;
let world: World;
before(async () => {
  app = await startRecordingApp();
  world = await startWorld(app.port, { routes: [['/', [OPEN]]] });
});
beforeEach(() => app.forget());
after(async () => {
  await world.stop();
  await app.stop();
});

async function send(...pieces: string[]): Promise<Answer[]> {
  const wire = openWire(world.port);
  for (const piece of pieces) wire.send(piece);
  const text = await wire.takeAll();
  wire.socket.end();
  await wire.gone();
  assert.ok(!wire.reset, 'the connection ends in order, so that the answer is seen');
  return splitAnswers(text);
}

for (const [name, table] of Object.entries(REFUSED_REQUESTS)) {
  suite(`refused ${name}`, () => {
    for (const [sentence, [reason, text]] of Object.entries(table)) {
      const { status } = REASONS[reason];
      test(`${sentence} → ${status}, closed, nothing forwarded`, async () => {
        const answers = await send(text, SMUGGLED);
        assert.deepEqual(
          answers.map(({ status, close }) => ({ status, close })),
          [{ status, close: true }],
        );
        assert.deepEqual(app.heads, []);
      });
    }
  });
}

suite('refused after a good request on the same connection', () => {
  for (const [sentence, [reason, text]] of Object.entries(REFUSED_REQUESTS['lengths'] ?? {})) {
    const { status } = REASONS[reason];
    test(`${sentence} → ${status}, closed, only the good one forwarded`, async () => {
      const answers = await send('GET /good HTTP/1.1\r\nHost: app.example\r\n\r\n', text, SMUGGLED);
      assert.deepEqual(
        answers.map(answer => answer.status),
        [200, status],
      );
      assert.deepEqual(app.heads, ['GET /good']);
    });
  }
});

suite('refused chunked bodies', () => {
  const head = 'POST /upload HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n';
  for (const [sentence, text] of Object.entries(REFUSED_CHUNKS)) {
    test(`${sentence} → 400, closed, no whole request at the app`, async () => {
      const answers = await send(head + text + SMUGGLED);
      assert.deepEqual(
        answers.map(({ status, close }) => ({ status, close })),
        [{ status: 400, close: true }],
      );
      assert.deepEqual(app.requests, []);
      assert.ok(!app.heads.includes('GET /smuggled'));
    });
  }
});
