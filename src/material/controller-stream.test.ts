import assert from 'node:assert/strict';
import type { Http2ServerResponse } from 'node:http2';
import { describe, it, type TestContext } from 'node:test';
import {
  answerJson,
  openScriptedServer,
  type ReceivedCall,
  type ScriptedServer,
} from '../kube/testing/scripted-server.ts';
import { SILENT, type Log } from '../telemetry/telemetry.ts';
import type { EnforcedState } from './acknowledgement.ts';
import { createControllerStream, type ControllerStream, type ControllerStreamOptions } from './controller-stream.ts';
import type { MaterialMessage } from './protocol.ts';

const material = (hash: string): MaterialMessage => ({
  type: 'material',
  hash,
  namespaceLabels: { team: 'fleet' },
  objects: {},
  secrets: { 'shop/apim': { type: 'Opaque', data: { key: 'c2VjcmV0' } }, 'shop/none': null },
  configMaps: {},
});
const state = (hash: string, generation: number): EnforcedState => ({
  hash,
  objects: [{ kind: 'Api', namespace: 'shop', name: 'fleet', uid: 'u', generation, state: 'InForce' }],
  issuers: [],
  certificates: [],
  appExposed: [],
  wouldDeny: [],
});

/** One stream of the sidecar, as the controller sees it. */
interface Conversation {
  readonly call: ReceivedCall;
  readonly answer: Http2ServerResponse;
  /** The next line, parsed. */
  next(): Promise<Record<string, unknown>>;
  say(...messages: unknown[]): void;
}

interface Scene {
  readonly server: ScriptedServer;
  readonly stream: ControllerStream;
  readonly materials: MaterialMessage[];
  readonly readyPods: number[];
  /** Waits for the conversation of that number, from 0. */
  readonly conversation: (index: number) => Promise<Conversation>;
}

async function open(
  context: TestContext,
  changes: Partial<ControllerStreamOptions> = {},
  refuse: (call: ReceivedCall, answer: Http2ServerResponse, index: number) => boolean = () => false,
): Promise<Scene> {
  const conversations: Conversation[] = [];
  const waiting = new Set<() => void>();
  let calls = 0;
  const server = await openScriptedServer(
    context,
    (call, answer) => {
      if (refuse(call, answer, calls++)) return;
      answer.writeHead(200);
      const lines = readLines(call);
      conversations.push({
        call,
        answer,
        next: async () => JSON.parse((await lines.next()).value ?? 'null') as Record<string, unknown>,
        say: (...messages) => void answer.write(messages.map(message => `${JSON.stringify(message)}\n`).join('')),
      });
      for (const wake of waiting) wake();
    },
    { endless: ['/v1/material'] },
  );
  const materials: MaterialMessage[] = [];
  const readyPods: number[] = [];
  const stream = createControllerStream({
    connection: { ...server.connection, token: () => Promise.resolve('bound') },
    hello: { version: '1.2.3' },
    onMaterial: message => void materials.push(message),
    onReadyPods: count => void readyPods.push(count),
    log: SILENT.log,
    clock: Date.now,
    random: () => 0,
    ...changes,
    timings: { retryMinMs: 2, ...changes.timings },
  });
  context.after(() => stream.stop());
  stream.start();
  return {
    server,
    stream,
    materials,
    readyPods,
    async conversation(index) {
      for (;;) {
        const found = conversations[index];
        if (found !== undefined) return found;
        await new Promise<void>(resolve => waiting.add(resolve));
      }
    },
  };
}

async function* readLines({ request }: ReceivedCall): AsyncGenerator<string, undefined, void> {
  let pending = '';
  for await (const chunk of request.setEncoding('utf8')) {
    const lines = (pending + String(chunk)).split('\n');
    pending = lines.pop() ?? '';
    yield* lines;
  }
  return undefined;
}

describe('the material stream', { timeout: 20_000 }, () => {
  it('says hello with its token, takes material and pods, and answers pings', async context => {
    const { conversation, materials, readyPods, stream } = await open(context);
    const talk = await conversation(0);
    assert.equal(talk.call.method, 'POST');
    assert.equal(talk.call.headers['authorization'], 'Bearer bound');
    assert.deepEqual(await talk.next(), { type: 'hello', protocol: 1, version: '1.2.3' });
    talk.say({ type: 'workload', readyPods: 3 }, { type: 'something new' }, material('m1'), { type: 'ping' });
    assert.deepEqual(await talk.next(), { type: 'pong' });
    assert.deepEqual(materials, [material('m1')]);
    assert.deepEqual(readyPods, [3]);
    assert.equal(stream.status().connected, true);
  });

  it('acknowledges what is in force: whole at first, then what changed, and whole again to a new stream', async context => {
    const { conversation, stream } = await open(context);
    stream.acknowledge(state('m1', 1));
    const first = await conversation(0);
    await first.next();
    const whole = await first.next();
    assert.deepEqual([whole['full'], whole['hash']], [true, 'm1']);
    stream.acknowledge(state('m1', 1));
    stream.acknowledge(state('m2', 2));
    const change = await first.next();
    assert.deepEqual([change['full'], change['hash']], [false, 'm2']);
    first.answer.end();
    const second = await conversation(1);
    await second.next();
    assert.deepEqual(await second.next(), { ...change, full: true });
  });

  it('asks again, over a new connection, when the controller says goodbye, is cut off, or sends what cannot be read', async context => {
    const { conversation, server, stream, materials } = await open(context);
    (await conversation(0)).say({ type: 'bye', reason: 'Rebalance', retryAfterMs: 1 });
    (await conversation(1)).answer.stream.close(2);
    (await conversation(2)).answer.stream.session?.destroy();
    (await conversation(3)).say({ ...material('m'), secrets: { a: { data: 7 } } });
    const last = await conversation(4);
    assert.deepEqual(materials, []);
    assert.deepEqual([...new Set(server.calls.map(({ session }) => session))], [0, 1, 2, 3, 4]);
    last.say(material('m2'), { type: 'ping' });
    await last.next();
    await last.next();
    assert.equal(materials.length, 1);
    assert.equal(stream.status().connected, true);
  });

  it('ends a stream on which nothing is heard', async context => {
    const { conversation } = await open(context, { timings: { silenceMs: 30 } });
    await conversation(1);
  });

  it('says why it is refused, once in the log, and never what a line holds', async context => {
    const warnings: string[] = [];
    const log: Log = { ...SILENT.log, warn: ({ problem }) => void warnings.push(String(problem)) };
    const refusal = { reason: 'PodNotProtected', problem: 'the pod carries no unaltered sidecar' };
    const { conversation, stream } = await open(context, { log }, (_, answer, index) => {
      if (index > 2) return false;
      if (index < 2) answerJson(answer, 403, refusal, { 'retry-after': '0' });
      else answer.writeHead(200).end('{"type":"material","secret":"canary\n');
      return true;
    });
    const talk = await conversation(0);
    talk.say({ type: 'ping' });
    await talk.next();
    await talk.next();
    assert.deepEqual(warnings, [
      'the controller answered 403: the pod carries no unaltered sidecar',
      'the controller: a line is no JSON',
    ]);
    assert.equal(stream.status().problem, undefined);
  });
});
