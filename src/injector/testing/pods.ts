/** For tests: pods as the API server hands them to webhooks, a namespace, a configuration, and a small JSON patch reader. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { AllowancePlan } from '../../policy/model.ts';
import { DEFAULT_CONFIGURATION, type InjectorConfiguration, type NamespaceFacts } from '../configuration.ts';
import { describeRefusal } from '../refusal.ts';
import { patch, type PatchResult } from '../patch.ts';
import type { Operation } from '../pod-editor.ts';
import type { Container, Pod } from '../pod.ts';
import { isPod } from '../pod-shape.ts';

export const RECORDED = ['deployment', 'job', 'stateful-set', 'daemon-set', 'bare'] as const;
export type Recorded = (typeof RECORDED)[number];

export function readRecorded(name: Recorded): Pod {
  const pod: unknown = JSON.parse(readFileSync(new URL(`pods/${name}.json`, import.meta.url), 'utf8'));
  assert.ok(isPod(pod));
  return pod;
}

export const SHOP: NamespaceFacts = {
  name: 'shop',
  labels: { 'kubernetes.io/metadata.name': 'shop', 'sallyport.dev/inject': 'enabled' },
  allowances: [],
};

export const CONFIGURATION: InjectorConfiguration = {
  ...DEFAULT_CONFIGURATION,
  image: 'ghcr.io/example/sallyport:0.1.0',
  controllerNamespace: 'sallyport-system',
  controllerCa: '-----BEGIN CERTIFICATE-----\ncurrent\n-----END CERTIFICATE-----\n',
  kubernetesCa: '-----BEGIN CERTIFICATE-----\ncluster\n-----END CERTIFICATE-----\n',
};

export const allow = (allowance: Partial<AllowancePlan>): NamespaceFacts => ({
  ...SHOP,
  allowances: [
    {
      policy: 'media',
      opensUnselectedPorts: false,
      excludePorts: [],
      udpPorts: [],
      privilegedContainers: false,
      until: Infinity,
      ...allowance,
    },
  ],
});

/** Counts up, so that every token differs and tests can name them. */
export function createCounter(): (size: number) => Uint8Array {
  let count = 0;
  return size => {
    count += 1;
    const bytes = new Uint8Array(size);
    new DataView(bytes.buffer).setUint32(size - 4, count);
    return bytes;
  };
}

export const withSpec = (pod: Pod, spec: Partial<Pod['spec']>): Pod => ({ ...pod, spec: { ...pod.spec, ...spec } });

export const withMetadata = (pod: Pod, metadata: NonNullable<Pod['metadata']>): Pod => ({
  ...pod,
  metadata: { ...pod.metadata, ...metadata },
});

/** The first app container with other fields. */
export const withApp = (pod: Pod, app: Partial<Container>): Pod =>
  withSpec(pod, { containers: pod.spec.containers.map((one, index) => (index === 0 ? { ...one, ...app } : one)) });

export interface Patching {
  readonly namespace?: NamespaceFacts;
  readonly configuration?: Partial<InjectorConfiguration>;
  readonly randomBytes?: (size: number) => Uint8Array;
}

export const run = (pod: Pod, { namespace = SHOP, configuration = {}, randomBytes = createCounter() }: Patching = {}) =>
  patch(pod, namespace, { ...CONFIGURATION, ...configuration }, randomBytes);

export function expectPatched(pod: Pod, patching: Patching = {}): Extract<PatchResult, { kind: 'patched' }> {
  const result = run(pod, patching);
  if (result.kind === 'refused') assert.fail(result.refusals.map(describeRefusal).join('\n'));
  if (result.kind === 'skipped') assert.fail(result.why);
  return result;
}

export function expectRefused(pod: Pod, patching: Patching = {}): readonly string[] {
  const result = run(pod, patching);
  return result.kind === 'refused' ? result.refusals.map(describeRefusal) : assert.fail(`is ${result.kind}`);
}

export function findContainer(pod: Pod, name: string): Container {
  const found = [...(pod.spec.initContainers ?? []), ...pod.spec.containers].find(one => one.name === name);
  return found ?? assert.fail(`no container ${name}`);
}

/** The value after a flag. */
export function readFlag({ args = [] }: Container, flag: string): string | undefined {
  const at = args.indexOf(flag);
  return at < 0 ? undefined : args[at + 1];
}

/** RFC 6902, as the API server applies it: a path whose parent is missing is an error. */
export function applyOperations(document: unknown, operations: readonly Operation[]): unknown {
  const result: unknown = structuredClone(document);
  for (const operation of operations) {
    const segments = operation.path
      .split('/')
      .slice(1)
      .map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = segments.pop() ?? '';
    let parent = result;
    for (const segment of segments) {
      assert.ok(typeof parent === 'object' && parent !== null && Object.hasOwn(parent, segment), operation.path);
      parent = (parent as Record<string, unknown>)[segment];
    }
    assert.ok(typeof parent === 'object' && parent !== null, operation.path);
    applyOne(parent, last, operation);
  }
  return result;
}

function applyOne(parent: object, last: string, operation: Operation): void {
  if (operation.op !== 'add') assert.ok(Object.hasOwn(parent, last), operation.path);
  if (Array.isArray(parent)) {
    const index = Number(last);
    assert.ok(index <= parent.length, operation.path);
    if (operation.op === 'remove') parent.splice(index, 1);
    else parent.splice(index, operation.op === 'add' ? 0 : 1, structuredClone(operation.value));
  } else if (operation.op === 'remove') Reflect.deleteProperty(parent, last);
  else (parent as Record<string, unknown>)[last] = structuredClone(operation.value);
}
