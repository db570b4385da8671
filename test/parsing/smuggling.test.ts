/**
 * Request smuggling: lengths said twice, hidden and disguised (the mutations of smuggler, http-desync-guardian and the
 * llhttp advisories). Whatever the proxy makes of such a request, the app must never see a second one in it.
 */
import assert from 'node:assert/strict';
import { after, before, beforeEach, suite, test } from 'node:test';
import { openWire } from '../../src/proxy/testing/wire.ts';
import { OPEN, startWorld, type World } from '../../src/proxy/testing/world.ts';
import { startRecordingApp, type RecordingApp } from './testing/recording-app.ts';

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

const PLACES: Record<string, (character: string) => string> = {
  'in front of the name': c => `${c}Transfer-Encoding: chunked`,
  'after the name': c => `Transfer-Encoding${c}: chunked`,
  'in the name': c => `Transfer${c}Encoding: chunked`,
  'after the colon': c => `Transfer-Encoding:${c}chunked`,
  'in front of the value': c => `Transfer-Encoding: ${c}chunked`,
  'after the value': c => `Transfer-Encoding: chunked${c}`,
  'in the value': c => `Transfer-Encoding: chu${c}nked`,
  'between two lines': c => `X: y${c}Transfer-Encoding: chunked`,
  'after the end of the line before': c => `X: y\r\n${c}Transfer-Encoding: chunked`,
  'before the end of the line': c => `Transfer-Encoding: chunked${c}\r`,
  'between CR and LF': c => `X: y\r${c}\nTransfer-Encoding: chunked`,
};

const CHARACTERS = [
  ...Array.from({ length: 0x21 }, (_, code) => String.fromCharCode(code)),
  '"',
  "'",
  ',',
  ';',
  ':',
  '_',
  '.',
  '\\',
  '\x7f',
  '\x80',
  '\x85',
  '\xa0',
  '\xad',
  '\xff',
  '\r\n',
  '\r\n ',
  '\n ',
  ' \t',
];

const VALUES = [
  'identity',
  'chunked, identity',
  'identity, chunked',
  'cow',
  'chunked, cow',
  'cow, chunked',
  'CHUNKED',
  'xchunked',
  'chunk',
  'chunked chunked',
  'chunked;',
  'chunked; q=1',
  '"chunked"',
  'chunked,',
  ',chunked',
  'gzip, chunked',
  '(a)chunked',
  'chunked\r\nTransfer-Encoding: cow',
  'cow\r\nTransfer-Encoding: chunked',
  'chunked\r\nTransfer-Encoding: identity',
  'chunked\r\n identity',
];

const NAMES = [
  'transfer-encoding',
  'TRANSFER-ENCODING',
  'Transfer_Encoding',
  'Transfer.Encoding',
  'X-Transfer-Encoding',
  'Transfer-Encoding-X',
  'TransferEncoding',
  'Content-Encoding',
  'TE',
];

const CODINGS: Record<string, string[]> = {
  ...Object.fromEntries(
    Object.entries(PLACES).map(([place, write]) => [`a character ${place}`, CHARACTERS.map(write)]),
  ),
  'another value': VALUES.map(value => `Transfer-Encoding: ${value}`),
  'another name': NAMES.map(name => `${name}: chunked`),
};

const LENGTHS = [
  'Content-Length: 5',
  'Content-Length: 0',
  'Content-Length : 5',
  'Content-Length: 5, 0',
  'Content-Length: +5',
  'Content_Length: 5',
  'Content-Length:\x0b5',
  'X: y',
];

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: app.example\r\n\r\n';

/** Closes the connection, if it is still open by then. */
const LAST = 'GET /last HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n';

/** A body that ends at once for who reads chunks, and holds another request for who reads the length. */
const clTe = (headers: string): string =>
  `POST /outer HTTP/1.1\r\nHost: app.example\r\nContent-Length: ${5 + SMUGGLED.length}\r\n${headers}\r\n\r\n0\r\n\r\n${SMUGGLED}`;

/** A body that ends early for who reads the length, and holds another request for who reads chunks. */
const teCl = (headers: string): string =>
  `POST /outer HTTP/1.1\r\nHost: app.example\r\nContent-Length: 4\r\n${headers}\r\n\r\n${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`;

/**
 * The proxy may refuse, or forward one request whose end it is sure of. When it forwards, the bytes that it did not count
 * to the body are the client's next request, in the open: then they must be answered and judged as one.
 */
async function check(text: string): Promise<void> {
  app.forget();
  const wire = openWire(world.port).send(text + LAST);
  const received = await wire.takeAll();
  wire.socket.end();
  await wire.gone();
  const statuses = Array.from(received.matchAll(/HTTP\/1\.1 (\d{3})/g), match => Number(match[1]));
  const note = `${JSON.stringify(text)} → ${statuses.join(' ')}; app: ${app.heads.join(', ')}`;
  assert.ok(statuses.length > 0, note);
  const forwarded = statuses.filter(status => status === 200).length;
  assert.equal(app.heads.length, forwarded, `as many requests at the app as were let through: ${note}`);
  const refused = statuses.findIndex(status => status !== 200);
  assert.ok(refused < 0 || refused === statuses.length - 1, `nothing after a refusal: ${note}`);
}

suite('a coding beside a length', () => {
  for (const [sentence, codings] of Object.entries(CODINGS)) {
    test(`${sentence} (${codings.length} ways, two bodies)`, async () => {
      for (const coding of codings) {
        await check(clTe(coding));
        await check(teCl(coding));
      }
    });
  }
});

suite('a length beside chunks', () => {
  test(`${LENGTHS.length} ways to say it, before and after`, async () => {
    for (const length of LENGTHS) {
      const body = `0\r\n\r\n${SMUGGLED}`;
      const start = 'POST /outer HTTP/1.1\r\nHost: app.example\r\n';
      await check(`${start}${length}\r\nTransfer-Encoding: chunked\r\n\r\n${body}`);
      await check(`${start}Transfer-Encoding: chunked\r\n${length}\r\n\r\n${body}`);
    }
  });
});

test('a request that is the body of another never is a request', async () => {
  const outer = `POST /outer HTTP/1.1\r\nHost: app.example\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`;
  const chunked = `POST /outer HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n${SMUGGLED.length.toString(16)};x=y\r\n${SMUGGLED}\r\n0\r\n\r\n`;
  for (const text of [outer, chunked, outer + chunked + outer]) {
    app.forget();
    const wire = openWire(world.port).send(text + LAST);
    await wire.takeAll();
    wire.socket.end();
    assert.equal(app.requests.at(-1)?.url, '/last');
    const outers = app.requests.slice(0, -1);
    assert.ok(outers.length > 0 && outers.every(({ url, body }) => url === '/outer' && body === SMUGGLED), text);
  }
});

test('2,100 short headers hide neither the coding nor the credential (CVE-2026-58044)', async () => {
  const short = Array.from({ length: 2100 }, (_, i) => `h${i}: 1`).join('\r\n');
  const wire = openWire(world.port).send(
    `POST /outer HTTP/1.1\r\nHost: app.example\r\n${short}\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer x\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  );
  assert.equal((await wire.takeAnswer()).status, 431);
  assert.deepEqual(app.heads, []);
  wire.socket.destroy();
});

test('bytes behind an upgrade that the app refuses are no request', async () => {
  const wire = openWire(world.port).send(
    `GET /socket HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n${SMUGGLED}`,
  );
  await wire.takeAll();
  assert.deepEqual(
    app.heads.filter(head => head.includes('smuggled')),
    [],
  );
  wire.socket.destroy();
});

test('h2c is not spoken with the app, whoever asks', async () => {
  const wire = openWire(world.port).send(
    'GET /h2c HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n',
  );
  assert.equal((await wire.takeAnswer()).status, 200);
  assert.deepEqual(app.heads, ['GET /h2c']);
  const names = app.requests[0]?.fields.map(([name]) => name.toLowerCase()) ?? [];
  assert.ok(!names.includes('upgrade') && !names.includes('http2-settings'), names.join());
  wire.socket.destroy();
});
