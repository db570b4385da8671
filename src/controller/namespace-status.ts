/** Status of every object of one namespace, and what the namespace has to say of cluster policies. Pure. */
import type { SallyportObject } from '../api/kinds/index.ts';
import type { Violation } from '../api/violation.ts';
import { listNamed, type NamedMaterial } from '../material/named.ts';
import { identify, type Labels } from '../policy/inventory.ts';
import { analyzeNamespace, type Analysis } from './analysis.ts';
import type { Finding } from './conditions.ts';
import { countEnforcement, describeEnforcement, type Enforcement } from './enforcement.ts';
import { judgeObject } from './judgement.ts';
import { createExistenceLookup, type NamedData } from './named-data.ts';
import type { KnownObject } from './objects.ts';
import { listForbidden, type PermissionContext } from './permissions.ts';
import type { PodStates } from './pod-states.ts';
import type { PodFacts } from './pods.ts';
import { groupPods, selectPods, type PodClass, type Selection } from './selection.ts';
import { describeTest, describeTested, findProblems, type NamespaceTests } from './test-judgement.ts';
import { describeCredential, judgeIssuer, type MeshFacts } from './supporting-status.ts';
import { countWouldDeny, describeAudit, warnOfExposure } from './warnings.ts';

/** What status should hold: conditions, and the fields of its kind. */
export interface WantedStatus {
  readonly findings: readonly Finding[];
  readonly fields: Readonly<Record<string, unknown>>;
  /** Pods that it is about have not said anything yet: what was counted before may still be so. */
  readonly unsettled: boolean;
}

export interface NamespaceInput {
  readonly namespace: string;
  readonly namespaceLabels: Labels;
  /** Of the namespace, cluster policies, and the objects of other namespaces that those name. */
  readonly objects: readonly KnownObject[];
  /** Live pods of the namespace. */
  readonly pods: readonly PodFacts[];
  readonly data: NamedData;
  readonly requireLabel: boolean;
  /** Problems of what Secrets and ConfigMaps hold: certificates, keys, lists. */
  readonly checkData: (objects: readonly KnownObject[]) => readonly Violation[];
}

/** Which pods are alike, and what each class of them is handed. Cheap beside a compilation: material waits for no more. */
export interface NamespaceClasses {
  readonly classes: readonly PodClass[];
  /** By key of the class. */
  readonly named: ReadonlyMap<string, NamedMaterial>;
}

export interface ClassesInput extends Pick<NamespaceInput, 'namespace' | 'namespaceLabels' | 'objects' | 'pods'> {
  /** AuthPolicies that a gate keeps in force in the place of those that exist. */
  readonly passed?: readonly SallyportObject[];
}

/** `before`: of the same objects, whose classes need not be looked at again. */
export function classifyNamespace(input: ClassesInput, before?: NamespaceClasses): NamespaceClasses {
  const { namespace, namespaceLabels, objects, pods, passed = [] } = input;
  const usable = objects.flatMap(({ parsed, lastGood }) => [parsed, parsed === lastGood ? undefined : lastGood]);
  const known = [...usable.filter(object => object !== undefined), ...passed];
  const apis = known.flatMap(object => (object.kind === 'Api' && object.meta.namespace === namespace ? [object] : []));
  const classes = groupPods(pods, apis);
  const named = new Map(
    classes.map(({ key, labels }) => [
      key,
      before?.named.get(key) ?? listNamed(known, { namespace, namespaceLabels, labels }),
    ]),
  );
  return { classes, named };
}

/** What does not change with what pods say. */
export interface NamespaceFacts extends Analysis, NamespaceClasses {
  readonly input: NamespaceInput;
  readonly selection: Selection;
  readonly dataProblems: ReadonlyMap<string, readonly Violation[]>;
}

export function examineNamespace(input: NamespaceInput, classified = classifyNamespace(input)): NamespaceFacts {
  const { namespace, objects } = input;
  const { classes, named } = classified;
  const analysis = analyzeNamespace({ ...input, classes, lookup: createExistenceLookup(input.data) });
  const own = objects.filter(object => object.namespace === namespace);
  const selection = selectPods(analysis.attachment, classes);
  return { ...analysis, input, classes, named, selection, dataProblems: groupByObject(input.checkData(own)) };
}

/** The same with the pods of now; their classes are those that were examined. */
export const withClasses = (facts: NamespaceFacts, { classes, named }: NamespaceClasses): NamespaceFacts => ({
  ...facts,
  classes,
  named,
  selection: selectPods(facts.attachment, classes),
});

export function groupByObject(violations: readonly Violation[]): ReadonlyMap<string, readonly Violation[]> {
  return Map.groupBy(violations, ({ object }) => object);
}

export interface StatusContext {
  readonly states: PodStates;
  readonly mesh: MeshFacts;
  /** By identity of the object: the PolicyTest that holds it back. */
  readonly heldBy: ReadonlyMap<string, string>;
  /** What the policy tests of the namespace came to; undefined: they did not run here yet. */
  readonly tests: NamespaceTests | undefined;
  /** What the gate of a PolicyTest does, where it is one. */
  readonly describeGate: (test: KnownObject) => string | undefined;
}

/** By identity, for the objects of the namespace itself. */
export function describeNamespace(facts: NamespaceFacts, context: StatusContext): ReadonlyMap<string, WantedStatus> {
  const own = facts.input.objects.filter(({ namespace }) => namespace === facts.input.namespace);
  const users = indexUsers(facts);
  const permissions: PermissionContext = {
    find: indexParsed(facts.input.objects),
    data: facts.input.data,
    requireLabel: facts.input.requireLabel,
  };
  return new Map(own.map(object => [object.id, describeObject(object, { facts, context, users, permissions })]));
}

export function indexParsed(objects: readonly KnownObject[]): PermissionContext['find'] {
  const index = new Map(objects.map(object => [object.id, object.parsed]));
  return id => index.get(id);
}

/** Pods by what they use. */
function indexUsers({ classes, named }: NamespaceFacts): ReadonlyMap<string, readonly PodFacts[]> {
  const users = new Map<string, PodFacts[]>();
  for (const { key, pods } of classes) {
    for (const id of named.get(key)?.concerning ?? []) {
      const known = users.get(id);
      if (known === undefined) users.set(id, [...pods]);
      else known.push(...pods);
    }
  }
  return users;
}

interface Scene {
  readonly facts: NamespaceFacts;
  readonly context: StatusContext;
  readonly users: ReadonlyMap<string, readonly PodFacts[]>;
  readonly permissions: PermissionContext;
}

function describeObject(object: KnownObject, scene: Scene): WantedStatus {
  const { facts, context, permissions } = scene;
  const { id, parsed } = object;
  const heldBy = context.heldBy.get(id);
  const place = placeOf(object, facts);
  const findings = judgeObject({
    object,
    problems: [
      ...(facts.problems.get(id) ?? []),
      ...asReferences(facts.dataProblems.get(id)),
      ...listTestProblems(object, facts),
    ],
    notices: facts.notices.get(id) ?? [],
    forbidden: parsed === undefined ? [] : listForbidden(parsed, permissions),
    ...(place === undefined ? {} : { place }),
    ...(heldBy === undefined ? {} : { heldBy }),
  });
  const more = describeByKind(object, scene);
  const concerned = listConcerned(object, scene);
  const unsettled = concerned.some(pod => pod.sidecar.state === 'Protected' && !context.states.has(pod.uid));
  return { findings: [...findings, ...more.findings], fields: more.fields, unsettled };
}

/** Of a PolicyTest the names that lead nowhere. */
const listTestProblems = ({ parsed }: KnownObject, { input }: NamespaceFacts): readonly Violation[] =>
  parsed?.kind === 'PolicyTest' ? findProblems(parsed, input.objects) : [];

function listConcerned({ id, kind }: KnownObject, { facts, users }: Scene): readonly PodFacts[] {
  if (kind === 'Api') return facts.selection.ofApi.get(id) ?? [];
  return (kind === 'AuthPolicy' ? facts.selection.ofPolicy : users).get(id) ?? [];
}

/** What a Secret holds and cannot be used is as good as missing; what merely ends soon is a note. */
const asReferences = (violations: readonly Violation[] = []): readonly Violation[] =>
  violations.map(violation => (violation.severity === 'error' ? { ...violation, concern: 'Reference' } : violation));

function describeByKind(object: KnownObject, { facts, context, users }: Scene): Omit<WantedStatus, 'unsettled'> {
  const { id, kind, key, parsed } = object;
  const { states, mesh } = context;
  switch (kind) {
    case 'AuthPolicy': {
      const pods = facts.selection.ofPolicy.get(id) ?? [];
      const counts = countEnforcement(object, pods, states);
      const audit = describeAudit(object, countWouldDeny(object, pods, states));
      const tested = describeTested(object, [context.tests]);
      const enforced = describeEnforcement(counts, object.generation);
      return { findings: [enforced, ...tested, ...audit], fields: pipelineOf(id, facts) };
    }
    case 'Api': {
      const pods = facts.selection.ofApi.get(id) ?? [];
      const { matched, enforcing } = countEnforcement(object, pods, states);
      const fields = { pods: { matched, enforcing }, ...pipelineOf(id, facts) };
      return { findings: warnOfExposure(object, pods, states), fields };
    }
    case 'TokenIssuer':
      return judgeIssuer(key, users.get(id) ?? [], states);
    case 'BackendCredential':
      if (parsed?.kind !== 'BackendCredential') return { findings: [], fields: {} };
      return {
        findings: [],
        fields: describeCredential(parsed, users.get(id) ?? [], { data: facts.input.data, mesh, states }),
      };
    case 'ClientTrust':
    case 'DeviceAuthService':
    case 'Subscription':
    case 'ClusterAuthPolicy':
      return { findings: [], fields: {} };
    case 'PolicyTest':
      return describeTest(object, context.tests, context.describeGate(object));
  }
}

function pipelineOf(id: string, { effective }: NamespaceFacts): Readonly<Record<string, unknown>> {
  const pipeline = effective.get(id);
  return pipeline === undefined ? {} : { pipeline };
}

const MOST_NAMED = 10;

export function listNames(names: readonly string[]): string {
  const shown = names.slice(0, MOST_NAMED).join(', ');
  return names.length <= MOST_NAMED ? shown : `${shown} and ${names.length - MOST_NAMED} more`;
}

/** Of a policy the Apis that it applies to, of an Api the policies of all its operations in the order of S2. */
function placeOf({ id, kind }: KnownObject, { attachment }: NamespaceFacts): string | undefined {
  if (kind === 'Api') {
    const order = attachment.orderOf.get(id) ?? [];
    return order.length === 0 ? 'no policy applies to the whole of it' : `policies in order: ${listNames(order)}`;
  }
  const apis = attachment.apisOf.get(id);
  return apis === undefined ? undefined : `applies to ${listNames(apis.map(identify))}`;
}

/** What the namespace adds to the status of a cluster policy. */
export interface ClusterShare {
  readonly enforcement: Enforcement;
  readonly wouldDeny: number;
  readonly problems: readonly Violation[];
  readonly unsettled: boolean;
  readonly tests: NamespaceTests | undefined;
}

/** By identity; cluster policies that apply to no Api here are absent. */
export function shareOfClusterPolicies(
  facts: NamespaceFacts,
  { states, tests }: Pick<StatusContext, 'states' | 'tests'>,
): ReadonlyMap<string, ClusterShare> {
  const shares = new Map<string, ClusterShare>();
  for (const object of facts.input.objects) {
    if (object.kind !== 'ClusterAuthPolicy' || !facts.attachment.apisOf.has(object.id)) continue;
    const pods = facts.selection.ofPolicy.get(object.id) ?? [];
    shares.set(object.id, {
      enforcement: countEnforcement(object, pods, states),
      wouldDeny: countWouldDeny(object, pods, states),
      problems: facts.problems.get(object.id) ?? [],
      unsettled: pods.some(pod => pod.sidecar.state === 'Protected' && !states.has(pod.uid)),
      tests,
    });
  }
  return shares;
}
