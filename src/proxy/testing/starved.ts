/** A proxy in a process of its own, for tests that take its file descriptors away. Prints its port; answers /open itself. */
import { literal, step } from '../../decision/testing/fakes.ts';
import { OPEN, startWorld } from './world.ts';

const respond = step({
  type: 'respond',
  respond: { status: 200, headers: [], contentType: 'text/plain', body: literal('ok') },
});
const world = await startWorld(
  1,
  { routes: [['/', [OPEN, respond]]] },
  {
    maxMemoryBytes: 1024 ** 3,
    memory: {
      resident: () => process.memoryUsage.rss(),
      needed: () => process.memoryUsage.rss(),
      collect: () => undefined,
    },
  },
);
process.stdout.write(`${world.port}\n`);
