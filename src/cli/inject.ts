/** `sallyport inject -f FILE`: manifests as the webhook would change them. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { stringify } from 'yaml';
import { INJECT_LABEL } from '../api/names.ts';
import type { Violation } from '../api/violation.ts';
import { DEFAULT_CONFIGURATION, type InjectorConfiguration, type NamespaceFacts } from '../injector/configuration.ts';
import { patch } from '../injector/patch.ts';
import { findMisfit, isPod } from '../injector/pod-shape.ts';
import { findTemplates, removeNulls, replacePods, type Template } from '../injector/workloads.ts';
import { isInForce, listAllowances } from '../policy/allowances.ts';
import { errorCode } from '../sources/error-code.ts';
import { collectManifests, readTexts } from '../sources/read-manifests.ts';
import type { Resources } from '../sources/source.ts';
import { readYaml, type ReadDocument } from '../sources/yaml-documents.ts';
import { formatProblem } from './check-report.ts';
import { withCluster } from './cluster-connection.ts';
import { findProblems, INJECT, type InjectValues } from './inject-options.ts';
import { readParameters, type InjectedWith } from './inject-parameters.ts';
import { EXIT, type Io } from './io.ts';
import { reportUsage, runCommandLine } from './options.ts';

const CONTROLLER_NAMESPACE = 'sallyport-system';
const ENABLED: NamespaceFacts['labels'] = { [INJECT_LABEL]: 'enabled' };

export function runInject(args: readonly string[], io: Io): Promise<number> {
  return runCommandLine(INJECT, args, io, async values => {
    const problems = findProblems(values);
    if (problems.length > 0) {
      reportUsage('inject', problems, io);
      return EXIT.usage;
    }
    if (!values.cluster) {
      const given = await readGiven(values, io);
      return given === undefined ? EXIT.unavailable : inject(values, given, io);
    }
    return withCluster('inject', values, io, async client => {
      const found = await readParameters(client, values['controller-namespace'] ?? CONTROLLER_NAMESPACE);
      if ('problem' in found) {
        io.stderr.write(`sallyport inject: ${found.problem}\n`);
        return EXIT.unavailable;
      }
      return inject(values, found, io);
    });
  });
}

/** Undefined: a file could not be read, and that was said. */
async function readGiven(values: InjectValues, { cwd, stderr }: Io): Promise<InjectedWith | undefined> {
  const read = async (flag: 'controller-ca' | 'kubernetes-ca'): Promise<string | undefined> => {
    const file = values[flag] ?? '';
    try {
      return await readFile(resolve(cwd, file), 'utf8');
    } catch (error) {
      stderr.write(`sallyport inject: --${flag} ${file} cannot be read (${errorCode(error)})\n`);
      return undefined;
    }
  };
  const [controllerCa, kubernetesCa] = [await read('controller-ca'), await read('kubernetes-ca')];
  if (controllerCa === undefined || kubernetesCa === undefined) return undefined;
  return { image: values.image ?? '', controllerCa, kubernetesCa };
}

async function inject(values: InjectValues, found: InjectedWith, io: Io): Promise<number> {
  const { namespace: defaultNamespace = 'default' } = values;
  const texts = await readTexts(values.file, { cwd: io.cwd, ...(io.stdin === undefined ? {} : { stdin: io.stdin }) });
  const { documents, unreadable } = readDocuments(texts);
  const resources = collectManifests(texts, { defaultNamespace });
  const configuration: InjectorConfiguration = {
    ...DEFAULT_CONFIGURATION,
    ...found,
    imagePullPolicy: values['image-pull-policy'],
    controllerNamespace: values['controller-namespace'] ?? CONTROLLER_NAMESPACE,
    preStopSleepSeconds: values['pre-stop-seconds'],
  };
  const labels = values['namespace-labels'] ?? ENABLED;
  const results = documents.map(document =>
    injectDocument(document, template => {
      const namespace = template.namespace ?? defaultNamespace;
      return injectPod(template, describeNamespace(namespace, resources, labels), configuration);
    }),
  );
  const refused = [...unreadable, ...results.flatMap(({ violations }) => violations)];
  for (const violation of refused) io.stderr.write(`${formatProblem(violation)}\n`);
  for (const note of results.flatMap(({ notes }) => notes)) io.stderr.write(`sallyport inject: ${note}\n`);
  if (refused.length > 0) return EXIT.negative;
  io.stdout.write(results.map(({ value }) => write(value)).join('---\n'));
  return EXIT.ok;
}

function readDocuments(texts: Awaited<ReturnType<typeof readTexts>>) {
  const documents: ReadDocument[] = [];
  const unreadable: Violation[] = [];
  for (const item of texts) {
    if (!('text' in item)) {
      unreadable.push(...item.violations);
      continue;
    }
    const read = readYaml(item.name, item.text);
    if (read.documents === undefined) unreadable.push(read.violation);
    else documents.push(...read.documents);
  }
  return { documents, unreadable };
}

/** As YAML 1.1 reads it too, which is what kubectl does: yes, on and 1e3 are written in quotes where they are text. */
const write = (value: unknown): string =>
  stringify(value, { lineWidth: 0, version: '1.1', aliasDuplicateObjects: false });

function describeNamespace(
  name: string,
  { namespaces, objects }: Resources,
  assumed: NamespaceFacts['labels'],
): NamespaceFacts {
  const labels = namespaces.get(name) ?? assumed;
  const allowances = objects.flatMap(({ kind, meta, spec }) =>
    kind === 'ClusterAuthPolicy' ? listAllowances(meta.name, spec, labels) : [],
  );
  return { name, labels, allowances: allowances.filter(allowance => isInForce(allowance, Date.now())) };
}

type Outcome =
  | { readonly pod: unknown; readonly notes: readonly string[] }
  | { readonly problems: readonly { readonly field: string; readonly problem: string; readonly fix: string }[] };

function injectPod({ pod, owner }: Template, namespace: NamespaceFacts, configuration: InjectorConfiguration): Outcome {
  const value = removeNulls(pod);
  if (!isPod(value)) {
    const { field, problem } = findMisfit(value) ?? { field: '', problem: 'is missing' };
    return { problems: [{ field, problem, fix: 'look at kubectl explain pod' }] };
  }
  const result = patch(value, namespace, configuration, randomBytes);
  switch (result.kind) {
    case 'skipped':
      return { pod, notes: [`${owner} is left alone: ${result.why}`] };
    case 'refused':
      return { problems: result.refusals };
    case 'patched':
      return { pod: result.pod, notes: result.warnings.map(warning => `${owner}: ${warning}`) };
  }
}

interface Injected {
  readonly value: unknown;
  readonly violations: readonly Violation[];
  readonly notes: readonly string[];
}

function injectDocument({ value, locate }: ReadDocument, change: (template: Template) => Outcome): Injected {
  const pods = new Map<string, unknown>();
  const violations: Violation[] = [];
  const notes: string[] = [];
  for (const template of findTemplates(value)) {
    const outcome = change(template);
    if ('pod' in outcome) {
      pods.set(template.field, outcome.pod);
      notes.push(...outcome.notes);
      continue;
    }
    for (const { field, problem, fix } of outcome.problems) {
      const at = [template.field, field].filter(part => part !== '').join('.');
      const position = locate(at);
      const violation = { severity: 'error', object: template.owner, field: at, problem, fix } as const;
      violations.push({ ...violation, ...(position === undefined ? {} : { position }) });
    }
  }
  return { value: replacePods(value, pods), violations, notes };
}
