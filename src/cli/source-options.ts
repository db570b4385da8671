/** Options of `sallyport sidecar` that say where policies come from. */
import { POD_FOLDER, TOKENS_FOLDER } from '../api/names.ts';
import type { Io } from './io.ts';
import { parsedOption, quote, textOption, UsageProblem, type Values } from './options.ts';

export const SOURCE_OPTIONS = {
  source: parsedOption(readSource, {
    placeholder: 'kubernetes|files',
    description: 'Where policies come from; default: kubernetes in a pod, files with --config.',
  }),
  config: textOption({
    placeholder: 'DIR',
    description:
      'Folder of manifests, watched: a change takes effect on the next request, a bad file keeps the last good one. Sub-folders are not read.',
  }),
  namespace: textOption({ placeholder: 'NAME', description: 'Namespace of the workload; default: default.' }),
  'workload-labels': parsedOption(readLabels, {
    placeholder: 'KEY=VALUE,…',
    description:
      'Labels of the workload: the Apis whose podSelector matches them are served. Absent with --source kubernetes: those of the pod.',
  }),
  controller: parsedOption(readController, {
    placeholder: 'URL',
    description: 'Controller that gives what policies refer to: https://sallyport-controller.NAMESPACE.svc:15194.',
  }),
  'controller-ca': parsedOption(readBundle, {
    placeholder: 'BASE64',
    description: 'Certificates (PEM, in Base64) that alone vouch for the controller.',
  }),
  'kubernetes-ca': parsedOption(readBundle, {
    placeholder: 'BASE64',
    description: 'The same for the API server; default: the service account’s ca.crt.',
  }),
  tokens: textOption({
    placeholder: 'DIR',
    description: `Folder of api-token and controller-token; default: ${TOKENS_FOLDER}.`,
  }),
  'pod-info': textOption({
    placeholder: 'DIR',
    description: `Folder in which the downward API writes the pod’s labels; default: ${POD_FOLDER}.`,
  }),
  state: textOption({
    placeholder: 'DIR',
    description:
      'Folder in memory for what a restart of the container needs while others are away: keys of issuers, and in a pod what is in force; absent: nothing is kept.',
  }),
} as const;

type SourceValues = Values<typeof SOURCE_OPTIONS>;

/** `env` tells whether this is a pod. */
export function findSource({ source, config }: SourceValues, env: Io['env']): 'files' | 'kubernetes' {
  if (source !== undefined) return source;
  return config === undefined && (env['KUBERNETES_SERVICE_HOST'] ?? '') !== '' ? 'kubernetes' : 'files';
}

/** Problems that only several options together have; empty: they fit. */
export function findSourceProblems(values: SourceValues, env: Io['env']): string[] {
  if (findSource(values, env) === 'kubernetes') return findClusterProblems(values, env);
  return values.config === undefined ? ['--config is missing: name the folder of manifests'] : [];
}

function findClusterProblems(values: SourceValues, env: Io['env']): string[] {
  const problems: string[] = [];
  if (values.config !== undefined) problems.push('--config belongs to --source files');
  if ((env['KUBERNETES_SERVICE_HOST'] ?? '') === '') {
    problems.push('--source kubernetes needs a pod: KUBERNETES_SERVICE_HOST is not set');
  }
  if (values.namespace === undefined) problems.push('--namespace is missing: name the namespace of the pod');
  if ((values.controller === undefined) !== (values['controller-ca'] === undefined)) {
    problems.push('--controller and --controller-ca belong together');
  }
  return problems;
}

function readSource(text: string): 'files' | 'kubernetes' {
  if (text === 'files' || text === 'kubernetes') return text;
  throw new UsageProblem(`is ${quote(text)}; must be one of kubernetes, files`);
}

function readController(text: string): string {
  const url = URL.parse(text);
  if (url?.protocol === 'https:' && url.pathname === '/' && url.search === '' && url.username === '') return url.origin;
  throw new UsageProblem(`is ${quote(text)}; must be https://HOST:PORT`);
}

/** Stays as it was given: decoded where it is used. */
function readBundle(text: string): string {
  if (Buffer.from(text, 'base64').toString('latin1').includes('-----BEGIN CERTIFICATE-----')) return text;
  throw new UsageProblem('holds no certificate; must be PEM in Base64');
}

/** `KEY=VALUE,…`. */
export function readPairs(text: string): [string, string][] {
  return text.split(',').map(part => {
    const at = part.indexOf('=');
    if (at < 1) throw new UsageProblem(`is ${quote(text)}; must be KEY=VALUE, several separated by commas`);
    return [part.slice(0, at).trim(), part.slice(at + 1).trim()];
  });
}

export function readLabels(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(readPairs(text));
}
