/**
 * What the compiler of the sidecars says of a namespace's objects: the same compiler, so that status tells what pods do.
 * Compiled once for the namespace, which judges every object by itself, and once for each class of pods with what applies
 * to it, which finds what only shows where Apis share a port: conflicts.
 */
import type { SallyportObject } from '../api/kinds/index.ts';
import type { InvalidObject } from '../api/object.ts';
import type { Violation } from '../api/violation.ts';
import { compileSnapshot, type CompileOutput } from '../policy/compile.ts';
import { summarizeEffective } from '../policy/effective.ts';
import { identify, matchLabels, type Labels } from '../policy/inventory.ts';
import type { Lookup } from '../policy/references.ts';
import type { KnownObject } from './objects.ts';
import { attachPolicies, isPolicy, type Api, type Attachment, type PodClass, type Policy } from './selection.ts';

export interface AnalysisInput {
  readonly namespace: string;
  readonly namespaceLabels: Labels;
  /** Of the namespace, cluster policies, and the objects of other namespaces that those name. */
  readonly objects: readonly KnownObject[];
  /** Their pods do not count here. */
  readonly classes: readonly PodClass[];
  /** Whether a key of a Secret or ConfigMap exists: any text, or undefined. */
  readonly lookup: Lookup;
}

export interface Analysis {
  /** By identity (`AuthPolicy shop/fleet`), of everything that was given; problems of other namespaces’ objects included. */
  readonly problems: ReadonlyMap<string, readonly Violation[]>;
  /** What is allowed and yet should be seen, by identity, without its name in front. */
  readonly notices: ReadonlyMap<string, readonly string[]>;
  readonly attachment: Attachment;
  /** Of Apis and policies, by identity: which steps run in which order, in one line. */
  readonly effective: ReadonlyMap<string, string>;
}

export function analyzeNamespace(input: AnalysisInput): Analysis {
  const parsed = input.objects.flatMap(({ parsed: object }) => (object === undefined ? [] : [object]));
  const invalid = input.objects.flatMap(({ invalid: object }) => (object === undefined ? [] : [object]));
  const apis = listApis(input);
  const policies = input.objects.flatMap(({ parsed: now, lastGood }) => {
    const object = now ?? lastGood;
    return object !== undefined && isPolicy(object) ? [object] : [];
  });
  const attachment = attachPolicies({ ...input, apis, policies });
  const whole = compile(input, parsed, invalid, { labels: {}, ports: {} });
  const outputs = listWorkloads(input.classes, apis).map(workload => {
    const concerned = new Set(apis.filter(api => selects(api, workload.labels)));
    const applying = new Set(policies.filter(policy => appliesToAny(policy, concerned, attachment)));
    // Every Api stays: what surrounds a policy at its other targets decides whether it is valid.
    const objects = parsed.filter(object => !isPolicy(object) || applying.has(object));
    return { compiled: compile(input, objects, invalid, workload), concerned };
  });
  return {
    problems: collectProblems(whole, outputs, input.objects),
    notices: collectNotices(outputs.map(({ compiled }) => compiled)),
    attachment,
    effective: summarizeEffective(
      outputs.flatMap(({ compiled }) => [...compiled.snapshot.listeners.values()].flatMap(({ routes }) => routes)),
    ),
  };
}

const listApis = ({ objects, namespace }: AnalysisInput): readonly Api[] =>
  objects.flatMap(({ parsed, lastGood }) => {
    const object = parsed ?? lastGood;
    return object?.kind === 'Api' && object.meta.namespace === namespace ? [object] : [];
  });

const selects = ({ spec }: Api, labels: Labels): boolean => matchLabels(spec.podSelector.matchLabels, labels);

const appliesToAny = (policy: Policy, apis: ReadonlySet<Api>, { apisOf }: Attachment): boolean =>
  (apisOf.get(identify(policy)) ?? []).some(api => apis.has(api));

interface Workload {
  readonly labels: Labels;
  readonly ports: Readonly<Record<string, number>>;
}

/** Classes with an Api; and for an Api without pods, pods as it wants them, so that it is judged before they come. */
function listWorkloads(classes: readonly PodClass[], apis: readonly Api[]): readonly Workload[] {
  const real = classes.filter(({ labels }) => apis.some(api => selects(api, labels)));
  const imagined = apis
    .filter(api => !real.some(({ labels }) => selects(api, labels)))
    .map(({ spec }): Workload => {
      const ports = typeof spec.port === 'string' ? { [spec.port]: IMAGINED_PORT } : {};
      return { labels: spec.podSelector.matchLabels, ports };
    });
  return [...real, ...imagined];
}

/** Stands for a named port of pods that do not exist yet. */
const IMAGINED_PORT = 1;

function compile(
  { namespace, namespaceLabels, lookup }: AnalysisInput,
  objects: readonly SallyportObject[],
  invalid: readonly InvalidObject[],
  { labels, ports }: Workload,
): CompileOutput {
  const workload = { namespace, namespaceLabels, labels, ports };
  return compileSnapshot({ objects, invalid, lookup, workload, generation: 0, hash: '', source: 'kubernetes' });
}

interface ClassOutput {
  readonly compiled: CompileOutput;
  readonly concerned: ReadonlySet<Api>;
}

/**
 * Of the whole compilation everything but conflicts counts; of a class’s the conflicts, overrides, and what is wrong with
 * the Apis that select it (a named port that these pods lack).
 */
function collectProblems(
  whole: CompileOutput,
  outputs: readonly ClassOutput[],
  objects: readonly KnownObject[],
): ReadonlyMap<string, readonly Violation[]> {
  const collected = new Map<string, Map<string, Violation>>();
  const add = (violation: Violation): void => {
    const known = collected.get(violation.object) ?? new Map<string, Violation>();
    known.set(JSON.stringify([violation.severity, violation.field, violation.problem]), violation);
    collected.set(violation.object, known);
  };
  for (const { violations } of objects) violations.forEach(add);
  for (const violation of whole.snapshot.violations) {
    if (!isOfPods(violation)) add(violation);
  }
  for (const { compiled, concerned } of outputs) {
    const ids = new Set([...concerned].map(identify));
    for (const violation of compiled.snapshot.violations) {
      if (isOfPods(violation) || ids.has(violation.object)) add(violation);
    }
  }
  return new Map([...collected].map(([id, violations]) => [id, [...violations.values()]]));
}

const isOfPods = ({ concern }: Violation): boolean => concern === 'Conflict' || concern === 'Override';

/** Notices begin with the object’s name: `ClientTrust shop/devices: revocation is not checked`. */
const NOTICE = /^([A-Z][A-Za-z]+ \S+?)(?:, step ([^\s:]+))?:? (.*)$/s;

function collectNotices(outputs: readonly CompileOutput[]): ReadonlyMap<string, readonly string[]> {
  const notices = new Map<string, Set<string>>();
  for (const notice of outputs.flatMap(({ snapshot }) => snapshot.notices)) {
    const [, id, step, text = ''] = NOTICE.exec(notice) ?? [];
    if (id === undefined) continue;
    const known = notices.get(id) ?? new Set<string>();
    known.add(step === undefined ? text : `step ${step}: ${text}`);
    notices.set(id, known);
  }
  return new Map([...notices].map(([id, texts]) => [id, [...texts].sort()]));
}
