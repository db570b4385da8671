/**
 * injector: floor 3. What makes a pod a protected one: the pure `patch`, and the webhooks, certificates and admission policy
 * around it. May import api, policy, telemetry, material, kube, interception and sources.
 *
 * This file: the pure part. Nothing of the user's is removed or altered but probes and HTTP hooks (moved to the health
 * port), missing preStop hooks (added) and the grace period (longer by them).
 */
import { isDeepStrictEqual } from 'node:util';
import { INIT_CONTAINER, INJECT_LABEL, SIDECAR_CONTAINER, SYSTEM_NAMESPACES } from '../api/names.ts';
import { memberPath } from '../api/field-path.ts';
import { parseProbeReplays, type ProbeReplay } from '../api/probe-replay.ts';
import { quote } from '../api/words.ts';
import type { InjectorConfiguration, NamespaceFacts } from './configuration.ts';
import { createInitContainer, createSidecar, createVolumes, type SidecarPlan } from './containers.ts';
import { findHazards, listForeign, type Placed } from './hazards.ts';
import { planInterception, type Interception } from './interception.ts';
import { refuseOldNodes } from './old-nodes.ts';
import { createPodEditor, type Operation, type PodEditor } from './pod-editor.ts';
import type { Container, Pod, PodSpec, Volume } from './pod.ts';
import { rewriteProbes, type Rewriting } from './probes.ts';
import { isUnaltered, readReplays, recognise } from './recognition.ts';
import type { Refusal } from './refusal.ts';
import { planShutdown, type ShutdownPlan } from './shutdown.ts';

export type PatchResult =
  | {
      readonly kind: 'patched';
      readonly pod: Pod;
      /** JSON patch; empty: the pod is as it should be. Lists are never replaced as a whole. */
      readonly operations: readonly Operation[];
      readonly mode: Interception['mode'];
      /** What may not be meant; for people. */
      readonly warnings: readonly string[];
    }
  | { readonly kind: 'refused'; readonly refusals: readonly Refusal[] }
  | { readonly kind: 'skipped'; readonly why: string };

export type RandomBytes = (size: number) => Uint8Array;

/** Deterministic but for the tokens of probes that are moved for the first time. */
export function patch(
  pod: Pod,
  namespace: NamespaceFacts,
  configuration: InjectorConfiguration,
  randomBytes: RandomBytes,
): PatchResult {
  const why = findSkip(pod, namespace, configuration);
  if (why !== undefined) return { kind: 'skipped', why };
  const plan = planChanges(pod, namespace, configuration, randomBytes);
  const refusals = [
    ...findWrongLabels(pod, namespace),
    ...plan.interception.refusals,
    ...findHazards(pod, namespace, plan.recognised),
    ...refuseOldNodes(pod.spec, configuration.oldNodes),
    ...plan.rewritings.flatMap(rewriting => rewriting.refusals),
    ...findExcess(plan.sidecar, plan.replays),
  ];
  if (refusals.length > 0) return { kind: 'refused', refusals: removeDuplicates(refusals) };
  const editor = createPodEditor(pod);
  applyChanges(editor, plan);
  const { operations } = editor;
  const { mode } = plan.interception;
  return { kind: 'patched', pod: editor.pod, operations, mode, warnings: findWarnings(pod.spec) };
}

interface Changes extends SidecarPlan {
  readonly recognised: ReadonlySet<string>;
  readonly rewritings: readonly Rewriting[];
  readonly shutdown: ShutdownPlan;
  readonly sidecar: Container;
}

function planChanges(
  { metadata, spec }: Pod,
  namespace: NamespaceFacts,
  configuration: InjectorConfiguration,
  randomBytes: RandomBytes,
): Changes {
  const recognised = recognise(spec);
  const interception = planInterception(metadata?.annotations ?? {}, namespace, configuration);
  const rewritings = planProbes(spec, interception, randomBytes);
  const shutdown = planShutdown(spec, {
    sleepSeconds: configuration.preStopSleepSeconds,
    isReinvocation: recognised.has(SIDECAR_CONTAINER),
  });
  const plan: SidecarPlan = {
    configuration,
    interception,
    graceSeconds: shutdown.graceSeconds,
    replays: rewritings.flatMap(({ replays }) => replays),
    containerPorts: listPortNames(spec),
    guaranteed: isGuaranteed(spec),
  };
  return { ...plan, recognised, rewritings, shutdown, sidecar: createSidecar(plan) };
}

function applyChanges(editor: PodEditor, plan: Changes): void {
  const { rewritings, shutdown, sidecar, interception, configuration } = plan;
  // Before containers move: the paths of probes are those of the pod as it came.
  for (const rewriting of rewritings) rewriting.apply(editor);
  shutdown.apply(editor);
  placeContainers(editor, interception.mode === 'transparent' ? [createInitContainer(plan), sidecar] : [sidecar]);
  for (const volume of createVolumes()) placeVolume(editor, volume);
  addPullSecrets(editor, configuration.imagePullSecrets);
  describePod(editor);
}

export const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';
const DEFAULT_CONTAINER_ANNOTATION = 'kubectl.kubernetes.io/default-container';

function findSkip(
  { metadata }: Pod,
  { name, labels }: NamespaceFacts,
  { controllerNamespace, excludedNamespaces }: InjectorConfiguration,
): string | undefined {
  const excluded: readonly string[] = [...SYSTEM_NAMESPACES, controllerNamespace, ...excludedNamespaces];
  if (excluded.includes(name)) return `the namespace ${name} is never injected`;
  // Only the kubelet runs what a mirror pod shows, and nothing that is changed here would reach it.
  if (metadata?.annotations?.[MIRROR_ANNOTATION] !== undefined)
    return 'a mirror pod shows what the kubelet runs by itself';
  if (labels[INJECT_LABEL] === undefined && metadata?.labels?.[INJECT_LABEL] === undefined) {
    return `neither the pod nor its namespace is labelled ${INJECT_LABEL}: enabled`;
  }
  return undefined;
}

/** A mistyped label must not leave anybody without the protection that was meant. */
function findWrongLabels({ metadata }: Pod, { name, labels }: NamespaceFacts): readonly Refusal[] {
  const check = (value: string | undefined, field: string, whose: string): Refusal[] =>
    value === undefined || value === 'enabled'
      ? []
      : [{ field, problem: `is ${quote(value)}${whose}`, fix: 'write enabled, its only value, or remove the label' }];
  return [
    ...check(metadata?.labels?.[INJECT_LABEL], memberPath('metadata.labels', INJECT_LABEL), ''),
    ...check(labels[INJECT_LABEL], '', ` in the label ${INJECT_LABEL} of the namespace ${name}`),
  ];
}

function planProbes(spec: PodSpec, interception: Interception, randomBytes: RandomBytes): readonly Rewriting[] {
  const excluded = new Set(interception.excludePorts);
  const options = {
    isIntercepted: (port: number) => !excluded.has(port),
    known: readReplays(spec),
    newToken: () => Buffer.from(randomBytes(16)).toString('hex'),
  };
  return listForeign(spec).map(({ container, list, index }) => rewriteProbes(container, [list, index], options));
}

/** `name=port` of every named TCP port; of two containers with one name the first, as the kubelet takes it for Services. */
function listPortNames(spec: PodSpec): readonly string[] {
  const ports = new Map<string, number>();
  for (const { container } of listForeign(spec).toSorted(appsFirst)) {
    for (const { name, containerPort, protocol = 'TCP' } of container.ports ?? []) {
      if (name !== undefined && protocol === 'TCP' && !ports.has(name)) ports.set(name, containerPort);
    }
  }
  return [...ports].map(([name, port]) => `${name}=${port}`);
}

const appsFirst = (a: Placed, b: Placed): number => Number(a.list !== 'containers') - Number(b.list !== 'containers');

/** The rule of the class Guaranteed: every container has limits of both kinds, and requests that do not differ. */
function isGuaranteed(spec: PodSpec): boolean {
  return listForeign(spec).every(({ container: { resources: { limits = {}, requests = {} } = {} } }) =>
    ['cpu', 'memory'].every(kind => limits[kind] !== undefined && (requests[kind] ?? limits[kind]) === limits[kind]),
  );
}

/** What one argument of a process may hold on Linux (MAX_ARG_STRLEN), less some room. */
const MOST_ARGUMENT = 120 * 1024;

/** The sidecar reads the probes as strictly as anything else: what it would refuse must not be written. */
function findExcess({ args = [] }: Container, replays: readonly ProbeReplay[]): readonly Refusal[] {
  if (parseProbeReplays(replays) !== undefined && args.every(({ length }) => length <= MOST_ARGUMENT)) return [];
  const fix = 'write fewer and shorter headers, or probes that run a command';
  return [{ field: 'spec.containers', problem: 'have too many or too long probes for the sidecar to take over', fix }];
}

const removeDuplicates = (refusals: readonly Refusal[]): readonly Refusal[] => [
  ...new Map(refusals.map(refusal => [JSON.stringify(refusal), refusal])).values(),
];

/** Ours first, in their order: another webhook may have put its own before them. */
function placeContainers(editor: PodEditor, desired: readonly Container[]): void {
  const find = (name: string): number => (editor.pod.spec.initContainers ?? []).findIndex(one => one.name === name);
  // Explicit mode, and a sidecar that was copied from a pod that was intercepted.
  const superfluous = desired.length === 1 ? find(INIT_CONTAINER) : -1;
  if (superfluous >= 0) editor.remove(['spec', 'initContainers', superfluous]);
  for (const [place, container] of desired.entries()) {
    const at = find(container.name);
    const present = editor.pod.spec.initContainers?.[at];
    if (present !== undefined && at === place && isUnaltered(present, container)) continue;
    if (at === place) {
      editor.replace(['spec', 'initContainers', at], container);
      continue;
    }
    if (at >= 0) editor.remove(['spec', 'initContainers', at]);
    editor.add(['spec', 'initContainers', place], container);
  }
}

function placeVolume(editor: PodEditor, volume: Volume): void {
  const { volumes = [] } = editor.pod.spec;
  const at = volumes.findIndex(({ name }) => name === volume.name);
  if (at < 0) editor.add(['spec', 'volumes', volumes.length], volume);
  else if (!isDeepStrictEqual(volumes[at], volume)) editor.replace(['spec', 'volumes', at], volume);
}

function addPullSecrets(editor: PodEditor, names: readonly string[]): void {
  for (const name of names) {
    const { imagePullSecrets = [] } = editor.pod.spec;
    if (imagePullSecrets.some(secret => secret.name === name)) continue;
    editor.add(['spec', 'imagePullSecrets', imagePullSecrets.length], { name });
  }
}

/** The label keeps the admission policy's hand over the pod even when its namespace loses its own. */
function describePod(editor: PodEditor): void {
  const { metadata, spec } = editor.pod;
  if (metadata?.labels?.[INJECT_LABEL] === undefined) editor.add(['metadata', 'labels', INJECT_LABEL], 'enabled');
  const app = spec.containers[0]?.name;
  if (app !== undefined && metadata?.annotations?.[DEFAULT_CONTAINER_ANNOTATION] === undefined) {
    editor.add(['metadata', 'annotations', DEFAULT_CONTAINER_ANNOTATION], app);
  }
}

function findWarnings({ dnsPolicy }: PodSpec): readonly string[] {
  if (dnsPolicy !== 'Default' && dnsPolicy !== 'None') return [];
  return [
    `spec.dnsPolicy is ${dnsPolicy}: the sidecar finds the controller only if that resolver knows the cluster’s names`,
  ];
}
