/** The options of `sallyport controller` and the grammars of their values. */
import { LOG_LEVELS } from '../telemetry/log.ts';
import { parseDuration } from '../api/duration.ts';
import { PORTS } from '../api/names.ts';
import { isRawObject } from '../api/value.ts';
import type { InjectorConfiguration } from '../injector/configuration.ts';
import {
  choiceOption,
  listOption,
  numberOption,
  parsedOption,
  quote,
  switchOption,
  textOption,
  UsageProblem,
  type Command,
  type Values,
} from './options.ts';

const DAY_MS = 86_400_000;

const options = {
  namespace: textOption({ placeholder: 'NAME', description: 'The namespace that it runs in.' }),
  'service-account': textOption({
    placeholder: 'NAME',
    description: 'Its service account; default sallyport-controller. Other replicas know it by that.',
  }),
  'pod-name': textOption({ placeholder: 'NAME', description: 'Name of its pod.' }),
  'pod-uid': textOption({ placeholder: 'UID', description: 'uid of its pod; in logs only.' }),
  'pod-ip': textOption({ placeholder: 'ADDRESS', description: 'Address of its pod; in logs only.' }),
  'trust-domain': parsedOption(readTrustDomain, {
    placeholder: 'NAME',
    description: 'Of mesh certificates: spiffe://NAME/ns/…/sa/…; default cluster.local.',
  }),
  image: textOption({ placeholder: 'IMAGE', description: 'Of the sidecars that it injects.' }),
  'image-pull-policy': choiceOption(['IfNotPresent', 'Always', 'Never'], 'IfNotPresent', {
    description: 'Of the sidecars.',
  }),
  'image-pull-secret': listOption({
    placeholder: 'NAME',
    description: 'A Secret with registry credentials that injected pods get. Repeatable.',
  }),
  'sidecar-resources': parsedOption(readResources, {
    placeholder: 'JSON',
    description: 'requests and limits of the sidecars.',
  }),
  'sidecar-log-level': choiceOption(LOG_LEVELS, 'info', { description: 'Of the sidecars.' }),
  'sidecar-argument': listOption({
    placeholder: 'ARGUMENT',
    description: 'A further argument of the sidecars. Repeatable.',
  }),
  'pre-stop-seconds': numberOption(
    { min: 0, max: 60, fallback: 5 },
    {
      placeholder: 'SECONDS',
      description:
        'How long app containers without a preStop hook sleep before they are told to end; 0: none gets one.',
    },
  ),
  'exclude-namespace': listOption({
    placeholder: 'NAME',
    description: 'A namespace whose pods are never looked at, besides those of the system and its own. Repeatable.',
  }),
  'explicit-anywhere': switchOption({
    description: 'Lets pods ask for explicit interception where the Pod Security level admits rules, too.',
  }),
  'default-pod-security': choiceOption(['privileged', 'baseline', 'restricted'], 'privileged', {
    description: 'Pod Security level of namespaces without a label.',
  }),
  'webhook-certificate-secret': textOption({
    placeholder: 'NAME',
    description:
      'A kubernetes.io/tls Secret with ca.crt to serve with, such as cert-manager writes; absent: it makes its own.',
  }),
  'mesh-ca-secret': textOption({
    placeholder: 'NAME',
    description:
      'A kubernetes.io/tls Secret with an intermediate CA for mesh certificates; absent: it makes its own CA.',
  }),
  'mesh-ca-lifetime': parsedOption(readLifetime, {
    placeholder: 'TIME',
    description: 'Of a CA that it makes (8760h); the next one signs from two thirds of it on.',
  }),
  'mesh-ca-overlap': parsedOption(readLifetime, {
    placeholder: 'TIME',
    description: 'How long the next CA is published before it signs (24h).',
  }),
  'require-secret-label': switchOption({
    description: 'Hands out only Secrets that carry the label sallyport.dev/use.',
  }),
  'token-file': textOption({
    placeholder: 'FILE',
    description:
      'A token of its service account for the audience sallyport.dev/controller, for what replicas tell each other; default /var/run/secrets/sallyport.dev/controller-token.',
  }),
  'account-folder': textOption({
    placeholder: 'FOLDER',
    description:
      'Where token and ca.crt of its service account are; default /var/run/secrets/kubernetes.io/serviceaccount.',
  }),
  'webhook-port': portOption(PORTS.webhook, 'Where the API server asks about pods and policies.'),
  'material-port': portOption(PORTS.material, 'Where sidecars ask for material and certificates.'),
  'health-port': portOption(PORTS.health, '/livez, /readyz and /metrics.'),
  'self-test': textOption({
    placeholder: 'URL',
    description: 'Asks a running controller whether it refuses a wrong policy and takes a right one, and ends.',
  }),
  'log-level': choiceOption(LOG_LEVELS, 'info', { description: 'How much it logs.' }),
  'log-format': choiceOption(['json', 'pretty'], 'json', { description: 'json, or pretty for people.' }),
};

export const CONTROLLER = {
  name: 'controller',
  description: [
    'What a cluster has once: judges pods and policies when they are made, hands sidecars what their policies name, issues ' +
      'mesh certificates, and writes status. Runs in the cluster, as several replicas; the Helm chart installs it.',
    'Talks to the API server as the service account of its pod.',
  ],
  options,
  examples: [
    {
      comment: 'As the chart starts it',
      line: 'sallyport controller --namespace sallyport-system --image registry.example/sallyport:0.1.0',
    },
    {
      comment: 'Is it at work?',
      line: 'sallyport controller --self-test https://sallyport-controller.sallyport-system.svc',
    },
  ],
} satisfies Command;

export type ControllerValues = Values<typeof options>;

function portOption(fallback: number, description: string) {
  return numberOption({ min: 1, max: 65_535, fallback }, { placeholder: 'PORT', description });
}

/** What a run needs and no default can give. */
export function findMissing(values: ControllerValues): readonly string[] {
  const needed = ['namespace', 'pod-name', 'image'] as const;
  return needed.filter(name => values[name] === undefined || values[name] === '').map(name => `--${name} is missing`);
}

/** SPIFFE ID 2.1: lower-case letters, digits, dots, dashes and underscores. */
function readTrustDomain(text: string): string {
  if (/^[a-z0-9._-]{1,255}$/.test(text)) return text;
  throw new UsageProblem(`is ${quote(text)}; must be lower-case letters, digits, ., - and _, such as cluster.local`);
}

function readLifetime(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms < 1000 || ms > 3650 * DAY_MS) {
    throw new UsageProblem(`is ${quote(text)}; must be a time from 1s to 87600h, such as 8760h`);
  }
  return ms;
}

function readResources(text: string): InjectorConfiguration['resources'] {
  const value = parseJson(text);
  const read = (name: string): Record<string, string | number> => {
    const list = isRawObject(value) && Object.hasOwn(value, name) ? value[name] : {};
    if (!isRawObject(list)) throw new UsageProblem(`holds ${name} that are no object`);
    return Object.fromEntries(
      Object.entries(list).map(([resource, quantity]) => {
        if (typeof quantity === 'string' || typeof quantity === 'number') return [resource, quantity];
        throw new UsageProblem(`holds ${name}.${resource} that is no quantity`);
      }),
    );
  };
  if (!isRawObject(value)) throw new UsageProblem('is no JSON object such as {"requests":{"cpu":"50m"},"limits":{}}');
  return { requests: read('requests'), limits: read('limits') };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
