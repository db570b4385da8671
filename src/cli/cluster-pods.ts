/** Pods of a cluster as people count them: by whoever made them, with what protects them. */
import { isDeepStrictEqual } from 'node:util';
import { INJECT_LABEL, PROGRAM, SIDECAR_CONTAINER, SYSTEM_NAMESPACES } from '../api/names.ts';
import { readPod, type PodFacts, type SidecarFact } from '../controller/pods.ts';
import { isRecord, type KubeObject } from '../kube/objects.ts';
import type { Labels } from '../policy/inventory.ts';
import type { Raw } from './cluster-view.ts';

export interface Pod extends PodFacts {
  /** `Deployment shop/fleet`; of a pod that nobody owns `Pod shop/fleet-1`. */
  readonly owner: string;
  readonly ownerKind: string;
  readonly ownerName: string;
  /** TCP ports that its own containers declare. */
  readonly declared: readonly number[];
}

const list = (value: unknown): readonly Record<string, unknown>[] =>
  Array.isArray(value) ? value.filter(isRecord) : [];

/** Live ones outside of the system's namespaces. */
export const readPods = (raw: readonly Raw[]): readonly Pod[] =>
  raw.map(describePod).filter(({ live, namespace }) => live && !isSystem(namespace));

export const isSystem = (namespace: string): boolean => SYSTEM_NAMESPACES.some(name => name === namespace);

function describePod(raw: Raw): Pod {
  const facts = readPod(raw, findSidecar);
  const { namespace } = facts;
  const [ownerKind, ownerName] = findOwner(raw);
  const spec = isRecord(raw['spec']) ? raw['spec'] : {};
  const ports = [...list(spec['containers']), ...list(spec['initContainers'])]
    .filter(({ name }) => name !== SIDECAR_CONTAINER)
    .flatMap(container => list(container['ports']));
  const declared = ports.flatMap(({ containerPort, protocol = 'TCP' }) =>
    typeof containerPort === 'number' && protocol === 'TCP' ? [containerPort] : [],
  );
  return { ...facts, ownerKind, ownerName, owner: `${ownerKind} ${namespace}/${ownerName}`, declared };
}

/** A Deployment's ReplicaSet is named after it and the hash that its pods carry as a label. */
function findOwner({ metadata: { name, labels = {}, ownerReferences = [] } }: KubeObject): readonly [string, string] {
  const owner = ownerReferences.find(({ controller }) => controller === true);
  if (owner === undefined) return ['Pod', name];
  const hash = `-${labels['pod-template-hash'] ?? ''}`;
  if (owner.kind !== 'ReplicaSet' || hash === '-' || !owner.name.endsWith(hash)) return [owner.kind, owner.name];
  return ['Deployment', owner.name.slice(0, -hash.length)];
}

/** Told by what it runs. Whether it is unaltered only the controller can tell, which knows what it injected. */
function findSidecar(pod: KubeObject): SidecarFact {
  const { spec } = pod as KubeObject & { readonly spec?: unknown };
  const containers = isRecord(spec) ? [...list(spec['initContainers']), ...list(spec['containers'])] : [];
  const named = containers.find(({ name }) => name === SIDECAR_CONTAINER);
  if (named === undefined) return { state: 'None' };
  const { command, args, restartPolicy } = named;
  const runs = isDeepStrictEqual(command, [PROGRAM]) && Array.isArray(args) && args[0] === 'sidecar';
  if (runs && restartPolicy === 'Always') return { state: 'Protected' };
  return { state: 'Altered', problem: `its container ${SIDECAR_CONTAINER} is not the one that is injected` };
}

/** Undefined: what the namespace says is not known. */
export function isOptedIn(labels: Labels, namespace: Labels | undefined): boolean | undefined {
  if (labels[INJECT_LABEL] === 'enabled' || namespace?.[INJECT_LABEL] === 'enabled') return true;
  return namespace === undefined ? undefined : false;
}

/** `sallyport:1.4.0` → `1.4.0`; of an image without a tag the beginning of its digest. */
export function readVersion(image: string): string {
  const [name = '', hash] = (image.split('/').at(-1) ?? '').split('@sha256:');
  const [, tag] = /:([\w][\w.-]{0,127})$/.exec(name) ?? [];
  const digest = hash?.slice(0, 12);
  return tag ?? digest ?? (image === '' ? '' : 'latest');
}
