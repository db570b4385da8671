/** Numbers for the named container ports of manifests, for `check` and `explain`, which know no pod. */
import type { SallyportObject } from '../api/kinds/index.ts';

/** Manifests of Apis do not tell the numbers of named ports; any number will do that no other Api has, and is never shown. */
export function assumePorts(objects: readonly SallyportObject[]): Readonly<Record<string, number>> {
  const ports = Object.create(null) as Record<string, number>;
  const used = new Set<number | string>(objects.map(({ kind, spec }) => (kind === 'Api' ? spec.port : 0)));
  let next = 65535;
  for (const port of used) {
    if (typeof port === 'number') continue;
    while (used.has(next)) next -= 1;
    ports[port] = next;
    next -= 1;
  }
  return ports;
}
