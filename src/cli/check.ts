/** `sallyport check FILE…`: every problem of manifests, before they are applied. */
import type { Violation } from '../api/violation.ts';
import { readManifests } from '../sources/read-manifests.ts';
import { collectProblems, type CheckOptions } from './check-problems.ts';
import { renderProblems } from './check-report.ts';
import { listFailures, runPolicyTests } from './check-tests.ts';
import { EXIT, type Io } from './io.ts';
import { choiceOption, parsedOption, runCommandLine, textOption, UsageProblem, type Command } from './options.ts';

const OPTIONS = {
  namespace: textOption({
    placeholder: 'NAME',
    description:
      'Checks the workloads of this namespace only; objects that name no namespace belong to it. Default: every namespace, and "default" for those',
  }),
  'workload-labels': parsedOption(readLabels, {
    placeholder: 'KEY=VALUE,…',
    description: 'Checks one workload with these labels. Default: every podSelector of an Api is one',
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
    'Each problem is one line, FILE:LINE:FIELD: PROBLEM, FIX. The exit code is 1 when there is an error; warnings alone do not count.',
  ],
  positionals: { name: 'FILE…', min: 1, max: Infinity },
  options: OPTIONS,
  examples: [
    { comment: 'A folder', line: 'sallyport check manifests/' },
    { comment: 'What a cluster holds', line: 'kubectl get sallyport -A -o yaml | sallyport check -' },
    { comment: 'For a pipeline that reads JUnit', line: 'sallyport check -o junit manifests/ > report.xml' },
    { comment: 'Only what is wrong, for a machine', line: 'sallyport check -o json manifests/*.yaml' },
  ],
};

export function runCheck(args: readonly string[], io: Io): Promise<number> {
  return runCommandLine(COMMAND, args, io, async (values, paths) => {
    const { namespace, output, 'workload-labels': labels } = values;
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
    const problems = [...collectProblems(resources, options), ...listFailures(tests)];
    renderProblems(problems, { objects: resources.objects.length + resources.invalid.length, tests }, output, io);
    return problems.some(isError) ? EXIT.negative : EXIT.ok;
  });
}

const isError = ({ severity }: Violation): boolean => severity === 'error';

function readLabels(text: string): Readonly<Record<string, string>> {
  const labels = Object.create(null) as Record<string, string>;
  for (const part of text.split(',')) {
    const [, key, value] = /^([^=]+)=([^=]*)$/.exec(part.trim()) ?? [];
    if (key === undefined || value === undefined) throw new UsageProblem('must be KEY=VALUE,…');
    labels[key] = value;
  }
  return labels;
}
