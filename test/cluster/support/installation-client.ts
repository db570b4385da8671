/**
 * A program for the node's network, where pods and Services have their addresses: asks what it is told by lines of JSON on its
 * input, and answers by lines. See ./installation-clients.ts for who tells it.
 */
import { Agent as HttpAgent, type IncomingMessage, request as requestPlain } from 'node:http';
import { Agent as HttpsAgent, request as requestTls } from 'node:https';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer, Ask, FromClient, LoadReport, Observation, ToClient } from './installation-clients.ts';

const ASK_MS = 15_000;
const MOST_FAILURES = 20;

type Agent = HttpAgent | HttpsAgent;

const openAgent = ({ tls }: Ask, keepAlive: boolean): Agent => {
  const one = { keepAlive, maxSockets: 1 };
  if (tls === undefined) return new HttpAgent(one);
  const { ca, serverName, certificate, key } = tls;
  return new HttpsAgent({
    ...one,
    servername: serverName,
    ...(ca === undefined ? { rejectUnauthorized: false } : { ca }),
    ...(certificate === undefined ? {} : { cert: certificate }),
    ...(key === undefined ? {} : { key }),
  });
};

async function ask(what: Ask, agent: Agent): Promise<Answer> {
  const { address, port, method = 'GET', path, headers = {}, body, tls } = what;
  const begin = performance.now();
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  const options = { ...{ host: address, port, method, path, agent }, headers: { ...headers, ...length } };
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const fail = (error: NodeJS.ErrnoException): void =>
    resolve({ status: 0, headers: {}, body: '', error: error.code ?? error.message, ms: performance.now() - begin });
  const outgoing = (tls === undefined ? requestPlain : requestTls)(options, (response: IncomingMessage) => {
    const { statusCode = 0, headers: received } = response;
    text(response).then(
      all => resolve({ status: statusCode, headers: received, body: all, ms: performance.now() - begin }),
      fail,
    );
  });
  outgoing.setTimeout(what.timeoutMs ?? ASK_MS, () => outgoing.destroy(new Error('timeout')));
  outgoing.on('error', fail);
  outgoing.end(body);
  return promise;
}

async function askOnce(what: Ask): Promise<Answer> {
  const agent = openAgent(what, false);
  try {
    return await ask(what, agent);
  } finally {
    agent.destroy();
  }
}

interface Load {
  stop(): Promise<LoadReport>;
}

/** Each client has one keep-alive connection at a time and asks again after a pause. */
function startLoad(what: Ask, clients: number, pauseMs: number, expected: readonly number[]): Load {
  const statuses = new Map<number, number>();
  const failures: LoadReport['failures'][number][] = [];
  const durations: number[] = [];
  let stopping = false;
  let failed = 0;
  const run = async (): Promise<void> => {
    const agent = openAgent(what, true);
    while (!stopping) {
      const answer = await ask(what, agent);
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
      durations.push(answer.ms);
      if (!expected.includes(answer.status)) {
        failed += 1;
        if (failures.length < MOST_FAILURES)
          failures.push({ at: Date.now(), ...answer, body: answer.body.slice(0, 400) });
      }
      await sleep(pauseMs);
    }
    agent.destroy();
  };
  const running = Array.from({ length: clients }, run);
  return {
    async stop() {
      stopping = true;
      await Promise.all(running);
      const sorted = durations.sort((a, b) => a - b);
      const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? 0;
      return {
        ...{ answers: durations.length, failed, failures, statuses: Object.fromEntries(statuses) },
        ...{ p50: at(0.5), p99: at(0.99), longest: at(0.9999) },
      };
    },
  };
}

/** Asks again and again until the answer is as told; the moment of the first such answer. */
async function observe(what: Ask, status: number, reason: string, withinMs: number): Promise<Observation> {
  const agent = openAgent(what, true);
  const begin = Date.now();
  for (;;) {
    const answer = await ask(what, agent);
    const at = Date.now();
    if (answer.status === status && answer.body.includes(reason)) return { seen: true, at };
    if (at - begin > withinMs) return { seen: false, at };
    await sleep(4);
  }
}

const loads = new Map<number, Load>();

async function obey(order: ToClient): Promise<unknown> {
  switch (order.do) {
    case 'ask':
      return askOnce(order.ask);
    case 'observe':
      return observe(order.ask, order.status, order.reason, order.withinMs);
    case 'load':
      loads.set(order.id, startLoad(order.ask, order.clients, order.pauseMs, order.expected));
      return {};
    case 'stop':
      return loads.get(order.load)?.stop();
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line) as ToClient;
  void obey(order).then(
    result => process.stdout.write(`${JSON.stringify({ id: order.id, result } satisfies FromClient)}\n`),
    (error: unknown) => process.stdout.write(`${JSON.stringify({ id: order.id, problem: String(error) })}\n`),
  );
}
