/** P7 on real sockets: what a request holds is given back once, however it ends; `countWhen` counts once, whatever comes. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { expression, literal, read, step } from '../decision/testing/fakes.ts';
import type { CompiledStep } from '../policy/steps.ts';
import type { Lease, LimitAnswers } from './generation.ts';
import { openWire, type App, type Wire } from './testing/wire.ts';
import { OPEN, play, type Stage, type WorldParts } from './testing/world.ts';

const COUNT = { counter: 'AuthPolicy shop/orders/few', key: literal(''), scope: 'Pod' } as const;
const FEW = step({ type: 'concurrency', concurrency: { ...COUNT, max: 100 } }, { name: 'few' });
const BLOCKED = step({ type: 'ipFilter', ipFilter: () => 'Blocked' }, { name: 'from' });
const GONE = step(
  { type: 'respond', respond: { status: 410, headers: [], contentType: 'text/plain', body: literal('gone') } },
  { name: 'gone' },
);

const ask = (path: string, ...lines: readonly string[]): string =>
  [`GET ${path} HTTP/1.1`, 'Host: a', ...lines, '', ''].join('\r\n');
const UPGRADE = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];
const ACCEPT = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

/** Leases as they are taken and given back; awaits what is to come. */
class Ledger {
  taken = 0;
  given = 0;
  #waiting: (() => void)[] = [];

  take(): Lease {
    this.taken += 1;
    this.#wake();
    let isOver = false;
    return () => {
      assert.ok(!isOver, 'given back twice');
      isOver = true;
      this.given += 1;
      this.#wake();
    };
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async until(what: 'taken' | 'given', count: number): Promise<void> {
    while (this[what] < count) await new Promise<void>(resolve => this.#waiting.push(resolve));
    assert.equal(this[what], count);
  }
}

type Scene = (stage: Stage & { readonly ledger: Ledger }) => Promise<void>;

interface Way {
  readonly steps?: readonly CompiledStep[];
  readonly parts?: WorldParts;
  readonly scene: Scene;
}

const heard = async ({ app }: Stage): Promise<Wire> => {
  const behind = await app.connection(0);
  await behind.take(/\r\n\r\n/);
  return behind;
};

/** Each takes one lease, and ends with it given back. */
const WAYS: Readonly<Record<string, Way>> = {
  'its answer is complete': {
    scene: async ({ app, world, ledger }) => {
      const wire = openWire(world.port).send(ask('/'));
      const behind = await heard({ app, world });
      behind.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no');
      await wire.take(/\r\n\r\no/);
      assert.equal(ledger.given, 0, 'while the answer is under way it is open');
      behind.send('k');
      await wire.take(/k/);
    },
  },
  'a later step denies it': {
    steps: [BLOCKED],
    scene: async ({ world }) => {
      await openWire(world.port)
        .send(ask('/'))
        .take(/^HTTP\/1\.1 403/);
    },
  },
  'a later step answers it': {
    steps: [GONE],
    scene: async ({ world }) => {
      await openWire(world.port)
        .send(ask('/'))
        .take(/^HTTP\/1\.1 410/);
    },
  },
  'the app cannot be reached': {
    parts: { app: { port: 1 } as never },
    scene: async ({ app, world }) => {
      await app.stop();
      await openWire(world.port)
        .send(ask('/'))
        .take(/^HTTP\/1\.1 50[234]/);
    },
  },
  'the app hangs up before it answers': {
    scene: async ({ app, world }) => {
      const wire = openWire(world.port).send(ask('/', 'Content-Length: 5') + 'bo');
      const behind = await heard({ app, world });
      behind.socket.resetAndDestroy();
      await wire.take(/^HTTP\/1\.1 502/);
    },
  },
  'the app’s answer is no HTTP': {
    scene: async ({ app, world }) => {
      const wire = openWire(world.port).send(ask('/'));
      (await heard({ app, world })).send('hello\r\n\r\n');
      await wire.take(/^HTTP\/1\.1 502/);
    },
  },
  'the app hangs up within its answer': {
    scene: async ({ app, world }) => {
      const wire = openWire(world.port).send(ask('/'));
      const behind = await heard({ app, world });
      behind.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart');
      await wire.take(/part/);
      behind.socket.resetAndDestroy();
      await wire.gone();
    },
  },
  'the client resets before the answer': {
    scene: async ({ app, world }) => {
      const wire = openWire(world.port).send(ask('/'));
      await heard({ app, world });
      wire.socket.resetAndDestroy();
    },
  },
  'the client resets within its body': {
    scene: async ({ app, world }) => {
      const wire = openWire(world.port).send(ask('/', 'Content-Length: 100') + 'part');
      await heard({ app, world });
      wire.socket.resetAndDestroy();
    },
  },
  'the client leaves within the answer': {
    scene: async ({ app, world }) => {
      const wire = openWire(world.port).send(ask('/'));
      (await heard({ app, world })).send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart');
      await wire.take(/part/);
      wire.socket.resetAndDestroy();
    },
  },
  'a WebSocket is closed by the client': {
    scene: async ({ app, world, ledger }) => {
      const wire = openWire(world.port).send(ask('/', ...UPGRADE));
      (await heard({ app, world })).send(ACCEPT);
      await wire.take(/\r\n\r\n/);
      assert.equal(ledger.given, 0, 'a stream is open as long as it is');
      wire.socket.destroy();
    },
  },
  'a WebSocket is closed by the app': {
    scene: async ({ app, world }) => {
      const wire = openWire(world.port).send(ask('/', ...UPGRADE));
      const behind = await heard({ app, world });
      behind.send(`${ACCEPT}x`);
      await wire.take(/x/);
      behind.socket.destroy();
      await wire.takeAll();
      wire.socket.destroy();
    },
  },
  'an open stream is no longer permitted (M7)': {
    scene: async ({ app, world, ledger }) => {
      const wire = openWire(world.port).send(ask('/', ...UPGRADE));
      (await heard({ app, world })).send(ACCEPT);
      await wire.take(/\r\n\r\n/);
      world.publish({ routes: [['/', [FEW, OPEN, BLOCKED]]], counting: counting(ledger) });
      await wire.gone();
    },
  },
  'the proxy stops': {
    scene: async ({ app, world }) => {
      openWire(world.port).send(ask('/'));
      await heard({ app, world });
      await world.stop();
    },
  },
};

const counting = (ledger: Ledger, late = false): Partial<LimitAnswers> => ({
  acquire: () => (late ? Promise.resolve().then(() => ledger.take()) : ledger.take()),
});

for (const late of [false, true]) {
  describe(`P7 concurrency: a lease that comes ${late ? 'late' : 'at once'} is given back when`, () => {
    for (const [way, { steps = [], parts, scene }] of Object.entries(WAYS)) {
      test(way, async () => {
        const ledger = new Ledger();
        const all: WorldParts = { ...parts, routes: [['/', [FEW, OPEN, ...steps]]], counting: counting(ledger, late) };
        await play(undefined, all, async stage => {
          await scene({ ...stage, ledger });
          await ledger.until('given', 1);
          assert.equal(ledger.taken, 1);
        });
      });
    }
  });
}

test('P7 concurrency: a lease that comes when its request is over is given back at once', async () => {
  const ledger = new Ledger();
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const { promise: asked, resolve: wasAsked } = Promise.withResolvers<undefined>();
  const acquire: LimitAnswers['acquire'] = async () => {
    wasAsked(undefined);
    await promise;
    return ledger.take();
  };
  await play(undefined, { routes: [['/', [FEW, OPEN]]], counting: { acquire } }, async ({ world }) => {
    openWire(world.port).send(ask('/'));
    await asked;
    await world.stop();
    resolve(undefined);
    await ledger.until('given', 1);
  });
});

test('P7 concurrency: several steps hold several, and a refusal gives back what was held before it', async () => {
  const ledger = new Ledger();
  let left = 1;
  const acquire: LimitAnswers['acquire'] = () => (left-- > 0 ? ledger.take() : undefined);
  await play(undefined, { routes: [['/', [FEW, FEW, OPEN]]], counting: { acquire } }, async ({ world }) => {
    await openWire(world.port)
      .send(ask('/'))
      .take(/"reason":"ConcurrencyExceeded"/);
    await ledger.until('given', 1);
  });
});

describe('M6: a connection of protocol TCP holds its place until it ends', () => {
  const TCP: WorldParts = { plan: { protocol: 'TCP' }, routes: [['/', [OPEN, FEW]]] };
  const heardBy = async (app: App, wire: Wire): Promise<Wire> => {
    wire.send('hello');
    const behind = await app.connection(0);
    await behind.take(/hello/);
    return behind;
  };
  const ENDS: Readonly<
    Record<string, (stage: Stage & { readonly again: (parts: WorldParts) => void }) => Promise<void>>
  > = {
    'both sides say that they are done': async ({ app, world }) => {
      const wire = openWire(world.port);
      const behind = await heardBy(app, wire);
      behind.socket.end();
      await wire.takeAll();
      wire.socket.end();
    },
    'the client resets it': async ({ app, world }) => {
      const wire = openWire(world.port);
      await heardBy(app, wire);
      wire.socket.resetAndDestroy();
    },
    'the app resets it': async ({ app, world }) => {
      const wire = openWire(world.port);
      (await heardBy(app, wire)).socket.resetAndDestroy();
      await wire.gone();
    },
    'the client and the app reset it at once': async ({ app, world }) => {
      const wire = openWire(world.port);
      (await heardBy(app, wire)).socket.resetAndDestroy();
      wire.socket.resetAndDestroy();
    },
    'nobody listens where the app should be': async ({ app, world }) => {
      await app.stop();
      await openWire(world.port).send('hello').gone();
    },
    'a later step denies it': async ({ world, again }) => {
      again({ routes: [['/', [OPEN, FEW, BLOCKED]]] });
      await openWire(world.port).send('hello').gone();
    },
    'it is no longer permitted (M7)': async ({ app, world, again }) => {
      const wire = openWire(world.port);
      await heardBy(app, wire);
      again({ routes: [['/', [OPEN, FEW, BLOCKED]]] });
      await wire.gone();
    },
    'its port speaks another protocol from now on': async ({ app, world, again }) => {
      const wire = openWire(world.port);
      await heardBy(app, wire);
      again({ plan: {} });
      await wire.gone();
    },
    'both sides are silent for too long': async ({ app, world }) => {
      const wire = openWire(world.port);
      await heardBy(app, wire);
      world.advance(301_000);
      await wire.gone();
    },
    'the proxy stops': async ({ app, world }) => {
      await heardBy(app, openWire(world.port));
      await world.stop();
    },
  };
  for (const late of [false, true]) {
    for (const [way, scene] of Object.entries(ENDS)) {
      test(`${late ? 'that came late' : 'at once'}: ${way}`, async () => {
        const ledger = new Ledger();
        const parts: WorldParts = { ...TCP, counting: counting(ledger, late) };
        await play(undefined, parts, async stage => {
          await scene({ ...stage, again: changed => stage.world.publish({ ...parts, ...changed }) });
          await ledger.until('given', 1);
        });
        // Judged again it takes none, and stopping the proxy gives none back twice.
        assert.deepEqual([ledger.taken, ledger.given], [1, 1]);
      });
    }
  }

  test('a place that comes when the client has left is given back at once', async () => {
    const ledger = new Ledger();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const { promise: asked, resolve: wasAsked } = Promise.withResolvers<undefined>();
    const acquire: LimitAnswers['acquire'] = async () => {
      wasAsked(undefined);
      await promise;
      return ledger.take();
    };
    await play(undefined, { ...TCP, counting: { acquire } }, async ({ app, world }) => {
      const wire = openWire(world.port).send('hello');
      await asked;
      wire.socket.resetAndDestroy();
      await world.stop();
      resolve(undefined);
      await ledger.until('given', 1);
      assert.deepEqual([ledger.taken, ledger.given, app.wires.length], [1, 1, 0]);
    });
  });

  test('refused: the connection is reset', async () => {
    await play(undefined, { ...TCP, counting: { acquire: () => undefined } }, async ({ app, world }) => {
      const wire = openWire(world.port).send('hello');
      await wire.gone();
      const [record] = await world.recorded(1);
      assert.deepEqual([record?.reason, app.wires.length], ['ConcurrencyExceeded', 0]);
    });
  });
});

describe('P7 countWhen', () => {
  const onlyServed = expression(bindings => Number(read(bindings, 'response.status')) < 400);
  const rated = (...later: readonly CompiledStep[]): NonNullable<WorldParts['routes']> => {
    const rateLimit = { ...COUNT, calls: 5, periodMs: 1000, maxKeys: 5, headers: false, countWhen: onlyServed };
    const quota = { ...COUNT, calls: 5, periodMs: 1000, maxKeys: 5, countWhen: onlyServed };
    const rate = step({ type: 'rateLimit', rateLimit }, { name: 'rate' });
    return [['/', [rate, step({ type: 'quota', quota }, { name: 'quota' }), OPEN, ...later]]];
  };
  const answer = (status: number) => `HTTP/1.1 ${status} X\r\nContent-Length: 0\r\n\r\n`;
  const BOTH = ['rate look', 'quota look', 'rate count', 'quota count'];
  const LOOKED = BOTH.slice(0, 2);

  const WHEN: Readonly<
    Record<
      string,
      readonly [scene: (stage: Stage) => Promise<void>, asked: readonly string[], ...later: CompiledStep[]]
    >
  > = {
    'what is to be counted is counted once, with the answer’s head': [
      async ({ app, world }) => {
        const wire = openWire(world.port).send(ask('/'));
        (await heard({ app, world })).send(
          'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n',
        );
        await wire.take(/ 200 OK\r\n/);
        wire.socket.resetAndDestroy();
        await world.recorded(1);
      },
      BOTH,
    ],
    'what is not to be counted is not': [
      async ({ app, world }) => {
        const wire = openWire(world.port).send(ask('/'));
        (await heard({ app, world })).send(answer(404));
        await wire.take(/ 404 /);
        await world.recorded(1);
      },
      LOOKED,
    ],
    'a stream counts when it is accepted': [
      async ({ app, world }) => {
        const wire = openWire(world.port).send(ask('/', ...UPGRADE));
        (await heard({ app, world })).send(ACCEPT);
        await wire.take(/\r\n\r\n/);
        wire.socket.destroy();
        await world.recorded(1);
      },
      BOTH,
    ],
    'a denial of a later step is an answer too': [
      async ({ world }) => {
        await openWire(world.port).send(ask('/')).take(/ 403 /);
        await world.recorded(1);
      },
      LOOKED,
      BLOCKED,
    ],
    'so is our own when the app fails': [
      async ({ app, world }) => {
        const wire = openWire(world.port).send(ask('/'));
        (await heard({ app, world })).send('hello\r\n\r\n');
        await wire.take(/ 502 /);
        await world.recorded(1);
      },
      LOOKED,
    ],
    'a client that leaves before the answer is counted (E8)': [
      async ({ app, world }) => {
        const wire = openWire(world.port).send(ask('/'));
        await heard({ app, world });
        wire.socket.resetAndDestroy();
        await world.recorded(1);
      },
      BOTH,
    ],
  };
  for (const [sentence, [scene, wanted, ...later]] of Object.entries(WHEN)) {
    for (const fails of [false, true]) {
      test(`${sentence}${fails ? ', also where counting fails' : ''}`, async () => {
        const asked: string[] = [];
        const evidence = { admitted: true, limit: 5, remaining: 4, retryAfter: 0, reset: 1 };
        const tell = (type: string, mode: string) => {
          asked.push(`${type} ${mode}`);
          return mode === 'count' && fails ? Promise.reject(new Error('away')) : evidence;
        };
        const counting: Partial<LimitAnswers> = {
          rate: ({ mode }) => tell('rate', mode),
          quota: ({ mode }) => tell('quota', mode),
        };
        await play(undefined, { routes: rated(...later), counting }, async stage => {
          await scene(stage);
          assert.deepEqual(asked, wanted);
        });
      });
    }
  }
});
