/** Ports that a pod has left open since an allowance of its start, and that no allowance grants any longer (S9). Pure. */
import { EXCLUDE_PORTS_ANNOTATION, EXCLUDE_UDP_PORTS_ANNOTATION } from '../api/names.ts';
import { isInForce } from '../policy/allowances.ts';
import type { AllowancePlan } from '../policy/model.ts';
import type { PodFacts } from './pods.ts';

export interface LeftOpen {
  /** `TCP 9090`. */
  readonly ports: readonly string[];
  /** When the last allowance that granted one of them ended, milliseconds since the epoch; undefined: none names them now. */
  readonly endedAt: number | undefined;
}

/** Rules of the kernel are written once, when a pod starts. Undefined: everything that is open is allowed now. */
export function findLeftOpen(
  { open, live }: Pick<PodFacts, 'open' | 'live'>,
  allowances: readonly AllowancePlan[],
  now: number,
): LeftOpen | undefined {
  if (open === undefined || !live) return undefined;
  const grants = { TCP: open.tcp, UDP: open.udp } as const;
  const granted = ({ excludePorts, udpPorts }: AllowancePlan, protocol: 'TCP' | 'UDP', port: number): boolean =>
    (protocol === 'TCP' ? excludePorts : udpPorts).includes(port);
  const lost = (['TCP', 'UDP'] as const).flatMap(protocol =>
    grants[protocol]
      .map(port => ({ protocol, port, naming: allowances.filter(one => granted(one, protocol, port)) }))
      .filter(({ naming }) => !naming.some(one => isInForce(one, now))),
  );
  if (lost.length === 0) return undefined;
  const ends = lost.flatMap(({ naming }) => naming.map(({ until }) => until));
  return {
    ports: lost.map(({ protocol, port }) => `${protocol} ${port}`),
    endedAt: ends.length === 0 ? undefined : Math.max(...ends),
  };
}

/** What asked for the ports, and asks again whenever the pod is made anew. */
export function nameAnnotations({ ports }: LeftOpen): string {
  const asking = [
    ...(ports.some(port => port.startsWith('TCP')) ? [EXCLUDE_PORTS_ANNOTATION] : []),
    ...(ports.some(port => port.startsWith('UDP')) ? [EXCLUDE_UDP_PORTS_ANNOTATION] : []),
  ];
  return asking.join(' and ');
}

/** `leaves TCP 9090 open, whose allowance ended 2027-01-31T00:00:00.000Z`. */
export function describeLeftOpen({ ports, endedAt }: LeftOpen): string {
  const why =
    endedAt === undefined
      ? 'which no allowance grants any longer'
      : `whose allowance ended ${new Date(endedAt).toISOString()}`;
  return `leaves ${ports.join(', ')} open, ${why}`;
}
