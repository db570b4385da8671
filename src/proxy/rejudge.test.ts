import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TokenEvidence } from '../decision/evidence.ts';
import { literal, step, token } from '../decision/testing/fakes.ts';
import { BEARER, OPEN, play, type Stage, type WorldParts } from './testing/world.ts';
import { openWire, type Wire } from './testing/wire.ts';

const MAINTENANCE = step({
  type: 'respond',
  respond: { status: 503, headers: [], contentType: 'text/plain', body: literal('later') },
});
const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));
const good = (): TokenEvidence => token({}, { expiresAt: new Date().getTime() + 3_600_000 });
const bearing = (verify: () => TokenEvidence | Promise<TokenEvidence>): WorldParts => ({ evidence: { token: verify } });

const request = (more = ''): string =>
  `GET /stream HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer good\r\n${more}\r\n`;

type Open = (stage: Stage) => Promise<{ client: Wire; behind: Wire }>;

async function openEvents({ world, app }: Stage): Promise<{ client: Wire; behind: Wire }> {
  const client = openWire(world.port).send(request());
  const behind = await app.connection(0);
  await behind.take(/\r\n\r\n/);
  behind.send('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n');
  await client.take(/data: 1/);
  return { client, behind };
}

async function openSocket({ world, app }: Stage): Promise<{ client: Wire; behind: Wire }> {
  const client = openWire(world.port).send(request('Connection: Upgrade\r\nUpgrade: websocket\r\n'));
  const behind = await app.connection(0);
  await behind.take(/\r\n\r\n/);
  behind.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  await client.take(/\r\n\r\n/);
  return { client, behind };
}

const STREAMS: readonly (readonly [string, Open, number])[] = [
  ['server-sent events', openEvents, 200],
  ['a WebSocket', openSocket, 101],
];

for (const [sentence, open, status] of STREAMS) {
  describe(`an open stream (M7): ${sentence}`, () => {
    test('is judged again when a policy changes, and ends at a denial', () =>
      play(undefined, bearing(good), async stage => {
        const { client, behind } = await open(stage);
        stage.world.publish(bearing(() => ({ state: 'refused', reason: 'TokenSignatureInvalid' })));
        await client.gone();
        await behind.gone();
        assert.equal(client.reset, true);
        assert.doesNotMatch(client.received, /\r\n0\r\n\r\n/);
      }));

    test('is recorded as denied by the policy and step that ended it, with the status that was sent', () =>
      play(undefined, bearing(good), async stage => {
        await open(stage);
        stage.world.publish(bearing(() => ({ state: 'refused', reason: 'TokenSignatureInvalid' })));
        const [record] = await stage.world.recorded(1);
        assert.deepEqual(
          [record?.verdict, record?.reason, record?.policy, record?.step, record?.status],
          ['Deny', 'TokenSignatureInvalid', BEARER.origin.key, BEARER.name, status],
        );
      }));

    test('that a step answers from now on is recorded with that step', () =>
      play(undefined, bearing(good), async stage => {
        await open(stage);
        stage.world.publish({ ...bearing(good), routes: [['/', [MAINTENANCE]]] });
        const [record] = await stage.world.recorded(1);
        assert.deepEqual(
          [record?.verdict, record?.reason, record?.policy, record?.step, record?.status],
          ['Respond', undefined, MAINTENANCE.origin.key, MAINTENANCE.name, status],
        );
      }));

    test('goes on when the new policy permits it', () =>
      play(undefined, bearing(good), async stage => {
        const { client, behind } = await open(stage);
        stage.world.publish(bearing(good));
        await pause(50);
        behind.send('data: 2\n\n');
        await client.take(/data: 2/);
        client.socket.destroy();
      }));

    test('ends when the operation is gone', () =>
      play(undefined, bearing(good), async stage => {
        const { client } = await open(stage);
        stage.world.publish({ ...bearing(good), routes: [['/other', [BEARER]]] });
        await client.gone();
      }));

    test('ends when the port has no Api any more', () =>
      play(undefined, bearing(good), async stage => {
        const { client } = await open(stage);
        stage.world.publish({ snapshot: { listeners: new Map() } });
        await client.gone();
      }));

    test('is judged again every 60 seconds', () => {
      let asked = 0;
      let revoked = false;
      const verify = (): TokenEvidence => {
        asked += 1;
        return revoked ? { state: 'refused', reason: 'TokenSignatureInvalid' } : good();
      };
      return play(undefined, bearing(verify), async stage => {
        const { client } = await open(stage);
        assert.equal(asked, 1);
        stage.world.advance(61_000);
        await pause(300);
        assert.equal(asked, 2);
        revoked = true;
        await pause(300);
        assert.equal(asked, 2);
        stage.world.advance(61_000);
        await client.gone();
        assert.equal(asked, 3);
      });
    });

    test('ends with the token that opened it', () => {
      const expiresAt = new Date().getTime() + 20_000;
      return play(
        undefined,
        bearing(() => token({}, { expiresAt, clockSkewMs: 0 })),
        async stage => {
          const { client } = await open(stage);
          stage.world.advance(15_000);
          await pause(300);
          assert.equal(client.closed, false);
          stage.world.advance(6000);
          await client.gone();
        },
      );
    });

    test('ends when it cannot be decided', () => {
      let broken = false;
      const verify = (): TokenEvidence | Promise<TokenEvidence> =>
        broken ? Promise.reject(new Error('keys are gone')) : good();
      return play(undefined, bearing(verify), async stage => {
        const { client } = await open(stage);
        broken = true;
        stage.world.advance(61_000);
        await client.gone();
      });
    });
  });
}

describe('other exchanges', () => {
  test('a short request keeps the generation that it began with', () =>
    play(undefined, bearing(good), async ({ world, app }) => {
      const client = openWire(world.port).send(request());
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      world.publish(bearing(() => ({ state: 'refused', reason: 'TokenSignatureInvalid' })));
      await pause(300);
      behind.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      assert.equal((await client.takeAnswer()).status, 200);
      client.socket.destroy();
    }));

  test('one that has been open for five seconds counts as a stream; without an answer yet it gets the denial', () =>
    play(undefined, bearing(good), async ({ world, app }) => {
      const client = openWire(world.port).send(request());
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\n/);
      world.advance(5100);
      world.publish(bearing(() => ({ state: 'refused', reason: 'TokenSignatureInvalid' })));
      assert.equal((await client.takeAnswer()).status, 401);
      await behind.gone();
      client.socket.destroy();
    }));

  test('a decision that comes late is not acted on when the client is gone', () => {
    let decide: (evidence: TokenEvidence) => void = () => undefined;
    const slow = (): Promise<TokenEvidence> => new Promise(resolve => (decide = resolve));
    return play(
      undefined,
      {
        ...bearing(slow),
        routes: [
          ['/', [BEARER]],
          ['/open', [OPEN]],
        ],
      },
      async ({ world, app }) => {
        const client = openWire(world.port).send(request());
        await pause(30);
        client.socket.resetAndDestroy();
        await pause(30);
        decide(good());
        await pause(30);
        assert.equal(app.wires.length, 0);
      },
    );
  });

  test('a decision is waited for while bytes of the body come in', () => {
    let decide: (evidence: TokenEvidence) => void = () => undefined;
    const slow = (): Promise<TokenEvidence> => new Promise(resolve => (decide = resolve));
    return play(undefined, bearing(slow), async ({ world, app }) => {
      const client = openWire(world.port).send(request('Content-Length: 5\r\n').replace('GET', 'POST'));
      await pause(20);
      client.send('he');
      await pause(20);
      client.send('llo');
      await pause(20);
      decide(good());
      const behind = await app.connection(0);
      await behind.take(/\r\n\r\nhello$/);
      client.socket.destroy();
    });
  });
});
