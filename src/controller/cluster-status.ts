/** Status of cluster policies: judged by themselves, and counted over the namespaces that they apply to. Pure. */
import type { KnownObject } from './objects.ts';
import { analyzeNamespace, type Analysis } from './analysis.ts';
import { addEnforcement, describeEnforcement, NO_PODS } from './enforcement.ts';
import { judgeObject } from './judgement.ts';
import { createExistenceLookup, type NamedData } from './named-data.ts';
import { indexParsed, listNames, type ClusterShare, type WantedStatus } from './namespace-status.ts';
import { describeTested } from './test-judgement.ts';
import { listForbidden } from './permissions.ts';
import type { Violation } from '../api/violation.ts';
import { describeAllowance, listAllowances } from '../policy/allowances.ts';
import { describeAudit, warnOfTenants } from './warnings.ts';

export interface ClusterInput {
  /** Cluster policies, and the objects that they name. */
  readonly objects: readonly KnownObject[];
  readonly data: NamedData;
  readonly requireLabel: boolean;
}

/** Each policy by itself, whatever namespaces it selects. */
export function examineCluster({ objects, data }: ClusterInput): Analysis {
  const everywhere = objects.map(widen);
  const lookup = createExistenceLookup(data);
  return analyzeNamespace({ namespace: '', namespaceLabels: {}, objects: everywhere, classes: [], lookup });
}

function widen(object: KnownObject): KnownObject {
  const { parsed } = object;
  if (parsed?.kind !== 'ClusterAuthPolicy') return object;
  const spec = { ...parsed.spec, namespaceSelector: { matchLabels: {} } };
  return { ...object, parsed: { ...parsed, spec } };
}

export interface ClusterContext {
  /** By namespace, as shareOfClusterPolicies tells. */
  readonly shares: ReadonlyMap<string, ReadonlyMap<string, ClusterShare>>;
}

export function describeCluster(
  input: ClusterInput,
  analysis: Analysis,
  { shares }: ClusterContext,
): ReadonlyMap<string, WantedStatus> {
  const policies = input.objects.filter(({ kind }) => kind === 'ClusterAuthPolicy');
  const permissions = { ...input, find: indexParsed(input.objects) };
  return new Map(
    policies.map(object => {
      const own = collectShares(object.id, shares);
      const counts = own.map(({ share }) => share.enforcement).reduce(addEnforcement, NO_PODS);
      const wouldDeny = own.reduce((sum, { share }) => sum + share.wouldDeny, 0);
      const place = own.length === 0 ? undefined : describePlace(own.map(({ namespace }) => namespace));
      const findings = judgeObject({
        object,
        problems: mergeProblems(analysis.problems.get(object.id) ?? [], own),
        notices: listNotices(object, analysis),
        forbidden: object.parsed === undefined ? [] : listForbidden(object.parsed, permissions),
        ...(place === undefined ? {} : { place }),
      });
      const enforced = describeEnforcement(counts, object.generation);
      const tested = describeTested(
        object,
        own.map(({ share }) => share.tests),
      );
      const warnings = [...describeAudit(object, wouldDeny), ...warnOfTenants(object)];
      const unsettled = own.some(({ share }) => share.unsettled);
      return [object.id, { findings: [...findings, enforced, ...tested, ...warnings], fields: {}, unsettled }];
    }),
  );
}

interface Own {
  readonly namespace: string;
  readonly share: ClusterShare;
}

function collectShares(id: string, shares: ClusterContext['shares']): readonly Own[] {
  return [...shares]
    .flatMap(([namespace, byId]) => {
      const share = byId.get(id);
      return share === undefined ? [] : [{ namespace, share }];
    })
    .sort((a, b) => (a.namespace < b.namespace ? -1 : 1));
}

const describePlace = (namespaces: readonly string[]): string =>
  `applies in ${namespaces.length} ${namespaces.length === 1 ? 'namespace' : 'namespaces'}: ${listNames(namespaces)}`;

const listNotices = (object: KnownObject, { notices }: Analysis): readonly string[] => [
  ...new Set([...noteSharing(object), ...noteAllowances(object), ...(notices.get(object.id) ?? [])]),
];

function noteSharing({ parsed }: KnownObject): readonly string[] {
  if (parsed?.kind !== 'ClusterAuthPolicy' || !parsed.spec.shareSecrets) return [];
  return ['shares its Secrets with the sidecars that it selects'];
}

/** S9: every allowance shows, in force or not. */
function noteAllowances({ parsed }: KnownObject): readonly string[] {
  if (parsed?.kind !== 'ClusterAuthPolicy') return [];
  const { allowances = [] } = parsed.spec;
  const anywhere = allowances.map(allowance => ({ ...allowance, namespaceSelector: { matchLabels: {} } }));
  const plans = listAllowances(parsed.meta.name, { allowances: anywhere }, {});
  return plans.map(plan => describeAllowance(plan).replace(/^ClusterAuthPolicy \S+ /, ''));
}

/** What is wrong in some namespaces only names the first of them. */
function mergeProblems(own: readonly Violation[], shares: readonly Own[]): readonly Violation[] {
  const known = new Set(own.map(describe));
  const more = new Map<string, Violation>();
  for (const { namespace, share } of shares) {
    for (const violation of share.problems) {
      const text = describe(violation);
      if (known.has(text) || more.has(text)) continue;
      more.set(text, { ...violation, problem: `${violation.problem} (in namespace ${namespace})` });
    }
  }
  return [...own, ...more.values()];
}

const describe = ({ severity, field, problem }: Violation): string => JSON.stringify([severity, field, problem]);
