/** What each step of the language costs: CPU of a request with it, less that of the same request without it. */
import { median, PEERS, planLoad, type Bench } from '../bench.ts';
import { compareLoads, LONGEST_SECONDS } from './compare-loads.ts';
import type { LoadPlan } from '../load-generator.ts';
import { renderHead, writeHeads } from '../material.ts';
import { runLoad, waitForPort } from '../process.ts';
import type { Row } from '../report.ts';
import { CALLER_CASES } from './caller-cases.ts';
import { createCredentialCases } from './credential-cases.ts';
import { FLOW_CASES } from './flow-cases.ts';
import type { StepCase } from './step-case.ts';
import { STEP_PEERS, type Place, type StepPeer } from './step-peers.ts';
import { createTrafficCases } from './traffic-cases.ts';

/** Of what computes over no body; far more than any of them needs. */
const MOST_MICROSECONDS = 10;
const WARM_UP_SECONDS = 0.8;

export async function measureSteps(bench: Bench): Promise<Row[]> {
  const steps = [
    ...createTrafficCases(bench.material),
    ...CALLER_CASES,
    ...FLOW_CASES,
    ...createCredentialCases(bench.material, bench.ports),
  ];
  const peers = STEP_PEERS.filter(({ name }) => isHere(bench, name));
  const costs = new Map(steps.map(step => [step, new Map<string, number[]>()]));
  for (let round = 0; round < bench.rounds; round += 1) {
    for (const peer of peers) {
      for (const [step, cost] of await measureOnce(bench, peer, steps)) {
        const known = costs.get(step);
        known?.set(peer.name, [...(known.get(peer.name) ?? []), cost]);
      }
    }
  }
  return [...costs].map(([step, byPeer]) => describe(step, byPeer));
}

const isHere = (bench: Bench, name: string): boolean =>
  PEERS.some(peer => peer.name === name && peer.version() !== undefined) && (bench.peers?.includes(name) ?? true);

const describe = ({ name, unbounded, whole }: StepCase, byPeer: ReadonlyMap<string, readonly number[]>): Row => ({
  measure: name,
  values: new Map([...byPeer].map(([peer, values]) => [peer, median(values)])),
  unit: 'CPU µs/request',
  goals: unbounded === true || whole === true ? [] : [{ bound: MOST_MICROSECONDS, direction: 'at most' }],
});

async function measureOnce(
  bench: Bench,
  peer: StepPeer,
  all: readonly StepCase[],
): Promise<ReadonlyMap<StepCase, number>> {
  const steps = all.filter(peer.has);
  const running = peer.start(bench, steps);
  const plan = (place: Place, step: StepCase, name: string, seconds: number): LoadPlan => {
    const headsFile = writeHeads(bench.material, name, [renderRequest(place, step)]);
    return { ...planLoad(bench, { mode: 'plain', headsFile }), port: place.port, seconds };
  };
  const costs = new Map<StepCase, number>();
  try {
    for (const [at, step] of steps.entries()) {
      const place = peer.place(bench.ports, step, at);
      await waitForPort(place.port);
      await runLoad(plan(place, step, 'step', WARM_UP_SECONDS));
    }
    for (const [at, step] of steps.entries()) {
      const { pid } = running;
      const base = { pid, plan: plan(peer.base(bench.ports, step), step, 'base', LONGEST_SECONDS) };
      const own = { pid, plan: plan(peer.place(bench.ports, step, at), step, 'step', LONGEST_SECONDS) };
      const [without, cost] = await compareLoads([base, own], bench.seconds, `${peer.name}, ${step.name}`);
      costs.set(step, step.whole === true ? cost : cost - without);
    }
  } finally {
    await running.stop();
  }
  return costs;
}

function renderRequest({ path }: Place, { request: { headers = {}, body } = {} }: StepCase): string {
  if (body === undefined) return renderHead(path, headers);
  const described = { ...headers, 'Content-Type': 'application/json', 'Content-Length': String(body.length) };
  return renderHead(path, described, 'POST') + body;
}
