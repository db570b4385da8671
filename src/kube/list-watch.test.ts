import assert from 'node:assert/strict';
import type { Http2ServerResponse } from 'node:http2';
import { describe, it, type TestContext } from 'node:test';
import { createMetricStore } from '../telemetry/store.ts';
import { SILENT, type Log } from '../telemetry/telemetry.ts';
import { createBackoff } from './backoff.ts';
import { createKubeClient } from './client.ts';
import { createListWatch, type ListWatch, type ListWatchOptions } from './list-watch.ts';
import type { KubeObject } from './objects.ts';
import {
  answerJson,
  createStatus,
  openScriptedServer,
  type ReceivedCall,
  type ScriptedServer,
} from './testing/scripted-server.ts';

const PATH = '/apis/sallyport.dev/v1alpha1/namespaces/shop/authpolicies';

const object = (name: string, version: number, metadata: Record<string, unknown> = {}) => ({
  apiVersion: 'sallyport.dev/v1alpha1',
  kind: 'AuthPolicy',
  metadata: { name, namespace: 'shop', uid: `uid-${name}`, resourceVersion: String(version), ...metadata },
});
const event = (type: string, value: unknown) => `${JSON.stringify({ type, object: value })}\n`;
const added = (name: string, version: number) => event('ADDED', object(name, version));
const bookmark = (version: number, isEnd = false) =>
  event('BOOKMARK', {
    metadata: {
      resourceVersion: String(version),
      ...(isEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
    },
  });
const list = (version: number, items: unknown[] | null, more?: string) => ({
  kind: 'AuthPolicyList',
  apiVersion: 'sallyport.dev/v1alpha1',
  metadata: { resourceVersion: String(version), ...(more === undefined ? {} : { continue: more }) },
  items,
});
const gone = createStatus(410, 'Expired', 'too old resource version');
const noStreaming = createStatus(422, 'Invalid', 'sendInitialEvents is forbidden for watch');

type Step = (answer: Http2ServerResponse, call: ReceivedCall) => void;
/** Answers a watch with lines and leaves it open. */
const send =
  (...lines: string[]): Step =>
  answer => {
    answer.writeHead(200);
    answer.write(lines.join(''));
  };
/** The same, and ends it in order. */
const end =
  (...lines: string[]): Step =>
  answer =>
    void answer.writeHead(200).end(lines.join(''));
const json =
  (status: number, value: unknown, headers?: Record<string, string>): Step =>
  answer =>
    answerJson(answer, status, value, headers);

interface Watching {
  readonly server: ScriptedServer;
  readonly watch: ListWatch;
  readonly metrics: ReturnType<typeof createMetricStore>;
  /** What `onChange` was told: type, object, all names with versions. */
  readonly told: string[];
  readonly until: (condition: () => boolean) => Promise<void>;
}

/** One step of the script for each request; none left: the request waits. */
async function follow(
  context: TestContext,
  steps: readonly Step[],
  changes: Partial<ListWatchOptions<KubeObject>> = {},
): Promise<Watching> {
  const left = [...steps];
  const server = await openScriptedServer(context, (call, answer) => left.shift()?.(answer, call));
  const client = createKubeClient(server.connection, { log: SILENT.log, clock: Date.now, random: () => 0 });
  const metrics = createMetricStore();
  const told: string[] = [];
  const waiting = new Set<() => void>();
  const watch = createListWatch<KubeObject>({
    client,
    path: PATH,
    log: SILENT.log,
    metrics,
    clock: Date.now,
    random: () => 0,
    ...changes,
    timings: { retryMinMs: 2, shortestMs: 0, ...changes.timings },
    onChange(objects, { type, object: changed }) {
      const names = [...objects.values()].map(({ metadata }) => `${metadata.name}@${metadata.resourceVersion ?? ''}`);
      told.push(`${type} ${changed?.metadata.name ?? '-'}: ${names.sort().join(' ')}`);
      for (const wake of waiting) wake();
      return changes.onChange?.(objects, { type, ...(changed === undefined ? {} : { object: changed }) });
    },
  });
  context.after(async () => {
    await watch.stop();
    await client.close();
  });
  watch.start();
  return {
    server,
    watch,
    metrics,
    told,
    async until(condition) {
      while (!condition()) await new Promise<void>(resolve => waiting.add(resolve));
    },
  };
}

describe('a list-watch', { timeout: 20_000 }, () => {
  it('takes a streaming list as one SYNC and goes on with the same stream', async context => {
    const { server, watch, told, until, metrics } = await follow(context, [
      send(added('a', 1), added('b', 2), bookmark(5, true), added('c', 6), event('DELETED', object('a', 7))),
    ]);
    await until(() => told.length === 3);
    assert.deepEqual(told, ['SYNC -: a@1 b@2', 'ADDED c: a@1 b@2 c@6', 'DELETED a: b@2 c@6']);
    await watch.synced;
    assert.equal(server.calls.length, 1);
    const { timeoutSeconds, ...query } = Object.fromEntries(server.calls[0]?.query ?? []);
    assert.deepEqual(query, {
      watch: '1',
      allowWatchBookmarks: 'true',
      sendInitialEvents: 'true',
      resourceVersionMatch: 'NotOlderThan',
    });
    assert.equal(timeoutSeconds, '300');
    assert.deepEqual(watch.status(), { connected: true, staleMs: 0, relists: 0 });
    assert.equal(metrics.value('sallyport_watch_connected', { resource: 'authpolicies' }).value, 1);
  });

  for (const status of [400, 422]) {
    it(`reads pages where the server answers a streaming list with ${status}, and watches from their version`, async context => {
      const { server, told } = await follow(context, [
        json(status, noStreaming),
        json(200, list(10, [object('a', 1)], 'next')),
        json(200, list(10, [object('b', 2)])),
        send(added('c', 11)),
      ]);
      const watch = await server.called(3);
      assert.deepEqual(told.slice(0, 1), ['SYNC -: a@1 b@2']);
      assert.equal(server.calls[1]?.query.get('limit'), '250');
      assert.equal(server.calls[2]?.query.get('continue'), 'next');
      assert.equal(watch.query.get('resourceVersion'), '10');
    });
  }

  it('reads pages where a streaming list does not become complete', async context => {
    const { server } = await follow(context, [send(added('a', 1)), json(200, list(3, null))], {
      timings: { streamedListMs: 20 },
    });
    assert.equal((await server.called(2)).query.get('resourceVersion'), '3');
  });

  it('lists in one piece when a continue token grew too old', async context => {
    const { server, told, until } = await follow(context, [
      json(422, noStreaming),
      json(200, list(10, [object('a', 1)], 'next')),
      json(410, gone),
      json(200, list(12, [object('b', 2)])),
    ]);
    await until(() => told.length === 1);
    assert.deepEqual(told, ['SYNC -: b@2']);
    assert.deepEqual(Object.fromEntries(server.calls[3]?.query ?? []), {});
  });

  it('asks for smaller pages when one is too large', async context => {
    const { server } = await follow(context, [
      json(422, noStreaming),
      answer => void answer.writeHead(200).end('x'.repeat(65 * 1024 * 1024)),
      json(200, list(12, [])),
    ]);
    assert.equal((await server.called(2)).query.get('limit'), '32');
  });

  it('resumes from the last event or bookmark after an orderly end', async context => {
    const { server } = await follow(context, [
      end(bookmark(5, true), added('a', 6)),
      end(bookmark(9)),
      end(added('b', 12)),
    ]);
    await server.called(3);
    assert.deepEqual(
      server.calls.slice(1).map(({ query }) => [query.get('resourceVersion'), query.get('sendInitialEvents')]),
      [
        ['6', null],
        ['9', null],
        ['12', null],
      ],
    );
  });

  it('resumes after a cut, and forgets nothing', async context => {
    const { server, told, until } = await follow(context, [
      send(added('a', 1), bookmark(5, true)),
      send(added('b', 6)),
    ]);
    await until(() => told.length === 1);
    server.sessions[0]?.destroy();
    await until(() => told.length === 2);
    assert.equal(server.calls[1]?.query.get('resourceVersion'), '5');
    assert.equal(told[1], 'ADDED b: a@1 b@6');
  });

  it('lists anew when a streaming list was cut before its end', async context => {
    const { told, until } = await follow(context, [end(added('a', 1)), send(added('b', 2), bookmark(5, true))]);
    await until(() => told.length === 1);
    assert.deepEqual(told, ['SYNC -: b@2']);
  });

  const GONE: Record<string, Step> = {
    'as a status': json(410, gone),
    'as an event': send(event('ERROR', gone)),
  };
  for (const [form, step] of Object.entries(GONE)) {
    it(`lists again after 410 ${form}, and tells of what is gone and what is new`, async context => {
      const { told, until, watch, metrics } = await follow(context, [
        end(added('a', 1), added('b', 2), bookmark(5, true)),
        step,
        send(added('b', 2), added('c', 8), bookmark(9, true)),
      ]);
      await until(() => told.length === 2);
      assert.deepEqual(told, ['SYNC -: a@1 b@2', 'SYNC -: b@2 c@8']);
      assert.equal(watch.status().relists, 1);
      assert.equal(metrics.value('sallyport_watch_relists_total', { resource: 'authpolicies' }).value, 1);
    });
  }

  it('does not list without a pause when the server calls its own answers too old', async context => {
    const { server, watch } = await follow(
      context,
      [json(422, noStreaming), json(200, list(5, [])), json(410, gone), json(200, list(5, []))],
      { timings: { shortestMs: 60_000 } },
    );
    await server.called(3);
    assert.equal(watch.status().problem, 'too old resource version');
  });

  it('lists from time to time, and tells only of differences', async context => {
    const { told, until, server } = await follow(
      context,
      [
        end(added('a', 1), added('b', 2), bookmark(5, true)),
        end(added('a', 1), added('b', 2), bookmark(6, true)),
        end(added('a', 3), bookmark(7, true)),
        send(added('a', 3), bookmark(8, true)),
      ],
      { relistEveryMs: 0 },
    );
    await until(() => told.length === 2);
    await server.called(3);
    assert.deepEqual(told, ['SYNC -: a@1 b@2', 'SYNC -: a@3']);
  });

  it('notices an object that was deleted and made again between two lists', async context => {
    const again = { ...object('a', 1), metadata: { ...object('a', 1).metadata, uid: 'another' } };
    const { told, until } = await follow(
      context,
      [end(added('a', 1), bookmark(5, true)), send(event('ADDED', again), bookmark(6, true))],
      { relistEveryMs: 0 },
    );
    await until(() => told.length === 2);
    assert.equal(told[1], 'SYNC -: a@1');
  });

  it('gives a throwing handler everything again, and goes on watching', async context => {
    let throws = 2;
    const { told, until } = await follow(context, [send(bookmark(5, true), added('a', 6), added('b', 7))], {
      onChange: (_, { type }) => {
        if (type === 'ADDED' && throws-- > 0) throw new Error('handler');
      },
    });
    await until(() => told.length >= 4);
    assert.deepEqual(told.slice(0, 3), ['SYNC -: ', 'ADDED a: a@6', 'ADDED b: a@6 b@7']);
    assert.equal(told[3], 'SYNC -: a@6 b@7');
  });

  it('takes a rejected promise of a handler for a throw', async context => {
    let rejects = true;
    const { told, until } = await follow(context, [send(bookmark(5, true))], {
      onChange: () => {
        const result = rejects ? Promise.reject(new Error('handler')) : Promise.resolve();
        rejects = false;
        return result;
      },
    });
    await until(() => told.length === 2);
    assert.deepEqual(told, ['SYNC -: ', 'SYNC -: ']);
  });

  it('gives up a watch that outlives its time', async context => {
    const { server } = await follow(context, [send(bookmark(5, true))], {
      timings: { watchMinMs: 200, watchMaxMs: 200, graceMs: 100 },
    });
    assert.equal((await server.called(1)).query.get('resourceVersion'), '5');
  });

  it('pauses when the server ends watches at once', async context => {
    const { watch, server } = await follow(context, [end(bookmark(5, true)), end(), end()], {
      timings: { shortestMs: 60_000 },
    });
    await server.called(3);
    assert.equal(watch.status().problem, 'the server ends watches at once');
  });

  const FAULTS: Record<string, Step> = {
    '403': json(403, createStatus(403, 'Forbidden', 'authpolicies is forbidden: User "x" cannot list')),
    '404': json(404, createStatus(404, 'NotFound', 'the server could not find the requested resource')),
    '429': json(429, createStatus(429, 'TooManyRequests', 'slow'), { 'retry-after': '0' }),
    '500 without a Status': answer => void answer.writeHead(500).end('oops'),
    'an error event': send(event('ERROR', createStatus(500, 'InternalError', 'etcd'))),
    'an event of an unknown type': send(event('RENAMED', object('a', 1))),
    'an event without an object': send(event('ADDED', null)),
    'what is no JSON': send('oops\n'),
    'a reset stream': answer => answer.stream.close(2),
    'a lost connection': answer => answer.stream.session?.destroy(),
  };
  for (const [what, step] of Object.entries(FAULTS)) {
    it(`comes back after ${what}`, async context => {
      const { told, until, watch } = await follow(context, [step, step, send(added('a', 1), bookmark(5, true))]);
      await until(() => told.length === 1);
      assert.deepEqual(told, ['SYNC -: a@1']);
      assert.equal(watch.status().connected, true);
    });
  }

  it('says since when and why it is not connected, once in the log', async context => {
    const warnings: string[] = [];
    const log: Log = { ...SILENT.log, warn: ({ problem }) => void warnings.push(String(problem)) };
    const forbidden = json(403, createStatus(403, 'Forbidden', 'cannot list'));
    let now = 1000;
    const { server, watch, metrics } = await follow(context, [forbidden, forbidden, forbidden], {
      log,
      clock: () => now,
    });
    await server.called(3);
    now = 5000;
    assert.deepEqual(watch.status(), { connected: false, staleMs: 4000, relists: 0, problem: 'cannot list' });
    assert.deepEqual(warnings, ['cannot list']);
    assert.equal(metrics.value('sallyport_watch_connected', { resource: 'authpolicies' }).value, 0);
  });

  it('keeps neither managedFields nor kubectl’s copy, and only what `trim` leaves', async context => {
    const metadata = {
      managedFields: [{ manager: 'kubectl' }],
      annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}', kept: 'yes' },
    };
    const seen: KubeObject[] = [];
    const { until } = await follow(context, [send(event('ADDED', object('a', 1, metadata)), bookmark(2, true))], {
      trim: ({ metadata: kept }) => ({ metadata: kept }),
      onChange: objects => void seen.push(...objects.values()),
    });
    await until(() => seen.length === 1);
    assert.deepEqual(Object.keys(seen[0] ?? {}), ['metadata']);
    assert.deepEqual(seen[0]?.metadata.annotations, { kept: 'yes' });
    assert.deepEqual(
      seen.map(({ metadata: kept }) => 'managedFields' in kept),
      [false],
    );
  });

  it('names the kind of listed objects that leave it out, as built-in kinds do', async context => {
    const seen: KubeObject[] = [];
    const { until } = await follow(
      context,
      [
        json(422, noStreaming),
        json(200, { ...list(5, [{ metadata: { name: 'p' } }]), kind: 'PodList', apiVersion: 'v1' }),
      ],
      { onChange: objects => void seen.push(...objects.values()) },
    );
    await until(() => seen.length === 1);
    assert.deepEqual(seen, [{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' } }]);
  });

  it('stops while it waits for a server that is away', async context => {
    const server = await openScriptedServer(context, () => undefined);
    await server.close();
    const client = createKubeClient(server.connection, { log: SILENT.log, clock: Date.now, random: () => 0 });
    const watch = createListWatch({
      client,
      path: PATH,
      log: SILENT.log,
      clock: Date.now,
      random: () => 0.9,
      onChange: () => undefined,
      timings: { retryMinMs: 60_000 },
    });
    watch.start();
    await watch.stop();
  });
});

describe('the waits between attempts', () => {
  it('double up to the longest, with jitter, and start again after a success', () => {
    const backoff = createBackoff({ random: () => 0, minMs: 100, maxMs: 1000 });
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6].map(() => backoff.next()),
      [50, 100, 200, 400, 500, 500],
    );
    backoff.reset();
    assert.equal(backoff.next(), 50);
  });

  it('are never shorter than the server’s Retry-After', () => {
    const backoff = createBackoff({ random: () => 0.5, minMs: 100 });
    assert.equal(backoff.next(7000), 7050);
  });

  it('spread wider each time that the server says when to come back: a thousand would meet there again', () => {
    const backoff = createBackoff({ random: () => 1, minMs: 1000 });
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6].map(() => backoff.next(1000)),
      [2000, 3000, 5000, 6000, 6000, 6000],
    );
  });
});
