/** How a pod's traffic reaches its sidecar, and what the pod may leave out of it: annotations ask, allowances grant (S9). */
import { memberPath } from '../api/field-path.ts';
import {
  EXCLUDE_PORTS_ANNOTATION,
  EXCLUDE_UDP_PORTS_ANNOTATION,
  INTERCEPTION_ANNOTATION,
  PORTS,
} from '../api/names.ts';
import { quote } from '../api/words.ts';
import type { AllowancePlan } from '../policy/model.ts';
import type { InjectorConfiguration, NamespaceFacts, PodSecurityLevel } from './configuration.ts';
import type { Labels } from './pod.ts';
import type { Refusal } from './refusal.ts';

export type Mode = 'transparent' | 'explicit';

export interface Interception {
  readonly mode: Mode;
  /** TCP ports that stay as they are; ascending. */
  readonly excludePorts: readonly number[];
  /** UDP ports that are open; ascending. */
  readonly udpPorts: readonly number[];
  readonly refusals: readonly Refusal[];
}

export const ENFORCE_LABEL = 'pod-security.kubernetes.io/enforce';
const MOST_PORTS = 64;

export function planInterception(
  annotations: Labels,
  namespace: NamespaceFacts,
  configuration: Pick<InjectorConfiguration, 'explicitAnywhere' | 'defaultPodSecurity'>,
): Interception {
  const refusals: Refusal[] = [];
  const mode = decideMode(annotations, namespace, configuration, refusals);
  const ask = (sort: Exclusion): readonly number[] => {
    const text = annotations[sort.annotation];
    return text === undefined ? [] : askExclusion(text, sort, mode, namespace, refusals);
  };
  return { mode, excludePorts: ask(TCP_PORTS), udpPorts: ask(UDP_PORTS), refusals };
}

function decideMode(
  annotations: Labels,
  { name, labels }: NamespaceFacts,
  { explicitAnywhere, defaultPodSecurity }: Pick<InjectorConfiguration, 'explicitAnywhere' | 'defaultPodSecurity'>,
  refusals: Refusal[],
): Mode {
  const asked = annotations[INTERCEPTION_ANNOTATION];
  const level = findLevel(labels[ENFORCE_LABEL] ?? defaultPodSecurity);
  const refuse = (problem: string, fix: string): Mode => {
    refusals.push({ field: memberPath('metadata.annotations', INTERCEPTION_ANNOTATION), problem, fix });
    return 'transparent';
  };
  if (asked !== undefined && asked !== 'transparent' && asked !== 'explicit') {
    return refuse(`is ${quote(asked)}`, 'write transparent or explicit');
  }
  if (level !== 'privileged') {
    if (asked === 'explicit') return 'explicit';
    return refuse(
      `${asked === undefined ? 'is missing' : 'is transparent'}, but the namespace ${name} has the Pod Security level ${level}, which refuses the init container that intercepts traffic`,
      `write ${INTERCEPTION_ANNOTATION}: explicit and let the app listen on 127.0.0.1 only, at the port of its Api; or label the namespace ${ENFORCE_LABEL}: privileged`,
    );
  }
  if (asked !== 'explicit' || explicitAnywhere) return asked ?? 'transparent';
  return refuse(
    `is explicit, which leaves ports without an Api open, and the namespace ${name} does not need it`,
    'remove the annotation: traffic is then intercepted without it',
  );
}

/** What the API server does not know it treats as the strictest. */
const findLevel = (level: string): PodSecurityLevel =>
  level === 'privileged' || level === 'baseline' ? level : 'restricted';

interface Exclusion {
  readonly annotation: string;
  readonly protocol: 'TCP' | 'UDP';
  readonly grants: (allowance: AllowancePlan) => readonly number[];
  readonly field: 'excludePorts' | 'udpPorts';
}

const TCP_PORTS: Exclusion = {
  annotation: EXCLUDE_PORTS_ANNOTATION,
  protocol: 'TCP',
  grants: allowance => allowance.excludePorts,
  field: 'excludePorts',
};
const UDP_PORTS: Exclusion = {
  annotation: EXCLUDE_UDP_PORTS_ANNOTATION,
  protocol: 'UDP',
  grants: allowance => allowance.udpPorts,
  field: 'udpPorts',
};

function askExclusion(
  text: string,
  { annotation, protocol, grants, field }: Exclusion,
  mode: Mode,
  { name, allowances }: NamespaceFacts,
  refusals: Refusal[],
): readonly number[] {
  const refuse = (problem: string, fix: string): readonly number[] => {
    refusals.push({ field: memberPath('metadata.annotations', annotation), problem, fix });
    return [];
  };
  if (mode === 'explicit') return refuse('has no meaning in explicit mode, which intercepts nothing', 'remove it');
  const ports = readPorts(text);
  if (ports === undefined) {
    return refuse(
      `is ${quote(text)}`,
      `write at most ${MOST_PORTS} ports from 1 to 65535 separated by commas: 9090,9091`,
    );
  }
  const own = protocol === 'TCP' ? ports.filter(port => port === PORTS.proxy || port === PORTS.health) : [];
  if (own.length > 0) return refuse(`names port ${own.join(', ')}, which is the sidecar’s own`, 'leave it out');
  const granted = new Set(allowances.flatMap(grants));
  const missing = ports.filter(port => !granted.has(port));
  if (missing.length > 0) {
    return refuse(
      `asks for ${protocol} ${missing.length === 1 ? 'port' : 'ports'} ${missing.join(', ')}, which no allowance grants to the namespace ${name}`,
      `remove them, or have a ClusterAuthPolicy say allowances: [{${field}: [${missing.join(', ')}]}]`,
    );
  }
  return ports;
}

/** Ascending, each once; undefined: no list of ports. */
function readPorts(text: string): readonly number[] | undefined {
  if (text.trim() === '') return [];
  const ports = text.split(',').map(part => (/^\s*\d{1,5}\s*$/.test(part) ? Number(part) : 0));
  const fits = ports.length <= MOST_PORTS && ports.every(port => port >= 1 && port <= 65_535);
  return fits ? [...new Set(ports)].sort((a, b) => a - b) : undefined;
}
