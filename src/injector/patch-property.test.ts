import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Container, Pod } from './pod.ts';
import { applyOperations, CONFIGURATION, createCounter, run } from './testing/pods.ts';

const RUNS = { numRuns: 150 };

const port = fc.oneof(fc.integer({ min: 1, max: 65_535 }), fc.constantFrom('http', 'none'));
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const handler = fc.oneof(
  fc
    .record(
      {
        path: fc.string({ maxLength: 12 }),
        port,
        host: fc.constantFrom('', '10.0.0.1'),
        scheme: fc.constantFrom('HTTP', 'HTTPS'),
      },
      { requiredKeys: ['port'] },
    )
    .map(httpGet => ({ httpGet })),
  port.map(at => ({ tcpSocket: { port: at } })),
  fc.integer({ min: 1, max: 65_535 }).map(at => ({ grpc: { port: at } })),
  fc.constant({ exec: { command: ['true'] } }),
);
const probe = fc
  .tuple(handler, fc.integer({ min: 1, max: 30 }))
  .map(([one, timeoutSeconds]) => ({ ...one, timeoutSeconds }));

const container = (name: string): fc.Arbitrary<Container> =>
  fc
    .record({
      livenessProbe: optional(probe),
      readinessProbe: optional(probe),
      lifecycle: optional(fc.record({ preStop: handler }).map(hooks => hooks)),
      ports: fc.constantFrom([], [{ name: 'http', containerPort: 8080 }]),
      volumeMounts: fc.constantFrom([], [{ name: 'data', mountPath: '/data' }]),
      restartPolicy: fc.constantFrom(undefined, 'Always'),
    })
    .map(fields => dropUndefined<Container>({ name, image: `${name}:1`, custom: { kept: true }, ...fields }));

const pods: fc.Arbitrary<Pod> = fc
  .record({
    apps: fc.integer({ min: 1, max: 3 }).chain(count => fc.tuple(...numbers(count).map(i => container(`app-${i}`)))),
    inits: fc.integer({ min: 0, max: 2 }).chain(count => fc.tuple(...numbers(count).map(i => container(`init-${i}`)))),
    grace: optional(fc.integer({ min: 0, max: 60 })),
    volumes: fc.constantFrom(undefined, [{ name: 'data', emptyDir: {} }]),
    labels: fc.constantFrom(undefined, { app: 'x' }),
  })
  .map(({ apps, inits, grace, volumes, labels }) => ({
    metadata: dropUndefined<NonNullable<Pod['metadata']>>({ name: 'p', labels, finalizers: ['example.com/mine'] }),
    spec: dropUndefined<Pod['spec']>({
      containers: apps,
      initContainers: inits.length === 0 ? undefined : inits,
      volumes,
      terminationGracePeriodSeconds: grace,
      nodeSelector: { zone: 'a' },
    }),
  }));

const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);
const dropUndefined = <T extends object>(value: Record<string, unknown>): T =>
  Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as T;
const omit = (value: object | undefined, ...keys: readonly string[]): object =>
  Object.fromEntries(Object.entries(value ?? {}).filter(([key]) => !keys.includes(key)));

/** A pod without what the injector may change, and without what it adds. */
function removeOurs(pod: Pod): unknown {
  const strip = (one: Container): unknown => {
    const timeouts = PROBES.map(name => one[name]?.timeoutSeconds);
    return { ...omit(one, ...PROBES, 'lifecycle'), timeouts, hooks: omit(one.lifecycle, 'preStop') };
  };
  const { initContainers = [], containers, volumes = [] } = pod.spec;
  const isOurs = (name: string): boolean => name.startsWith('sallyport');
  return {
    metadata: {
      ...omit(pod.metadata, 'labels', 'annotations'),
      labels: omit(pod.metadata?.labels, 'sallyport.dev/inject'),
      annotations: omit(pod.metadata?.annotations, 'kubectl.kubernetes.io/default-container'),
    },
    spec: {
      ...omit(pod.spec, 'terminationGracePeriodSeconds', 'volumes'),
      containers: containers.map(strip),
      initContainers: initContainers.filter(({ name }) => !isOurs(name)).map(strip),
      volumes: volumes.filter(({ name }) => !isOurs(name)),
    },
  };
}
const PROBES = ['livenessProbe', 'readinessProbe', 'startupProbe'] as const;

test('nothing of the user’s is removed or altered but probes, hooks and the grace period', () => {
  fc.assert(
    fc.property(pods, pod => {
      const result = run(pod, { configuration: CONFIGURATION, randomBytes: createCounter() });
      if (result.kind !== 'patched') return;
      assert.deepEqual(removeOurs(result.pod), removeOurs(pod));
      assert.deepEqual(applyOperations(pod, result.operations), result.pod);
    }),
    RUNS,
  );
});

test('a second invocation changes nothing', () => {
  fc.assert(
    fc.property(pods, pod => {
      const result = run(pod);
      if (result.kind !== 'patched') return;
      const again = run(result.pod, { randomBytes: () => assert.fail('a new token') });
      assert.deepEqual(again.kind === 'patched' ? again.operations : again, []);
    }),
    RUNS,
  );
});
