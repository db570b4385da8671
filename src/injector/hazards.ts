/** Pods that cannot be protected, or that could undo it: each reason is a sentence with the field and what to do. */
import { itemPath } from '../api/field-path.ts';
import {
  CONTROLLER_AUDIENCE,
  INIT_CONTAINER,
  POD_VOLUME,
  PORTS,
  RUN_VOLUME,
  SIDECAR_CONTAINER,
  SIDECAR_UID,
  TOKENS_VOLUME,
} from '../api/names.ts';
import type { NamespaceFacts } from './configuration.ts';
import type { Container, Pod, PodSpec } from './pod.ts';
import type { Refusal } from './refusal.ts';

export const OWN_CONTAINERS: readonly string[] = [INIT_CONTAINER, SIDECAR_CONTAINER];
export const OWN_VOLUMES: readonly string[] = [RUN_VOLUME, TOKENS_VOLUME, POD_VOLUME];

/** With these a container can remove the rules, read packets before them, or read the sidecar's memory. */
export const DANGEROUS_CAPABILITIES = ['ALL', 'NET_ADMIN', 'NET_RAW', 'SYS_ADMIN', 'SYS_PTRACE'] as const;

/** Containers of the user, with where they stand. Ours are told apart by their name. */
export interface Placed {
  readonly container: Container;
  readonly list: 'containers' | 'initContainers';
  readonly index: number;
  readonly field: string;
}

export function listForeign({ containers, initContainers = [] }: PodSpec): readonly Placed[] {
  const place =
    (list: Placed['list']) =>
    (container: Container, index: number): Placed => ({
      container,
      list,
      index,
      field: itemPath(`spec.${list}`, index),
    });
  return [
    ...initContainers.map(place('initContainers')).filter(({ container }) => !OWN_CONTAINERS.includes(container.name)),
    ...containers.map(place('containers')),
  ];
}

/** `recognised`: the pod holds our containers from an earlier invocation, so the names are not the user's. */
export function findHazards(pod: Pod, namespace: NamespaceFacts, recognised: ReadonlySet<string>): readonly Refusal[] {
  const foreign = listForeign(pod.spec);
  return [
    ...findPlatformHazards(pod.spec),
    ...findTakenNames(pod.spec, recognised),
    ...foreign.flatMap(findTakenPorts),
    ...foreign.flatMap(findForeignMounts),
    ...findForeignTokens(pod.spec),
    ...(namespace.allowances.some(({ privilegedContainers }) => privilegedContainers)
      ? []
      : [...findSharedProcesses(pod.spec), ...foreign.flatMap(placed => findPrivileges(placed, pod.spec))]),
  ];
}

const OS_LABELS = ['kubernetes.io/os', 'beta.kubernetes.io/os'];

function findPlatformHazards({ hostNetwork, os, nodeSelector = {} }: PodSpec): readonly Refusal[] {
  const refusals: Refusal[] = [];
  const fix = 'do not label it for injection';
  if (hostNetwork === true) {
    refusals.push({
      field: 'spec.hostNetwork',
      problem: 'is true: the pod shares the node’s network, so interception would be the node’s',
      fix: `remove it, or run the pod in a namespace without the label`,
    });
  }
  if (os !== undefined && os.name !== 'linux') {
    refusals.push({ field: 'spec.os.name', problem: `is ${os.name}: there is a sidecar for linux only`, fix });
  }
  for (const label of OS_LABELS) {
    const value = nodeSelector[label];
    if (value === undefined || value === 'linux') continue;
    const problem = `selects nodes with ${label}: ${value}, and there is a sidecar for linux only`;
    refusals.push({ field: 'spec.nodeSelector', problem, fix });
  }
  return refusals;
}

function findTakenNames(spec: PodSpec, recognised: ReadonlySet<string>): readonly Refusal[] {
  const { containers, initContainers = [], volumes = [] } = spec;
  const check = (
    field: string,
    what: string,
    { name }: { readonly name: string },
    own: readonly string[],
  ): Refusal[] =>
    own.includes(name)
      ? [
          {
            field: `${field}.name`,
            problem: `is ${name}, which is the name of a ${what} that Sallyport adds`,
            fix: 'rename it',
          },
        ]
      : [];
  const free = OWN_CONTAINERS.filter(name => !recognised.has(name));
  // Volumes are made anew with the sidecar that uses them; without it they are somebody else's.
  const freeVolumes = recognised.has(SIDECAR_CONTAINER) ? [] : OWN_VOLUMES;
  return [
    ...initContainers.flatMap((one, i) => check(itemPath('spec.initContainers', i), 'container', one, free)),
    ...containers.flatMap((one, i) => check(itemPath('spec.containers', i), 'container', one, OWN_CONTAINERS)),
    ...volumes.flatMap((one, i) => check(itemPath('spec.volumes', i), 'volume', one, freeVolumes)),
  ];
}

function findTakenPorts({ container: { ports = [] }, field }: Placed): readonly Refusal[] {
  return ports.flatMap(({ containerPort, protocol = 'TCP' }, index) =>
    protocol === 'TCP' && (containerPort === PORTS.proxy || containerPort === PORTS.health)
      ? [
          {
            field: `${itemPath(`${field}.ports`, index)}.containerPort`,
            problem: `is ${containerPort}, which is a port of the sidecar`,
            fix: 'let the app listen on another port',
          },
        ]
      : [],
  );
}

function findForeignMounts({ container: { volumeMounts = [] }, field }: Placed): readonly Refusal[] {
  return volumeMounts.flatMap(({ name }, index) =>
    OWN_VOLUMES.includes(name)
      ? [
          {
            field: `${itemPath(`${field}.volumeMounts`, index)}.name`,
            problem: `is ${name}, a volume that belongs to the sidecar alone`,
            fix: 'remove the mount',
          },
        ]
      : [],
  );
}

function findForeignTokens({ volumes = [] }: PodSpec): readonly Refusal[] {
  return volumes.flatMap(({ name, projected }, index) =>
    name !== TOKENS_VOLUME &&
    projected?.sources?.some(({ serviceAccountToken }) => serviceAccountToken?.audience === CONTROLLER_AUDIENCE) ===
      true
      ? [
          {
            field: `${itemPath('spec.volumes', index)}.projected.sources`,
            problem: `hold a token with the audience ${CONTROLLER_AUDIENCE}, which is the sidecar’s alone`,
            fix: 'remove it',
          },
        ]
      : [],
  );
}

const ALLOW = 'or have a ClusterAuthPolicy say allowances: [{privilegedContainers: true}]';

function findSharedProcesses({ hostPID, shareProcessNamespace }: PodSpec): readonly Refusal[] {
  const shared = { hostPID, shareProcessNamespace };
  return Object.entries(shared).flatMap(([name, value]) =>
    value === true
      ? [
          {
            field: `spec.${name}`,
            problem: 'is true, so that containers can reach the memory and files of the sidecar',
            fix: `remove it, ${ALLOW}`,
          },
        ]
      : [],
  );
}

function findPrivileges({ container, field }: Placed, spec: PodSpec): readonly Refusal[] {
  const { securityContext } = container;
  const at = `${field}.securityContext`;
  const refusals: Refusal[] = [];
  if (securityContext?.privileged === true) {
    const problem = 'is true, with which the container can undo the interception';
    refusals.push({ field: `${at}.privileged`, problem, fix: `remove it, ${ALLOW}` });
  }
  for (const [index, capability] of (securityContext?.capabilities?.add ?? []).entries()) {
    if (!isDangerous(capability)) continue;
    const problem = `is ${capability}, with which the container can undo the interception`;
    refusals.push({ field: itemPath(`${at}.capabilities.add`, index), problem, fix: `remove it, ${ALLOW}` });
  }
  const user = securityContext?.runAsUser ?? spec.securityContext?.runAsUser;
  if (user === SIDECAR_UID) {
    const place = securityContext?.runAsUser === undefined ? 'spec.securityContext' : at;
    const problem = `is ${SIDECAR_UID}, which is the sidecar’s own user`;
    refusals.push({ field: `${place}.runAsUser`, problem, fix: `choose another, ${ALLOW}` });
  }
  return refusals;
}

/** Container runtimes take names in any case, some with the kernel's prefix. */
const isDangerous = (capability: string): boolean =>
  DANGEROUS_CAPABILITIES.some(name => name === capability.toUpperCase().replace(/^CAP_/, ''));
