/** A hostile or broken app: its answer is not passed on, nothing of it is told, its connection is not used again. */
import assert from 'node:assert/strict';
import { afterEach, suite, test } from 'node:test';
import { REFUSED_ANSWERS } from '../../src/http/testing/refused-answers.ts';
import { REFUSED_CHUNKS } from '../../src/http/testing/refused-chunks.ts';
import { openWire, startApp, type App, type Wire } from '../../src/proxy/testing/wire.ts';
import { OPEN, startWorld, type World } from '../../src/proxy/testing/world.ts';

const REQUEST = 'GET /x HTTP/1.1\r\nHost: app.example\r\n\r\n';
const GOOD = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood';
const POISON = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison';

let app: App | undefined;
let world: World | undefined;
afterEach(async () => {
  await world?.stop();
  await app?.stop();
});

/** The first connection says `first` to its first request; every later connection behaves. */
async function startWith(first: string): Promise<number> {
  let connections = 0;
  const behave = async (wire: Wire, say: string): Promise<void> => {
    await wire.take(/\r\n\r\n/);
    wire.send(say);
    await behave(wire, GOOD);
  };
  app = await startApp(wire => {
    connections++;
    void behave(wire, connections === 1 ? first : GOOD).catch(() => undefined);
  });
  world = await startWorld(app.port, { routes: [['/', [OPEN]]] });
  return world.port;
}

for (const [name, table] of Object.entries(REFUSED_ANSWERS)) {
  suite(`refused ${name} of the app`, () => {
    for (const [sentence, text] of Object.entries(table)) {
      test(`${sentence} → 502`, async () => {
        const port = await startWith(`${text}hidden ${POISON}`);
        const wire = openWire(port).send(REQUEST);
        const { status, head, body } = await wire.takeAnswer();
        assert.equal(status, 502);
        assert.doesNotMatch(head + body, /hidden|poison|html|ICY/);
        const again = await openWire(port).send(REQUEST).takeAnswer();
        assert.deepEqual([again.status, again.body], [200, 'good']);
        assert.equal(app?.wires.length, 2, 'the broken connection is not used again');
        wire.socket.destroy();
      });
    }
  });
}

suite('a broken chunked answer is never a whole one', () => {
  for (const [sentence, text] of Object.entries(REFUSED_CHUNKS)) {
    test(sentence, async () => {
      const port = await startWith(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${text}${POISON}`);
      const wire = openWire(port).send(REQUEST);
      const received = await wire.takeAll();
      assert.ok(received.startsWith('HTTP/1.1 502') || !received.endsWith('0\r\n\r\n'), received);
      const again = await openWire(port).send(REQUEST).takeAnswer();
      assert.equal(again.body, 'good');
      wire.socket.destroy();
    });
  }
});

suite('what follows an answer belongs to nobody', () => {
  const ANSWERS: Record<string, string> = {
    'with a length': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    'in chunks': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    'without body': 'HTTP/1.1 204 No Content\r\n\r\n',
    'without body but with its length': 'HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n',
    'after an informational answer': 'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
  };
  for (const [sentence, text] of Object.entries(ANSWERS)) {
    test(`an answer ${sentence} and another one behind it`, async () => {
      const port = await startWith(text + POISON);
      const wire = openWire(port).send(REQUEST);
      await wire.take(/\r\n\r\n/);
      const again = await openWire(port).send(REQUEST).takeAnswer();
      assert.equal(again.body, 'good');
      wire.socket.destroy();
      assert.doesNotMatch(wire.received, /poison/);
    });
  }
});

test('an upgrade that nobody asked for is refused', async () => {
  const port = await startWith('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
  assert.equal((await openWire(port).send(REQUEST).takeAnswer()).status, 502);
});

test('seventeen informational answers are a flood', async () => {
  const port = await startWith('HTTP/1.1 102 Processing\r\n\r\n'.repeat(17) + GOOD);
  const wire = openWire(port).send(REQUEST);
  const received = await wire.take(/HTTP\/1\.1 [2-5]\d\d/);
  assert.match(received, /HTTP\/1\.1 502$/);
  wire.socket.destroy();
});
