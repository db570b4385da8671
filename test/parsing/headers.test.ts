/**
 * No header of a client passes for one of ours, in any spelling, position or trailer (CVE-2025-64484, CVE-2026-39858,
 * CVE-2024-45410, CVE-2026-46579, CVE-2016-5385).
 */
import assert from 'node:assert/strict';
import { after, before, beforeEach, suite, test } from 'node:test';
import { foldName } from '../../src/http/head.ts';
import { openWire } from '../../src/proxy/testing/wire.ts';
import { OPEN, startWorld, type World } from '../../src/proxy/testing/world.ts';
import { startRecordingApp, type RecordingApp } from './testing/recording-app.ts';

const SET_BY_POLICY = ['X-Request-Context-Data', 'X-Auth-User'];
const NEVER = [
  'X-HTTP-Method',
  'X-HTTP-Method-Override',
  'X-Method-Override',
  'X-Original-URL',
  'X-Original-Host',
  'X-Rewrite-URL',
  'Proxy',
  'Proxy-Authorization',
  'Keep-Alive',
  'TE',
  'HTTP2-Settings',
];
const OF_TRUSTED_PEERS = [
  'X-Forwarded-For',
  'X-Forwarded-Host',
  'X-Forwarded-Proto',
  'X-Forwarded-Prefix',
  'X-Forwarded-Port',
  'X-Forwarded-Uri',
  'Forwarded',
  'X-Real-IP',
  'X-Request-Id',
  'X-Forwarded-Client-Cert',
  'Client-Cert',
  'Client-Cert-Chain',
];
const FORGED = 'forged-by-client';

let app: RecordingApp;
let world: World;
before(async () => {
  app = await startRecordingApp();
  world = await startWorld(app.port, {
    routes: [['/', [OPEN]]],
    snapshot: { reservedHeaders: new Set(SET_BY_POLICY.map(foldName)) },
  });
});
beforeEach(() => app.forget());
after(async () => {
  await world.stop();
  await app.stop();
});

function spellings(name: string): string[] {
  const forms = [
    name,
    name.toLowerCase(),
    name.toUpperCase(),
    name.replaceAll('-', '_'),
    name.replaceAll('-', '.'),
    name.replace('-', '_').toLowerCase(),
    name.replace(/-(?=[^-]*$)/, '.'),
  ];
  return [...new Set(forms)];
}

async function send(text: string): Promise<string> {
  const wire = openWire(world.port).send(text);
  const received = await wire.takeAll();
  wire.socket.end();
  return received;
}

const start = 'POST /x HTTP/1.1\r\nHost: app.example\r\nConnection: close';

/** Ways to send a header; each gives a whole request. */
const WAYS: Record<string, (name: string) => string> = {
  once: name => `${start}\r\n${name}: ${FORGED}\r\n\r\n`,
  'without a space': name => `${start}\r\n${name}:${FORGED}\r\n\r\n`,
  twice: name => `${start}\r\n${name}: ${FORGED}\r\n${name}: ${FORGED}\r\n\r\n`,
  'empty, then filled': name => `${start}\r\n${name}:\r\n${name}: ${FORGED}\r\n\r\n`,
  'named by Connection': name => `${start}, ${name}\r\n${name}: ${FORGED}\r\n\r\n`,
  'in a trailer': name =>
    `${start}\r\nTransfer-Encoding: chunked\r\nTrailer: ${name}\r\n\r\n1\r\na\r\n0\r\n${name}: ${FORGED}\r\n\r\n`,
  'with a space before the colon': name => `${start}\r\n${name} : ${FORGED}\r\n\r\n`,
  'in a folded line': name => `${start}\r\nX: y\r\n ${name}: ${FORGED}\r\n\r\n`,
  'behind a bare LF': name => `${start}\r\nX: y\n${name}: ${FORGED}\r\n\r\n`,
  'behind a bare CR': name => `${start}\r\nX: y\r${name}: ${FORGED}\r\n\r\n`,
};

for (const [sentence, names] of Object.entries({
  'what policies set': SET_BY_POLICY,
  'what is never forwarded': NEVER,
  'what trusted peers may send': OF_TRUSTED_PEERS,
})) {
  suite(`${sentence} does not reach the app`, () => {
    for (const [way, write] of Object.entries(WAYS)) {
      test(`sent ${way}`, async () => {
        for (const spelling of names.flatMap(spellings)) {
          app.forget();
          const received = await send(write(spelling));
          const note = `${spelling} → ${received.slice(0, 12)}`;
          if (received.startsWith('HTTP/1.1 400')) {
            assert.deepEqual(app.requests, [], note);
            continue;
          }
          assert.match(received, /^HTTP\/1\.1 200/, note);
          assert.equal(app.requests.length, 1, note);
          assert.ok(!JSON.stringify(app.requests).includes(FORGED), `${note}: ${JSON.stringify(app.requests)}`);
        }
      });
    }
  });
}

test('every header that is sent and not ours arrives, in order, with its value as it was', async () => {
  const sent = [
    ['__proto__', 'a'],
    ['constructor', 'b'],
    ['toString', 'c'],
    ['X-Empty', ''],
    ['X-Latin', 'caf\xe9'],
    ['X-Tab', 'a\tb'],
    ['x-twice', '1'],
    ['X-Twice', '2'],
    ...Array.from({ length: 80 }, (_, i) => [`h${i}`, String(i)] as const),
  ] as const;
  const lines = sent.map(([name, value]) => `\r\n${name}: ${value}`).join('');
  await send(`${start}${lines}\r\n\r\n`);
  const names = new Set(sent.map(([name]) => name as string));
  assert.deepEqual(
    app.requests[0]?.fields.filter(([name]) => names.has(name)),
    sent,
  );
});

test('a header that Connection names is gone, and cannot take ours along', async () => {
  await send(`${start}, X-A, X-Forwarded-For, x-request-id\r\nX-A: ${FORGED}\r\nX-B: 1\r\n\r\n`);
  const fields = app.requests[0]?.fields ?? [];
  assert.ok(!JSON.stringify(fields).includes(FORGED));
  assert.deepEqual(
    fields.filter(([name]) => name === 'X-Forwarded-For'),
    [['X-Forwarded-For', '127.0.0.1']],
  );
  assert.equal(fields.filter(([name]) => name === 'X-Request-Id').length, 1);
});

test('credentials and framing do not pass in trailers, other trailers do', async () => {
  const trailers = [
    'Authorization: Bearer x',
    'Cookie: a=b',
    'Content-Length: 5',
    'Transfer-Encoding: chunked',
    'Host: other',
    'X-Checksum: 1',
  ];
  await send(`${start}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n${trailers.join('\r\n')}\r\n\r\n`);
  const fields = app.requests[0]?.fields ?? [];
  assert.deepEqual(
    fields.filter(([name]) => name === 'Host'),
    [['Host', 'app.example']],
  );
  assert.deepEqual(
    fields.filter(([name]) => name === 'X-Checksum'),
    [['X-Checksum', '1']],
  );
  for (const name of ['Authorization', 'Cookie', 'Content-Length']) {
    assert.ok(!fields.some(([sent]) => sent === name), name);
  }
});
