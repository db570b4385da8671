/**
 * The path that is judged is the path that is forwarded: no spelling of a protected path gets past its policy (the ideas
 * of Istio's normalisation matrix and of CVE-2021-29492, CVE-2026-73511, CVE-2020-8595, CVE-2025-54576).
 */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { openWire } from '../../src/proxy/testing/wire.ts';
import { BEARER, OPEN, startWorld, type World } from '../../src/proxy/testing/world.ts';
import { startRecordingApp, type RecordingApp } from './testing/recording-app.ts';

let app: RecordingApp;
let world: World;
before(async () => {
  app = await startRecordingApp();
  world = await startWorld(app.port, {
    routes: [
      ['/admin', [BEARER]],
      ['/', [OPEN]],
    ],
  });
});
after(async () => {
  await world.stop();
  await app.stop();
});

async function send(target: string): Promise<number> {
  app.forget();
  const wire = openWire(world.port);
  wire.send(`GET ${target} HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n`);
  const received = await wire.takeAll();
  wire.socket.end();
  return Number(received.slice(9, 12));
}

/** What the most obliging back end could make of a path: decodes twice, drops parameters, takes `\` for `/`. */
function resolveLoosely(target: string): string {
  let path = target.replace(/[?#].*$/, '');
  for (let round = 0; round < 2; round++) {
    path = path.replace(/%[0-9a-f]{2}/gi, escape => String.fromCharCode(parseInt(escape.slice(1), 16)));
  }
  const segments: string[] = [];
  for (const segment of path
    .replaceAll('\\', '/')
    .replaceAll(/;[^/]*/g, '')
    .split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  return `/${segments.join('/')}`;
}

const SLASHES = [
  '/',
  '//',
  '///',
  '/./',
  '/%2e/',
  '/x/../',
  '/x/%2e%2e/',
  '/x/.%2E/',
  '/x/y/../../',
  '/..;/',
  '/x/..;/',
  '/;/',
  '/;a=b/',
  '/.;/',
  '/%2f',
  '/x%2f..%2f',
  '/\\',
  '/x\\..\\',
  '/%5c',
  '/x/..%5c',
  '/%252e/',
  '/x/%252e%252e/',
  '/x/%c0%ae%c0%ae/',
  '/..%00/',
  '/x/..%2f',
  '/../',
  '/%2e%2e/',
];
const NAMES = [
  'admin',
  '%61dmin',
  'admi%6E',
  '%61%64%6d%69%6e',
  '%2561dmin',
  'admin;x=y',
  'admin%3bx',
  'admin%00',
  'admin%20',
  'admin%09',
  'admin/.',
  'admin/',
  'admin//',
  'admin#',
  'admin?',
  'admin%23',
  'admin%3f',
  'admin\\',
  'admin%2f',
  'admin%ff',
];
const QUERIES = ['', '?', '?x=/open', '?/../open', '#/open', ';/open'];

test(`no spelling of a protected path is let in (${SLASHES.length * NAMES.length * QUERIES.length} ways)`, async () => {
  for (const slash of SLASHES) {
    for (const name of NAMES) {
      for (const query of QUERIES) {
        const target = slash + name + query;
        const status = await send(target);
        const [seen] = app.requests;
        const note = `${target} → ${status}, at the app: ${seen?.url ?? 'nothing'}`;
        assert.ok([200, 400, 401].includes(status), note);
        if (seen === undefined) assert.notEqual(status, 200, note);
        else assert.doesNotMatch(resolveLoosely(seen.url), /^\/admin(\/|$)/, note);
      }
    }
  }
});

suite('forwarded as it was judged:', () => {
  const FORWARDED: Record<string, string> = {
    '/a/./b/../c': '/a/c',
    '/%7euser/%c3%a9': '/~user/%C3%A9',
    '/a?x=%2f..%2fadmin': '/a?x=%2f..%2fadmin',
    '/a?': '/a',
    '/a|b': '/a%7Cb',
    'http://app.example/a?b': '/a?b',
    'HTTP://APP.EXAMPLE?b': '/?b',
  };
  for (const [target, url] of Object.entries(FORWARDED)) {
    test(`${target} as ${url}`, async () => {
      assert.equal(await send(target), 200);
      assert.deepEqual(app.heads, [`GET ${url}`]);
    });
  }
});

test('OPTIONS * is not found', async () => {
  const wire = openWire(world.port).send('OPTIONS * HTTP/1.1\r\nHost: app.example\r\n\r\n');
  assert.equal((await wire.takeAnswer()).status, 404);
  wire.socket.destroy();
});
