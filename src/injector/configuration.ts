/** What the injector is told by its installation, and what it knows of a pod's namespace. */
import type { AllowancePlan } from '../policy/model.ts';
import { CONTROLLER_SERVICE, PORTS } from '../api/names.ts';
import type { OldNode } from './old-nodes.ts';
import type { Labels, Resources } from './pod.ts';

export interface InjectorConfiguration {
  /** Of the sidecar and the init container; whoever pulls by digest writes it here. */
  readonly image: string;
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  /** Secrets with registry credentials that pods get; they must exist in the pods' namespaces. */
  readonly imagePullSecrets: readonly string[];
  /** Of the sidecar. Where all containers of a pod have requests equal to limits, its requests become its limits. */
  readonly resources: Required<Resources>;
  /** Of the init container, which ends after some tens of milliseconds. */
  readonly initResources: Required<Resources>;
  readonly logLevel: string;
  /** Further arguments of the sidecar. */
  readonly extraArguments: readonly string[];
  /** Where the controller runs: never injected itself. */
  readonly controllerNamespace: string;
  /** PEM: current and next root of the controller's serving certificates. */
  readonly controllerCa: string;
  /** PEM: the roots of the API server's certificate, as pods have them in kube-root-ca.crt. */
  readonly kubernetesCa: string;
  /** How long app containers without a preStop hook go on serving after they are told to end; 0: none is added. */
  readonly preStopSleepSeconds: number;
  /** Besides those of the system and the controller's own. */
  readonly excludedNamespaces: readonly string[];
  /**
   * Explicit mode is also let through where the namespace admits interception. It leaves ports without an Api open, so it is
   * for clusters that refuse NET_ADMIN in ways that no label shows.
   */
  readonly explicitAnywhere: boolean;
  /** Pod Security level of namespaces without a label (the API server's admission configuration). */
  readonly defaultPodSecurity: PodSecurityLevel;
  /** Nodes that could not run an injected pod; see old-nodes.ts. */
  readonly oldNodes: readonly OldNode[];
}

export type PodSecurityLevel = 'privileged' | 'baseline' | 'restricted';

export interface NamespaceFacts {
  readonly name: string;
  readonly labels: Labels;
  /** What cluster policies let it leave open (S9). Whoever calls `patch` leaves out what has ended. */
  readonly allowances: readonly AllowancePlan[];
}

/** Everything but what an installation has to say. */
export const DEFAULT_CONFIGURATION: Omit<
  InjectorConfiguration,
  'image' | 'controllerNamespace' | 'controllerCa' | 'kubernetesCa'
> = {
  imagePullPolicy: 'IfNotPresent',
  imagePullSecrets: [],
  resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { cpu: '2', memory: '256Mi' } },
  initResources: { requests: { cpu: '10m', memory: '64Mi' }, limits: { cpu: '1', memory: '128Mi' } },
  logLevel: 'info',
  extraArguments: [],
  preStopSleepSeconds: 5,
  excludedNamespaces: [],
  explicitAnywhere: false,
  defaultPodSecurity: 'privileged',
  oldNodes: [],
};

/** Where sidecars find the controller's material. */
export const findControllerUrl = (namespace: string): string =>
  `https://${CONTROLLER_SERVICE}.${namespace}.svc:${PORTS.material}`;
