/**
 * The containers and volumes that a pod gets. Every field that the API server would default is written out, so that what
 * comes back on reinvocation can be compared with what was sent.
 */
import {
  ADMIN_SOCKET,
  CONTROLLER_AUDIENCE,
  INIT_CONTAINER,
  POD_FOLDER,
  POD_VOLUME,
  PORT_NAMES,
  PORTS,
  PROGRAM,
  RUN_FOLDER,
  RUN_VOLUME,
  SIDECAR_CONTAINER,
  SIDECAR_UID,
  STATE_FOLDER,
  TOKENS_FOLDER,
  TOKENS_VOLUME,
} from '../api/names.ts';
import type { ProbeReplay } from '../api/probe-replay.ts';
import { parseQuantity } from '../api/quantity.ts';
import { findControllerUrl, type InjectorConfiguration } from './configuration.ts';
import type { Interception } from './interception.ts';
import type { Container, Resources, Volume } from './pod.ts';
import { findDrainSeconds } from './shutdown.ts';

export interface SidecarPlan {
  readonly configuration: InjectorConfiguration;
  readonly interception: Interception;
  readonly replays: readonly ProbeReplay[];
  /** Of the pod. */
  readonly graceSeconds: number;
  /** `name=port`, of all containers. */
  readonly containerPorts: readonly string[];
  /** All other containers have requests equal to limits, and the pod’s quality of service is to stay so. */
  readonly guaranteed: boolean;
}

/** What all our containers have in common. */
const describeContainer = ({ image, imagePullPolicy }: InjectorConfiguration) => ({
  image,
  imagePullPolicy,
  command: [PROGRAM],
  terminationMessagePath: '/dev/termination-log',
  terminationMessagePolicy: 'FallbackToLogsOnError',
});

const HARDENED = {
  allowPrivilegeEscalation: false,
  privileged: false,
  readOnlyRootFilesystem: true,
  seccompProfile: { type: 'RuntimeDefault' },
} as const;

/** Writes the rules. Root, since added capabilities do not reach a process of another user; nothing but NET_ADMIN. */
export function createInitContainer({ configuration, interception, guaranteed }: SidecarPlan): Container {
  const { excludePorts, udpPorts } = interception;
  return {
    name: INIT_CONTAINER,
    ...describeContainer(configuration),
    args: writeInitArguments(excludePorts, udpPorts),
    resources: chooseResources(configuration.initResources, guaranteed),
    securityContext: {
      ...HARDENED,
      capabilities: { add: ['NET_ADMIN'], drop: ['ALL'] },
      runAsUser: 0,
      ...{ runAsGroup: 0, runAsNonRoot: false },
    },
  };
}

export function writeInitArguments(excludePorts: readonly number[], udpPorts: readonly number[]): readonly string[] {
  return [
    ...INIT_PREFIX,
    [PORTS.health, ...excludePorts].join(','),
    ...(udpPorts.length === 0 ? [] : ['--udp-ports', udpPorts.join(',')]),
  ];
}

/** What the arguments of the init container begin with; the excluded ports follow. */
export const INIT_PREFIX = [
  'init',
  '--interception',
  'transparent',
  '--proxy-port',
  String(PORTS.proxy),
  '--exclude-ports',
] as const;

export function createSidecar(plan: SidecarPlan): Container & { readonly restartPolicy: 'Always' } {
  const { configuration, guaranteed } = plan;
  const resources = chooseResources(configuration.resources, guaranteed);
  const sidecar = {
    name: SIDECAR_CONTAINER,
    ...describeContainer(configuration),
    restartPolicy: 'Always',
    args: writeArguments(plan, resources),
    env: [
      readField('SALLYPORT_NAMESPACE', 'metadata.namespace'),
      readField('SALLYPORT_POD_NAME', 'metadata.name'),
      readField('SALLYPORT_POD_UID', 'metadata.uid'),
      readField('SALLYPORT_POD_IPS', 'status.podIPs'),
    ],
    ports: [
      { name: PORT_NAMES.proxy, containerPort: PORTS.proxy, protocol: 'TCP' },
      { name: PORT_NAMES.health, containerPort: PORTS.health, protocol: 'TCP' },
    ],
    resources,
    // Holds the app back until policies are in force; ten minutes, then the container is started anew.
    startupProbe: askReadiness({ periodSeconds: 1, failureThreshold: 600 }),
    readinessProbe: askReadiness({ periodSeconds: 5, failureThreshold: 3 }),
    // Runs as soon as the pod is told to end, while the app still serves: clients are told to leave.
    lifecycle: { preStop: { exec: { command: [PROGRAM, 'drain', '--admin-socket', ADMIN_SOCKET] } } },
    securityContext: {
      ...HARDENED,
      capabilities: { drop: ['ALL'] },
      runAsUser: SIDECAR_UID,
      ...{ runAsGroup: SIDECAR_UID, runAsNonRoot: true },
    },
    volumeMounts: [
      { name: RUN_VOLUME, mountPath: RUN_FOLDER },
      { name: TOKENS_VOLUME, mountPath: TOKENS_FOLDER, readOnly: true },
      { name: POD_VOLUME, mountPath: POD_FOLDER, readOnly: true },
    ],
  } as const;
  return sidecar;
}

const readField = (name: string, fieldPath: string) => ({
  name,
  valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath } },
});

const askReadiness = (times: { readonly periodSeconds: number; readonly failureThreshold: number }) => ({
  httpGet: { path: '/readyz', port: PORTS.health, scheme: 'HTTP' },
  timeoutSeconds: 3,
  successThreshold: 1,
  ...times,
});

/** What the sidecar’s arguments begin with; the controller’s roots and what belongs to the pod follow. */
export const writeArgumentPrefix = (mode: Interception['mode'], controllerNamespace: string): readonly string[] => [
  'sidecar',
  '--source',
  'kubernetes',
  '--interception',
  mode,
  '--health',
  String(PORTS.health),
  '--admin-socket',
  ADMIN_SOCKET,
  '--state',
  STATE_FOLDER,
  '--controller',
  findControllerUrl(controllerNamespace),
  '--controller-ca',
];

function writeArguments(
  { configuration, interception, graceSeconds, replays, containerPorts }: SidecarPlan,
  { limits }: Resources,
): readonly string[] {
  const { controllerNamespace, controllerCa, kubernetesCa, logLevel, extraArguments } = configuration;
  const memory = limits?.['memory'];
  const bytes = memory === undefined ? undefined : parseQuantity(memory);
  return [
    ...writeArgumentPrefix(interception.mode, controllerNamespace),
    encodeBase64(controllerCa),
    '--kubernetes-ca',
    encodeBase64(kubernetesCa),
    ...(bytes === undefined ? [] : ['--max-memory', String(memory)]),
    '--drain-timeout',
    `${findDrainSeconds(graceSeconds)}s`,
    '--log-level',
    logLevel,
    ...extraArguments,
    ...(containerPorts.length === 0 ? [] : ['--container-ports', containerPorts.join(',')]),
    ...(replays.length === 0 ? [] : [PROBES_FLAG, encodeBase64(JSON.stringify(replays))]),
  ];
}

export const PROBES_FLAG = '--probes';

export const encodeBase64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64');

/** Requests equal to limits where the pod is Guaranteed: a container that is not would lower the whole pod’s class. */
function chooseResources({ requests, limits }: Required<Resources>, guaranteed: boolean): Required<Resources> {
  return { requests: guaranteed ? { ...requests, ...limits } : requests, limits };
}

/** Two of Kubernetes' minutes longer than an hour: the kubelet then asks for a new token in time for either. */
const TOKEN_SECONDS = 3607;
const READ_ALL = 0o644;

export function createVolumes(): readonly Volume[] {
  const token = (path: string, audience?: string) => ({
    serviceAccountToken: { ...(audience === undefined ? {} : { audience }), expirationSeconds: TOKEN_SECONDS, path },
  });
  const field = (path: string) => ({ path, fieldRef: { apiVersion: 'v1', fieldPath: `metadata.${path}` } });
  const volumes = [
    { name: RUN_VOLUME, emptyDir: { medium: 'Memory', sizeLimit: '64Mi' } },
    {
      name: TOKENS_VOLUME,
      projected: {
        defaultMode: READ_ALL,
        sources: [token('controller-token', CONTROLLER_AUDIENCE), token('api-token')],
      },
    },
    { name: POD_VOLUME, downwardAPI: { defaultMode: READ_ALL, items: [field('labels'), field('annotations')] } },
  ];
  return volumes;
}
