/** How an assembly tells of itself: to status, to the log, to the controller. */
import type { StoreStatus } from '../limits/store-keeper.ts';
import type { IssuerState } from '../material/protocol.ts';
import type { IdleObject } from '../policy/compile.ts';
import type { Violation } from '../api/violation.ts';
import type { IssuerStatus } from '../tokens/tokens.ts';

/** Resolves when it is done, or after `ms`. */
export async function settleWithin(done: Promise<void>, ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), ms);
  await Promise.race([done, promise]);
  clearTimeout(timer);
}

export const describeIssuer = ({ key, count, fetchedAt, stale, lastError }: IssuerStatus): IssuerState => ({
  key,
  keys: count,
  stale,
  ...(fetchedAt === undefined ? {} : { fetchedAt }),
  ...(lastError === '' ? {} : { problem: lastError }),
});

/** Apis that this workload does not serve, and the flag by which it would. */
export function explainUnserved(idle: readonly IdleObject[]): readonly string[] {
  return idle
    .filter(({ object }) => object.startsWith('Api '))
    .map(({ object, why, misfit }) => `${object} ${why}${misfit === undefined ? '' : `; ${adviseOn(misfit)}`}`);
}

function adviseOn({ part, name }: NonNullable<IdleObject['misfit']>): string {
  if (part === 'namespace') return `give --namespace ${name}`;
  return part === 'labels' ? 'mend --workload-labels' : `give --container-ports ${name}=PORT`;
}

export function describeViolation({ severity, object, field, problem, fix, position }: Violation): string {
  const where = position === undefined ? object : `${position.file}:${position.line}`;
  return `${severity}: ${where}${field === '' ? '' : `: ${field}`}: ${problem}; ${fix}`;
}

/** Nothing where no policy counts in a store. */
export const describeStore = (store: StoreStatus | undefined): { readonly sharedStore?: StoreStatus } =>
  store === undefined ? {} : { sharedStore: store };
