/** What the injector reads of a pod (API reference, core/v1 Pod), and whether a manifest has that shape. */
import { itemPath, memberPath } from '../api/field-path.ts';

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

type Shape =
  | 'text'
  | 'number'
  | 'switch'
  | 'scalar'
  | 'object'
  | { readonly list: Shape }
  | { readonly map: Shape }
  | { readonly members: Readonly<Record<string, Shape>>; readonly required?: readonly string[] };

const members = (shape: Readonly<Record<string, Shape>>, ...required: readonly string[]): Shape => ({
  members: shape,
  required,
});

const HANDLER = {
  httpGet: members(
    {
      path: 'text',
      port: 'scalar',
      host: 'text',
      scheme: 'text',
      httpHeaders: { list: members({ name: 'text', value: 'text' }, 'name') },
    },
    'port',
  ),
  tcpSocket: members({ port: 'scalar', host: 'text' }, 'port'),
  grpc: members({ port: 'number', service: 'text' }, 'port'),
  exec: 'object',
  sleep: members({ seconds: 'number' }, 'seconds'),
} as const;
const PROBE = members({ ...HANDLER, timeoutSeconds: 'number' });
const QUANTITIES: Shape = { map: 'scalar' };

const CONTAINER = members(
  {
    name: 'text',
    image: 'text',
    command: { list: 'text' },
    args: { list: 'text' },
    env: { list: members({ name: 'text', value: 'text', valueFrom: 'object' }, 'name') },
    ports: { list: members({ name: 'text', containerPort: 'number', protocol: 'text' }, 'containerPort') },
    restartPolicy: 'text',
    resources: members({ limits: QUANTITIES, requests: QUANTITIES }),
    securityContext: members({
      privileged: 'switch',
      runAsUser: 'number',
      capabilities: members({ add: { list: 'text' }, drop: { list: 'text' } }),
    }),
    volumeMounts: { list: members({ name: 'text', mountPath: 'text', readOnly: 'switch' }, 'name', 'mountPath') },
    livenessProbe: PROBE,
    readinessProbe: PROBE,
    startupProbe: PROBE,
    lifecycle: members({ postStart: members(HANDLER), preStop: members(HANDLER) }),
  },
  'name',
);

const TEXTS: Shape = { map: 'text' };

const POD = members(
  {
    metadata: members({
      name: 'text',
      generateName: 'text',
      namespace: 'text',
      labels: TEXTS,
      annotations: TEXTS,
    }),
    spec: members(
      {
        containers: { list: CONTAINER },
        initContainers: { list: CONTAINER },
        ephemeralContainers: { list: CONTAINER },
        volumes: {
          list: members(
            {
              name: 'text',
              projected: members({
                sources: { list: members({ serviceAccountToken: members({ audience: 'text' }) }) },
              }),
            },
            'name',
          ),
        },
        imagePullSecrets: { list: members({ name: 'text' }) },
        dnsPolicy: 'text',
        hostNetwork: 'switch',
        hostPID: 'switch',
        shareProcessNamespace: 'switch',
        os: members({ name: 'text' }, 'name'),
        nodeName: 'text',
        nodeSelector: TEXTS,
        affinity: 'object',
        securityContext: members({ runAsUser: 'number' }),
        terminationGracePeriodSeconds: 'number',
      },
      'containers',
    ),
  },
  'spec',
);

export type Misfit = { readonly field: string; readonly problem: string };

/** The first field that is not what the API server takes (which drops null members, so null fits nowhere); undefined: `value` is a Pod as far as it is read here. */
export const findMisfit = (value: unknown): Misfit | undefined => compare(value, POD, '');

export const isPod = (value: unknown): value is Pod => findMisfit(value) === undefined;

const NOUNS = { text: 'text', number: 'a number', switch: 'true or false', scalar: 'text or a number' } as const;

function compare(value: unknown, shape: Shape, field: string): Misfit | undefined {
  if (value === undefined) return undefined;
  if (typeof shape === 'string') return compareScalar(value, shape, field);
  if ('list' in shape) {
    if (!Array.isArray(value)) return { field, problem: 'is not a list' };
    return findFirst(value, (item: unknown, index) => compare(item, shape.list, itemPath(field, index)));
  }
  if (!isRecord(value)) return { field, problem: 'is not an object' };
  if ('map' in shape) {
    return findFirst(Object.entries(value), ([key, item]) => compare(item, shape.map, memberPath(field, key)));
  }
  const missing = shape.required?.find(key => value[key] === undefined);
  if (missing !== undefined) return { field: memberPath(field, missing), problem: 'is missing' };
  return findFirst(Object.entries(shape.members), ([key, member]) =>
    compare(value[key], member, memberPath(field, key)),
  );
}

function compareScalar(value: unknown, shape: Extract<Shape, string>, field: string): Misfit | undefined {
  if (shape === 'object') return isRecord(value) ? undefined : { field, problem: 'is not an object' };
  const kind = typeof value;
  const fits =
    shape === 'scalar'
      ? kind === 'string' || kind === 'number'
      : kind === { text: 'string', number: 'number', switch: 'boolean' }[shape];
  return fits ? undefined : { field, problem: `is not ${NOUNS[shape]}` };
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function findFirst<T>(items: readonly T[], find: (item: T, index: number) => Misfit | undefined): Misfit | undefined {
  for (const [index, item] of items.entries()) {
    const found = find(item, index);
    if (found !== undefined) return found;
  }
  return undefined;
}
