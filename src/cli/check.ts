/** `sallyport check FILE…`: every problem of manifests, before they are applied. */
import { readManifests } from '../sources/read-manifests.ts';
import type { Resources } from '../sources/source.ts';
import { collectProblems, type CheckOptions } from './check-problems.ts';
import { hasFailed, renderProblems } from './check-report.ts';
import { listFailures, runPolicyTests } from './check-tests.ts';
import { EXIT, type Io } from './io.ts';
import { contextOption, kubeconfigOption, withCluster } from './cluster-connection.ts';
import {
  choiceOption,
  parsedOption,
  reportUsage,
  runCommandLine,
  switchOption,
  textOption,
  UsageProblem,
  type Command,
  type Values,
} from './options.ts';

const OPTIONS = {
  cluster: switchOption({
    description: 'Looks at a live cluster instead of files',
    variable: 'SALLYPORT_CHECK_CLUSTER',
  }),
  context: contextOption,
  kubeconfig: kubeconfigOption,
  namespace: textOption({
    placeholder: 'NAME',
    short: 'n',
    description:
      'Checks the workloads of this namespace only; objects that name no namespace belong to it. Default: every namespace, and "default" for those',
  }),
  'workload-labels': parsedOption(readLabels, {
    placeholder: 'KEY=VALUE,…',
    description: 'Checks one workload with these labels. Default: every podSelector of an Api is one',
  }),
  strict: switchOption({
    description: 'Fails on warnings too: the exit code is then 1',
    variable: 'SALLYPORT_CHECK_STRICT',
  }),
  output: choiceOption(['text', 'json', 'junit'], 'text', {
    short: 'o',
    description: 'How problems and the cases of policy tests are printed',
  }),
};

const COMMAND: Command<typeof OPTIONS> = {
  name: 'check',
  description: [
    'Finds every problem of manifests at once: fields, references, expressions, certificates and keys. Manifests are those that kubectl takes, Secrets and ConfigMaps included; other objects are ignored. Of a folder its files .yaml, .yml and .json are read; sub-folders are not.',
    'Cases of PolicyTest objects are run, without a network; one that fails is an error, printed with what was expected and the steps that led to the answer.',
    'With --cluster the objects, pods, Services, Secrets and admission of a live cluster are looked at with your own rights: pods without a sidecar, ports that lead nowhere, what ends soon, what weakens, what the controller says. Secrets are read by their names only, and what you may not read is said and passed over.',
    'Each problem is one line, FILE:LINE:FIELD: PROBLEM, FIX, or KIND NAMESPACE/NAME: FIELD: PROBLEM, FIX. The exit code is 1 when there is an error. Warnings alone do not count unless --strict is given: a reference to a Secret or ConfigMap, or to a key of one, that is not among the manifests is only a warning, since others may make it.',
  ],
  positionals: { name: 'FILE…', min: 1, max: Infinity, unless: ['cluster'] },
  options: OPTIONS,
  examples: [
    { comment: 'A folder', line: 'sallyport check manifests/' },
    { comment: 'In a pipeline whose manifests are whole', line: 'sallyport check --strict manifests/' },
    { comment: 'A live cluster', line: 'sallyport check --cluster' },
    { comment: 'One namespace of it', line: 'sallyport check --cluster --context staging --namespace shop' },
    { comment: 'Objects of a cluster alone', line: 'kubectl get sallyport -A -o yaml | sallyport check -' },
    { comment: 'For a pipeline that reads JUnit', line: 'sallyport check -o junit manifests/ > report.xml' },
    { comment: 'Only what is wrong, for a machine', line: 'sallyport check -o json manifests/*.yaml' },
  ],
};

export function runCheck(args: readonly string[], io: Io): Promise<number> {
  return runCommandLine(COMMAND, args, io, async (values, paths) => {
    const { namespace, output, strict, 'workload-labels': labels } = values;
    if (values.cluster && labels !== undefined) {
      reportUsage('check', ['--workload-labels is for files: a cluster has pods'], io);
      return EXIT.usage;
    }
    if (values.cluster) return checkCluster(values, io);
    const resources = await readManifests(paths, {
      cwd: io.cwd,
      ...(io.stdin === undefined ? {} : { stdin: io.stdin }),
      ...(namespace === undefined ? {} : { defaultNamespace: namespace }),
    });
    const options: CheckOptions = {
      now: Date.now(),
      ...(namespace === undefined ? {} : { namespace }),
      ...(labels === undefined ? {} : { labels }),
    };
    const tests = await runPolicyTests(resources, options);
    const found = [...collectProblems(resources, options), ...listFailures(tests)];
    const objects = resources.objects.length + resources.invalid.length;
    renderProblems(found, { objects, read: countOthers(resources), tests, strict }, output, io);
    return hasFailed(found, strict) ? EXIT.negative : EXIT.ok;
  });
}

function checkCluster(values: Values<typeof OPTIONS>, io: Io): Promise<number> {
  const { namespace, output, strict } = values;
  return withCluster('check', values, io, async client => {
    const [{ readCluster }, { analyzeCluster }] = await Promise.all([
      import('./cluster-read.ts'),
      import('./cluster-analysis.ts'),
    ]);
    const { signal } = new AbortController();
    const view = await readCluster({ client, namespace, signal, everything: true });
    const { problems, ...report } = await analyzeCluster(view, {
      now: Date.now(),
      ...(namespace === undefined ? {} : { namespace }),
    });
    renderProblems(problems, { ...report, strict }, output, io);
    return hasFailed(problems, strict) ? EXIT.negative : EXIT.ok;
  });
}

/** Secrets, ConfigMaps and Namespaces: no objects of ours, but what ours are checked with. */
const countOthers = ({ material, namespaces }: Resources): number =>
  [...(material.list?.('Secret') ?? []), ...(material.list?.('ConfigMap') ?? []), ...namespaces].length;

function readLabels(text: string): Readonly<Record<string, string>> {
  const labels = Object.create(null) as Record<string, string>;
  for (const part of text.split(',')) {
    const [, key, value] = /^([^=]+)=([^=]*)$/.exec(part.trim()) ?? [];
    if (key === undefined || value === undefined) throw new UsageProblem('must be KEY=VALUE,…');
    labels[key] = value;
  }
  return labels;
}
