/** Answers of an HTTP/2 app that do not fit their content-length: they cost their own exchange, and none beside it. */
import assert from 'node:assert/strict';
import type { ServerHttp2Stream } from 'node:http2';
import { describe, test } from 'node:test';
import { path, responseStep } from '../../decision/testing/fakes.ts';
import { startHttp2App, type Http2App, type Serve } from '../testing/http2-app.ts';
import { openHttp2, type Http2Client } from '../testing/http2-client.ts';
import { startWorld, type World, type WorldParts } from '../testing/world.ts';
import { openWire } from '../testing/wire.ts';

const LENGTH = 5;
const atOnce =
  (body: string): Serve =>
  stream => {
    stream.respond({ ':status': 200, 'content-length': LENGTH });
    stream.end(body);
  };
/** The rest comes when the first byte has been passed on. */
const inPieces =
  (body: string): Serve =>
  stream => {
    stream.respond({ ':status': 200, 'content-length': LENGTH });
    stream.write(body.slice(0, 1));
    setTimeout(() => stream.end(body.slice(1)), 50);
  };

interface Scene {
  readonly world: World;
  readonly app: Http2App;
  readonly ill: Http2Client;
}

/** A stream of another client waits on the same connection to the app meanwhile, and is answered as a whole. */
async function besideAnother(serve: Serve, parts: WorldParts, scene: (scene: Scene) => Promise<void>): Promise<void> {
  const held = Promise.withResolvers<ServerHttp2Stream>();
  const app = await startHttp2App((stream, headers) => {
    if (headers[':path'] !== '/open/held') return serve(stream, headers);
    stream.respond({ ':status': 200 });
    stream.write('half ');
    held.resolve(stream);
  });
  const world = await startWorld(app.port, { app: { protocol: 'HTTP2' }, ...parts });
  const [well, ill] = [openHttp2(world.port), openHttp2(world.port)];
  try {
    const told = well.call({ ':path': '/open/held' });
    const stream = await held.promise;
    await scene({ world, app, ill });
    stream.end('and half');
    const { status, body, code } = await told;
    assert.deepEqual([status, body, code], [200, 'half and half', 0]);
    assert.equal(app.sessions.length, 1);
  } finally {
    await Promise.all([well.close(), ill.close()]);
    await world.stop();
    await app.stop();
  }
}

const replacing: WorldParts['pipeline'] = {
  response: {
    dynamic: true,
    steps: [
      responseStep({
        type: 'hideBackend',
        hideBackend: {
          ...{ removeHeaders: [], keepHeaders: [], removes: () => false, from: [] },
          ...{ to: path('request.host'), errorBodies: 'Replace' },
        },
      }),
    ],
  },
};

describe('an app that announces 5 bytes', () => {
  const cases: Readonly<Record<string, readonly [Serve, body: string]>> = {
    'and sends 8 at once': [atOnce('too much'), ''],
    'and sends 3 at once': [atOnce('few'), ''],
    'and sends 1, then 7 more': [inPieces('too much'), 't'],
    'and sends 1, then 2 more': [inPieces('few'), 'f'],
    'and sends none': [atOnce(''), ''],
  };
  for (const [sentence, [serve, body]] of Object.entries(cases)) {
    test(`${sentence} has its stream reset, and other clients’ streams go on`, () =>
      besideAnother(serve, {}, async ({ ill, world }) => {
        const told = await ill.call();
        assert.deepEqual([told.code, told.body.slice(0, 1)], [2, body]);
        // Nothing is wrong with the connection of the client.
        assert.equal((await ill.call({ ':path': '/closed' })).status, 401);
        const wire = openWire(world.port).send('GET /open HTTP/1.1\r\nHost: fleet.example.com\r\n\r\n');
        const text = await wire.takeAll();
        assert.ok(text === '' || /\r\ncontent-length: 5\r\n(?:[^]*\r\n)?\r\n.{0,4}$/i.test(text), text);
      }));
  }
  // Found while this was tested: the stream had been given up before the rest of the same read was looked at.
  test('and sends 8 with an error, whose body is replaced, costs nobody anything', () =>
    besideAnother(
      stream => {
        stream.respond({ ':status': 500, 'content-length': LENGTH });
        stream.end('too much');
      },
      { pipeline: replacing },
      async ({ ill }) => {
        const told = await ill.call();
        assert.deepEqual([told.status, told.code], [500, 0]);
        assert.doesNotMatch(told.body, /too/);
        // What nghttp2 has found is judged in the next turn of the event loop.
        assert.equal((await ill.call({ ':path': '/closed' })).status, 401);
      },
    ));
  test('for a HEAD request sends nothing, which is right', () =>
    besideAnother(
      stream => stream.respond({ ':status': 200, 'content-length': LENGTH }, { endStream: true }),
      {},
      async ({ ill }) => {
        const told = await ill.call({ ':method': 'HEAD' });
        assert.deepEqual([told.status, told.headers['content-length'], told.code], [200, '5', 0]);
      },
    ));
});
