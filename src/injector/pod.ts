/** What the injector reads of a pod (API reference, core/v1 Pod). */

export type Labels = Readonly<Record<string, string>>;
export type PortReference = number | string;

export interface HttpGet {
  readonly path?: string;
  readonly port: PortReference;
  readonly host?: string;
  readonly scheme?: string;
  readonly httpHeaders?: readonly { readonly name: string; readonly value?: string }[];
}

export interface TcpSocket {
  readonly port: PortReference;
  readonly host?: string;
}

export interface Handler {
  readonly httpGet?: HttpGet;
  readonly tcpSocket?: TcpSocket;
  readonly grpc?: { readonly port: number; readonly service?: string };
  readonly exec?: object;
  readonly sleep?: { readonly seconds: number };
}

export interface Probe extends Handler {
  readonly timeoutSeconds?: number;
}

export interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: object;
}

export interface VolumeMount {
  readonly name: string;
  readonly mountPath: string;
  readonly readOnly?: boolean;
}

export interface SecurityContext {
  readonly privileged?: boolean;
  readonly runAsUser?: number;
  readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
}

export type ResourceList = Readonly<Record<string, number | string>>;
export interface Resources {
  readonly limits?: ResourceList;
  readonly requests?: ResourceList;
}

export interface Container {
  readonly name: string;
  readonly image?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly EnvVar[];
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number; readonly protocol?: string }[];
  readonly restartPolicy?: string;
  readonly resources?: Resources;
  readonly resizePolicy?: readonly object[];
  readonly securityContext?: SecurityContext;
  readonly volumeMounts?: readonly VolumeMount[];
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly startupProbe?: Probe;
  readonly lifecycle?: { readonly postStart?: Handler; readonly preStop?: Handler };
}

export interface Volume {
  readonly name: string;
  readonly projected?: {
    readonly sources?: readonly { readonly serviceAccountToken?: { readonly audience?: string } }[];
  };
}

export interface PodSpec {
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly ephemeralContainers?: readonly Container[];
  readonly volumes?: readonly Volume[];
  readonly imagePullSecrets?: readonly { readonly name: string }[];
  readonly dnsPolicy?: string;
  readonly hostNetwork?: boolean;
  readonly hostPID?: boolean;
  readonly shareProcessNamespace?: boolean;
  readonly os?: { readonly name: string };
  readonly nodeName?: string;
  readonly nodeSelector?: Labels;
  readonly affinity?: object;
  readonly securityContext?: { readonly runAsUser?: number };
  readonly terminationGracePeriodSeconds?: number;
}

export interface Pod {
  readonly metadata?: {
    readonly name?: string;
    readonly generateName?: string;
    readonly namespace?: string;
    readonly labels?: Labels;
    readonly annotations?: Labels;
  };
  readonly spec: PodSpec;
}
