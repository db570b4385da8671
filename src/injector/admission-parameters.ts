/**
 * What the admission policy on new pods compares them with: a ConfigMap in the controller's namespace, written by the
 * controller alone. Allowances (S9) come from several objects, and an admission policy can only demand that every parameter
 * object agrees, so they are gathered here; and nobody in a tenant's namespace can write this one, as they could a label.
 */
import { isDeepStrictEqual } from 'node:util';
import { ADMISSION_PARAMETERS } from '../api/names.ts';
import type { KubeClient } from '../kube/client.ts';
import { resourcePath, type KubeObject } from '../kube/objects.ts';
import type { Allowance } from './allowed.ts';
import { encodeBase64 } from './containers.ts';
import type { InjectorConfiguration } from './configuration.ts';
import { settleObject } from './settle-object.ts';

/** Keys of the ConfigMap. Values of several items hold one a line. */
export const KEYS = {
  /** Images that a replica of the controller gives to sidecars, the newest first. */
  images: 'images',
  /** Roots of the controller that a replica writes into arguments (base64 of PEM), the newest first. */
  controllerCas: 'controller-cas',
  kubernetesCas: 'kubernetes-cas',
  /** Flags of the sidecar that the installation adds. */
  flags: 'flags',
  /** `anywhere`, or absent: explicit mode only where the Pod Security level demands it. */
  explicit: 'explicit',
  defaultPodSecurity: 'default-pod-security',
  /** Namespaces with an allowance for privileged containers. */
  privileged: 'privileged',
  /** Followed by a namespace's name: ports, separated by commas. */
  excludePorts: 'exclude-ports.',
  udpPorts: 'udp-ports.',
} as const;

export type Parameters = Readonly<Record<string, string>>;

/** While replicas of two versions run, each injects its own; what is older than that nobody injects any more. */
const KEPT = 4;

/** What one replica adds: pure. What others added stays, as long as it is among the newest. */
export function describeReplica(configuration: InjectorConfiguration, before: Parameters): Parameters {
  const { image, controllerCa, kubernetesCa, extraArguments, explicitAnywhere, defaultPodSecurity } = configuration;
  const flags = extraArguments.filter(argument => argument.startsWith('-')).map(flag => flag.split('=', 1).join(''));
  return {
    [KEYS.images]: remember(image, before[KEYS.images]),
    [KEYS.controllerCas]: remember(encodeBase64(controllerCa), before[KEYS.controllerCas]),
    [KEYS.kubernetesCas]: remember(encodeBase64(kubernetesCa), before[KEYS.kubernetesCas]),
    [KEYS.flags]: [...new Set([...flags, ...readLines(before[KEYS.flags])])].slice(0, 4 * KEPT).join('\n'),
    [KEYS.explicit]: explicitAnywhere ? 'anywhere' : '',
    [KEYS.defaultPodSecurity]: defaultPodSecurity,
  };
}

const readLines = (text = ''): readonly string[] => text.split('\n').filter(line => line !== '');

const remember = (newest: string, before: string | undefined): string =>
  [...new Set([newest, ...readLines(before)])].slice(0, KEPT).join('\n');

/** What cluster policies allow, by namespace: the leader's part. Replaces all of it. */
export function describeAllowances(namespaces: ReadonlyMap<string, Allowance>): Parameters {
  const parameters: Record<string, string> = {};
  const privileged: string[] = [];
  for (const [name, { excludePorts, udpPorts, privilegedContainers }] of [...namespaces].sort(byName)) {
    if (privilegedContainers) privileged.push(name);
    if (excludePorts.length > 0) parameters[KEYS.excludePorts + name] = excludePorts.join(',');
    if (udpPorts.length > 0) parameters[KEYS.udpPorts + name] = udpPorts.join(',');
  }
  return { ...parameters, [KEYS.privileged]: privileged.join('\n') };
}

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);

export const isAllowanceKey = (key: string): boolean =>
  key === KEYS.privileged || key.startsWith(KEYS.excludePorts) || key.startsWith(KEYS.udpPorts);

export interface AdmissionParameters {
  /**
   * What this replica injects is let in from now on: to be called before it answers the first review, and before it injects
   * another image or other roots. @throws KubeError
   */
  announce(configuration: InjectorConfiguration): Promise<void>;
  /** For the leader: all that is allowed, by namespace. @throws KubeError */
  allow(namespaces: ReadonlyMap<string, Allowance>): Promise<void>;
}

interface ConfigMap extends KubeObject {
  readonly data?: Parameters;
}

/** `namespace`: the controller's. Several replicas may write at the same time. */
export function createAdmissionParameters(client: KubeClient, namespace: string): AdmissionParameters {
  const collection = resourcePath({ group: '', version: 'v1', resource: 'configmaps', namespace });
  const write = async (change: (data: Parameters) => Parameters): Promise<void> => {
    await settleObject<ConfigMap>(client, { collection, name: ADMISSION_PARAMETERS }, before => {
      const data = change(before?.data ?? {});
      if (before !== undefined && isDeepStrictEqual(before.data, data)) return before;
      const empty = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: ADMISSION_PARAMETERS, namespace } };
      return { ...(before ?? empty), data };
    });
  };
  return {
    announce: configuration => write(data => ({ ...data, ...describeReplica(configuration, data) })),
    allow: namespaces =>
      write(data => {
        const others = Object.entries(data).filter(([key]) => !isAllowanceKey(key));
        return { ...Object.fromEntries(others), ...describeAllowances(namespaces) };
      }),
  };
}
