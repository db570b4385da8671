/** Memory is short (`--max-memory`): what HTTP/2 clients are told whose connections are open. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openHttp2 } from '../testing/http2-client.ts';
import { play } from '../testing/world.ts';
import { echoHeads } from '../testing/wire.ts';

const GRPC = { ':method': 'POST', 'content-type': 'application/grpc' };

test('while memory is short requests are 503, calls of gRPC 14; afterwards the same connection is served again', () => {
  let needed = 0;
  const memory = { resident: () => needed, needed: () => needed, collect: () => undefined };
  return play(
    echoHeads,
    {},
    async ({ world }) => {
      const client = openHttp2(world.port);
      assert.equal((await client.call()).status, 200);
      needed = 990_000;
      let told = await client.call();
      for (; told.status === 200; told = await client.call()) await new Promise(resolve => setImmediate(resolve));
      assert.equal(told.status, 503, told.body);
      assert.match(told.body, /Overloaded/);
      const call = await client.call(GRPC, 'x');
      assert.deepEqual(
        [call.status, call.headers['grpc-status'], call.headers['grpc-message']],
        [200, '14', 'Overloaded'],
      );
      needed = 500_000;
      while ((await client.call()).status === 503) await new Promise(resolve => setImmediate(resolve));
      assert.equal((await client.call()).status, 200);
      await client.close();
    },
    { memory, maxMemoryBytes: 1_000_000 },
  );
});
