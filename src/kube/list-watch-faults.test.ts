import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { test } from 'node:test';
import fc from 'fast-check';
import { SILENT } from '../telemetry/telemetry.ts';
import { createKubeClient } from './client.ts';
import { createListWatch } from './list-watch.ts';
import type { KubeObject } from './objects.ts';
import { openObjectServer, type ObjectServer } from './testing/object-server.ts';

const PATH = '/api/v1/namespaces/shop/configmaps';
const name = fc.constantFrom('a', 'b', 'c');
const event = fc.oneof(
  { weight: 4, arbitrary: fc.record({ does: fc.constant('put' as const), name, value: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('remove' as const), name }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('cut' as const) }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('compact' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ does: fc.constant('fail' as const), status: fc.constantFrom(401, 429, 500, 503) }),
  },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('mend' as const) }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('wait' as const) }) },
);
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

async function happen(server: ObjectServer, what: Event, model: Map<string, number>): Promise<void> {
  switch (what.does) {
    case 'put':
      server.put(PATH, { metadata: { name: what.name, namespace: 'shop' }, spec: what.value });
      model.set(what.name, what.value);
      return;
    case 'remove':
      server.remove(PATH, what.name);
      model.delete(what.name);
      return;
    case 'cut':
      for (const session of server.sessions) session.destroy();
      return;
    case 'compact':
      return server.compact();
    case 'fail':
      return server.fail(what.status);
    case 'mend':
      return server.fail(undefined);
    case 'wait':
      await wait(3);
  }
}

test(
  'whatever happens to the server and on the way, the handler ends up with what is there',
  { timeout: 60_000 },
  async context => {
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 25 }), async events => {
        const server = await openObjectServer(context);
        const client = createKubeClient(server.connection, { log: SILENT.log, clock: Date.now, random: Math.random });
        let seen = new Map<string, unknown>();
        let throws = 3;
        const watch = createListWatch<KubeObject & { readonly spec?: unknown }>({
          ...{ client, path: PATH, log: SILENT.log, clock: Date.now, random: Math.random },
          timings: { retryMinMs: 1, shortestMs: 0 },
          onChange(objects) {
            if (throws-- > 0) throw new Error('a handler may fail, too');
            seen = new Map([...objects.values()].map(({ metadata, spec }) => [metadata.name, spec]));
          },
        });
        watch.start();
        const model = new Map<string, number>();
        for (const what of events) await happen(server, what, model);
        server.fail(undefined);
        const sort = (map: ReadonlyMap<string, unknown>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
        await watch.synced;
        for (let left = 1500; left > 0 && JSON.stringify(sort(seen)) !== JSON.stringify(sort(model)); left--)
          await wait(2);
        assert.deepEqual(sort(seen), sort(model));
        await watch.stop();
        await client.close();
        await server.close();
      }),
      { numRuns: 40 },
    );
  },
);
