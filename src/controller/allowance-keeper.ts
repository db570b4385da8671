/** Tells the admission policies what cluster policies allow (S9), and when it has ended. The leader's work. */
import { isDeepStrictEqual } from 'node:util';
import type { AdmissionParameters } from '../injector/admission-parameters.ts';
import { sumAllowances, type Allowance } from '../injector/allowed.ts';
import { listAllowances } from '../policy/allowances.ts';
import type { AllowancePlan } from '../policy/model.ts';
import type { Log } from '../telemetry/telemetry.ts';
import type { Model } from './model.ts';

/** All allowances of a namespace, those that ended included. Invalid policies allow what they last allowed. */
export function allowancesOf(model: Model, namespace: string): readonly AllowancePlan[] {
  const labels = model.population.labelsOf(namespace);
  return model.objectsOfCluster().flatMap(({ parsed, lastGood }) => {
    const object = parsed ?? lastGood;
    return object?.kind === 'ClusterAuthPolicy' ? listAllowances(object.meta.name, object.spec, labels) : [];
  });
}

export interface AllowanceKeeper {
  /** Looks whether something changed or ended. */
  refresh(): void;
}

export interface AllowanceKeeperOptions {
  readonly model: Model;
  readonly parameters: Pick<AdmissionParameters, 'allow'>;
  readonly leads: () => boolean;
  readonly clock: () => number;
  readonly log: Log;
}

export function createAllowanceKeeper({
  model,
  parameters,
  leads,
  clock,
  log,
}: AllowanceKeeperOptions): AllowanceKeeper {
  let written: ReadonlyMap<string, Allowance> | undefined;
  let writing = false;

  async function write(wanted: ReadonlyMap<string, Allowance>): Promise<void> {
    writing = true;
    try {
      await parameters.allow(wanted);
      written = wanted;
    } catch (error) {
      const problem = error instanceof Error ? error.message : 'failed';
      log.warn({ problem }, 'cannot tell the admission policies what is allowed');
    } finally {
      writing = false;
    }
  }

  return {
    refresh() {
      // Another replica may have led meanwhile: the next time as leader everything is written again.
      if (!leads()) written = undefined;
      if (!leads() || writing) return;
      const wanted = new Map(
        model.population.names().flatMap(namespace => {
          const sum = sumAllowances(allowancesOf(model, namespace), clock());
          const isEmpty = sum.excludePorts.length + sum.udpPorts.length === 0 && !sum.privilegedContainers;
          return isEmpty ? [] : [[namespace, sum] as const];
        }),
      );
      if (!isDeepStrictEqual(wanted, written)) void write(wanted);
    },
  };
}
