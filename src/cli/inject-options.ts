/** The options of `sallyport inject`. */
import { INJECT_LABEL } from '../api/names.ts';
import { DEFAULT_CONFIGURATION } from '../injector/configuration.ts';
import { contextOption, kubeconfigOption } from './cluster-connection.ts';
import {
  choiceOption,
  listOption,
  numberOption,
  parsedOption,
  switchOption,
  textOption,
  type Command,
  type Values,
} from './options.ts';
import { readLabels } from './source-options.ts';

const OPTIONS = {
  file: listOption({
    short: 'f',
    placeholder: 'FILE',
    description: 'Manifests, a folder of them, or - for standard input. Repeatable',
  }),
  namespace: textOption({
    placeholder: 'NAME',
    description: 'Namespace of manifests that name none; default: default',
  }),
  'namespace-labels': parsedOption(readLabels, {
    placeholder: 'KEY=VALUE,…',
    description: `Labels of namespaces that the manifests do not hold; default: ${INJECT_LABEL}=enabled`,
  }),
  cluster: switchOption({
    description: 'Takes image and certificates from the controller of the cluster, as its webhook does',
  }),
  context: contextOption,
  kubeconfig: kubeconfigOption,
  image: textOption({ placeholder: 'IMAGE', description: 'Image of the sidecar' }),
  'image-pull-policy': choiceOption(['IfNotPresent', 'Always', 'Never'], 'IfNotPresent', {
    description: 'When nodes pull it',
  }),
  'controller-namespace': textOption({
    placeholder: 'NAME',
    description: 'Where the controller runs; default: sallyport-system',
  }),
  'controller-ca': textOption({
    placeholder: 'FILE',
    description:
      'Certificates (PEM) that vouch for the controller: ca.crt and next.crt of its Secret sallyport-serving-ca',
  }),
  'kubernetes-ca': textOption({
    placeholder: 'FILE',
    description: 'Certificates (PEM) that vouch for the API server: ca.crt of the ConfigMap kube-root-ca.crt',
  }),
  'pre-stop-seconds': numberOption(
    { min: 0, max: 300, fallback: DEFAULT_CONFIGURATION.preStopSleepSeconds },
    { placeholder: 'SECONDS', description: 'How long app containers without a preStop hook go on serving' },
  ),
} as const;

export const INJECT: Command<typeof OPTIONS> = {
  name: 'inject',
  description: [
    'Prints manifests as the webhook of the cluster would change their pods: Pods, and the templates of Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs and CronJobs. Other objects are printed as they are; comments are lost. Nothing is applied.',
    'Pods that would be refused are named with what to change, FILE:LINE:FIELD: PROBLEM, FIX; then nothing is printed, and the exit code is 1. What a ClusterAuthPolicy among the manifests allows counts.',
  ],
  options: OPTIONS,
  examples: [
    { comment: 'What becomes of a Deployment', line: 'sallyport inject -f deployment.yaml --cluster' },
    {
      comment: 'Without a cluster',
      line: 'sallyport inject -f deployment.yaml --image sallyport:0.1.0 --controller-ca controller.pem --kubernetes-ca ca.pem',
    },
  ],
};

export type InjectValues = Values<typeof OPTIONS>;

const GIVEN = ['image', 'controller-ca', 'kubernetes-ca'] as const;

/** Problems that only several options together have; empty: they fit. */
export function findProblems(values: InjectValues): string[] {
  const problems = values.file.length === 0 ? ['--file is missing: name manifests, or - for standard input'] : [];
  for (const name of GIVEN) {
    const isGiven = values[name] !== undefined;
    if (values.cluster && isGiven) problems.push(`--${name} and --cluster exclude each other`);
    if (!values.cluster && !isGiven) problems.push(`--${name} is missing: name it, or let --cluster find it`);
  }
  return problems;
}
