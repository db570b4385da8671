/** Warnings about targets: what names nothing, what was widened (S6), and children that cannot leave a sealed parent out. */
import type { Severity } from '../api/violation.ts';
import { nearestName, quote } from '../api/words.ts';
import type { ApiDraft } from './apis.ts';
import { isBroader } from './in-force.ts';
import { identify, matchLabels, type Inventory } from './inventory.ts';
import type { PolicySet } from './policies.ts';
import { adviseName } from './references.ts';
import type { Report } from './report.ts';
import type { Workload } from './scopes.ts';

export interface TargetReportContext {
  readonly inventory: Inventory;
  /** Identities of objects that could not be parsed. */
  readonly invalidIds: ReadonlySet<string>;
  readonly policies: PolicySet;
  readonly apis: readonly ApiDraft[];
  readonly workload: Workload;
  readonly report: Report;
  /** Of a target that does not exist: in files everything is at hand, in the cluster it may arrive later. */
  readonly severity: Severity;
}

export function reportTargets(context: TargetReportContext): void {
  reportMissing(context);
  reportSealedParents(context);
}

function reportMissing({ inventory, invalidIds, workload, report, severity }: TargetReportContext): void {
  const apis = new Map(
    inventory
      .all('Api')
      .filter(({ meta }) => meta.namespace === workload.namespace)
      .map(api => [api.meta.name, api]),
  );
  for (const policy of inventory.all('AuthPolicy').filter(({ meta }) => meta.namespace === workload.namespace)) {
    for (const [index, { name, sectionName }] of (policy.spec.targetRefs ?? []).entries()) {
      const api = apis.get(name);
      const field = `spec.targetRefs[${index}]`;
      if (api === undefined) {
        const key = `${workload.namespace}/${name}`;
        if (invalidIds.has(identify({ kind: 'Api', key }))) {
          const problem = `names the Api ${quote(name)}, which is invalid: this target has no effect`;
          report.add(severity, policy, `${field}.name`, { problem, fix: 'see its own problem', concern: 'Target' });
          continue;
        }
        const keys = inventory.all('Api').map(one => one.key);
        report.add(severity, policy, `${field}.name`, {
          problem: `names the Api ${quote(name)}, which does not exist: this target has no effect`,
          fix: adviseName(key, keys) ?? adviseNames('name an Api of this namespace', [...apis.keys()]),
          concern: 'Target',
        });
      } else if (sectionName !== undefined) {
        const names = (api.spec.operations ?? []).map(operation => operation.name);
        if (names.includes(sectionName)) continue;
        const near = nearestName(sectionName, names);
        report.add(severity, policy, `${field}.sectionName`, {
          problem: `names the operation ${quote(sectionName)}, which the Api ${name} does not have: until that is mended the policy applies to the whole Api, and its steps do not count as authentication`,
          fix: near === undefined ? adviseOperation(names) : `write ${quote(near)}`,
          concern: 'Target',
        });
      }
    }
    for (const [index, { matchLabels: wanted }] of (policy.spec.targetSelectors ?? []).entries()) {
      if ([...apis.values()].some(({ meta }) => matchLabels(wanted, meta.labels))) continue;
      report.add('warning', policy, `spec.targetSelectors[${index}].matchLabels`, {
        problem: 'selects no Api of this namespace: this target has no effect',
        fix: 'label an Api so, or remove the selector',
        concern: 'Target',
      });
    }
  }
}

const adviseOperation = (names: readonly string[]): string =>
  names.length === 0 ? 'remove it: the Api has no operations' : adviseNames('name one of its operations', names);

/** What there is to choose from, as far as a line takes it. */
const MOST_NAMED = 5;

function adviseNames(advice: string, names: readonly string[]): string {
  if (names.length === 0) return advice;
  const more = names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : '';
  return `${advice}: ${names.slice(0, MOST_NAMED).join(', ')}${more}`;
}

/** `inherit: None` leaves out unsealed policies only (S2). */
function reportSealedParents({ policies, report }: TargetReportContext): void {
  for (const { all } of policies.groups) {
    for (const child of all.filter(({ targets }) => targets.inherit === 'None')) {
      const { object } = policies.policyOf(child);
      const sealed = all
        .filter(parent => isBroader(parent.scope, child.scope))
        .map(parent => policies.policyOf(parent))
        .filter(parent => parent.sealed && (parent.body?.request.length ?? 1) > 0);
      for (const parent of object === undefined ? [] : sealed) {
        if (object === undefined) continue;
        report.add('warning', object, 'spec.inherit', {
          problem: `None does not leave out ${parent.kind} ${parent.key}, which is sealed: its steps still run`,
          fix: 'remove inherit: None, or set sealed: false on the broader policy',
        });
      }
    }
  }
}
