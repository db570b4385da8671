/** The peers of the steps: one process each, that does all of its steps, each at a place of its own, and plain forwarding. */
import { startEnvoy } from '../peers/envoy.ts';
import { startHaproxy } from '../peers/haproxy.ts';
import type { Ports } from '../peers/peer.ts';
import { kind, renderApi, startSallyport, writeManifests } from '../peers/sallyport.ts';
import type { Bench } from '../bench.ts';
import type { Running } from '../process.ts';
import { renderEnvoy } from './step-envoy.ts';
import { renderHaproxy } from './step-haproxy.ts';
import type { StepCase } from './step-case.ts';

/** Where requests go. */
export interface Place {
  readonly port: number;
  readonly path: string;
}

export interface StepPeer {
  readonly name: string;
  readonly has: (step: StepCase) => boolean;
  readonly start: (bench: Bench, steps: readonly StepCase[]) => Running;
  readonly place: (ports: Ports, step: StepCase, at: number) => Place;
  /** Plain forwarding of the same request. */
  readonly base: (ports: Ports, step: StepCase) => Place;
}

/** Frontends of the peers: the first forwards, the others do one step each. */
const firstPort = ({ health }: Ports): number => health + 1000;

const pathOf = (step: StepCase, end: string): string => (step.request?.large === true ? `/v1/4k/${end}` : `/v1/${end}`);

const byPort = {
  place: (ports: Ports, step: StepCase, at: number): Place => ({
    port: firstPort(ports) + 1 + at,
    path: pathOf(step, 'items'),
  }),
  base: (ports: Ports, step: StepCase): Place => ({ port: firstPort(ports), path: pathOf(step, 'items') }),
};

export const STEP_PEERS: readonly StepPeer[] = [
  {
    name: 'Sallyport',
    has: () => true,
    start: (bench, steps) =>
      startSallyport({ ...bench, mode: 'plain' }, writeManifests(bench, renderObjects(steps), 'steps')),
    place: ({ listen }, step, at) => ({ port: listen, path: pathOf(step, `step-${at}`) }),
    base: ({ listen }, step) => ({ port: listen, path: pathOf(step, 'items') }),
  },
  {
    name: 'HAProxy',
    has: step => step.haproxy !== undefined,
    start: (bench, steps) =>
      startHaproxy(
        bench.material.write('haproxy-steps.cfg', renderHaproxy(firstPort(bench.ports), bench.ports.appPlain, steps)),
      ),
    ...byPort,
  },
  {
    name: 'Envoy',
    has: step => step.envoy !== undefined,
    start: (bench, steps) =>
      startEnvoy(
        bench.material.write(
          'envoy-steps.json',
          JSON.stringify(renderEnvoy(firstPort(bench.ports), bench.ports.appPlain, steps)),
        ),
      ),
    ...byPort,
  },
];

const METHODS = ['GET', 'POST'];
const withoutBase = (path: string): string => path.slice('/v1'.length);

function renderObjects(steps: readonly StepCase[]): readonly object[] {
  const forwarded = [
    { name: 'items', methods: METHODS, path: '/items' },
    { name: 'large', methods: METHODS, path: '/4k/items' },
  ];
  const operations = steps.map((step, at) => ({
    name: `step-${at}`,
    methods: METHODS,
    path: withoutBase(pathOf(step, `step-${at}`)),
  }));
  return [
    renderApi('plain', [...forwarded, ...operations]),
    kind('open', 'AuthPolicy', {
      targetRefs: [{ kind: 'Api', name: 'bench' }],
      request: [{ name: 'open', anyOf: [{ anonymous: {} }] }],
    }),
    ...steps.flatMap(renderStep),
  ];
}

function renderStep(
  { sallyport: { request, response, credential, objects = [] } }: StepCase,
  at: number,
): readonly object[] {
  const name = `step-${at}`;
  return [
    ...objects,
    ...(credential === undefined ? [] : [kind(name, 'BackendCredential', credential)]),
    kind(name, 'AuthPolicy', {
      targetRefs: [{ kind: 'Api', name: 'bench', sectionName: name }],
      ...(request && { request: [{ name: 'it', ...request }] }),
      ...(response && { response: [{ name: 'it', ...response }] }),
      ...(credential && { backend: { credential: name } }),
    }),
  ];
}
