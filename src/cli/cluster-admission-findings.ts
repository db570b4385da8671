/** Whether what injects, validates and guards stands in front of the API server, and shuts when it is away. */
import { INJECT_LABEL, WEBHOOK_CONFIGURATION } from '../api/names.ts';
import type { Severity, Violation } from '../api/violation.ts';
import { isRecord } from '../kube/objects.ts';
import type { Labels } from '../policy/inventory.ts';
import type { AdmissionView, Raw } from './cluster-view.ts';

/** How our admission policies are told from those of others. */
const PREFIX = 'sallyport-';
const INSTALL =
  'install the chart: helm upgrade --install sallyport charts/sallyport -n sallyport-system --create-namespace';

const isOurs = ({ metadata }: Raw): boolean => metadata.name.startsWith(PREFIX);

const list = (value: unknown): readonly Record<string, unknown>[] =>
  Array.isArray(value) ? value.filter(isRecord) : [];

/** What could not be read is said elsewhere. Without a namespace that is opted in nothing is missed. */
export function findAdmissionProblems(
  { mutating, validating, policies, bindings }: AdmissionView,
  namespaces: ReadonlyMap<string, Labels>,
): readonly Violation[] {
  const optedIn = [...namespaces.values()].some(labels => labels[INJECT_LABEL] === 'enabled');
  const missed: Severity = optedIn ? 'error' : 'warning';
  return [
    ...judgeWebhooks(mutating, 'MutatingWebhookConfiguration', {
      severity: missed,
      without: 'new pods start without a sidecar',
    }),
    ...judgeWebhooks(validating, 'ValidatingWebhookConfiguration', {
      severity: 'warning',
      without: 'wrong objects are taken, and only their status says so',
    }),
    ...judgePolicies(policies, bindings),
  ];
}

interface Expected {
  readonly severity: Severity;
  /** What happens without it. */
  readonly without: string;
}

function judgeWebhooks(
  all: readonly Raw[] | undefined,
  kind: string,
  { severity, without }: Expected,
): readonly Violation[] {
  if (all === undefined) return [];
  const own = all.filter(({ metadata }) => metadata.name === WEBHOOK_CONFIGURATION);
  if (own.length === 0) {
    return [
      {
        severity,
        object: `${kind} ${WEBHOOK_CONFIGURATION}`,
        field: '',
        problem: `does not exist, so ${without}`,
        fix: INSTALL,
      },
    ];
  }
  return own.flatMap(configuration =>
    list(configuration['webhooks']).flatMap((webhook, index) =>
      judgeWebhook(webhook, `${kind} ${configuration.metadata.name}`, index, { severity, without }),
    ),
  );
}

function judgeWebhook(
  { failurePolicy, clientConfig }: Readonly<Record<string, unknown>>,
  object: string,
  index: number,
  { severity, without }: Expected,
): readonly Violation[] {
  const found: Violation[] = [];
  const at = `webhooks[${index}]`;
  if (failurePolicy === 'Ignore') {
    const problem = `is Ignore: while the controller is away ${without}`;
    found.push({ severity: 'warning', object, field: `${at}.failurePolicy`, problem, fix: 'write Fail' });
  }
  const bundle = isRecord(clientConfig) ? clientConfig['caBundle'] : undefined;
  if (typeof bundle !== 'string' || bundle === '') {
    const problem = 'is empty, so the API server cannot call the webhook';
    const fix = 'look at the controller, which writes it: kubectl get pods -A -l app.kubernetes.io/name=sallyport';
    found.push({ severity, object, field: `${at}.clientConfig.caBundle`, problem, fix });
  }
  return found;
}

function judgePolicies(
  policies: readonly Raw[] | undefined,
  bindings: readonly Raw[] | undefined,
): readonly Violation[] {
  if (policies === undefined) return [];
  const own = policies.filter(isOurs);
  if (own.length === 0) {
    const problem = 'does not exist, so whoever may write pods can take their sidecar away or change it';
    const object = 'ValidatingAdmissionPolicy sallyport-pods';
    return [{ severity: 'warning', object, field: '', problem, fix: INSTALL }];
  }
  return own.flatMap((policy): readonly Violation[] => {
    const { name } = policy.metadata;
    const object = `ValidatingAdmissionPolicy ${name}`;
    const spec = isRecord(policy['spec']) ? policy['spec'] : {};
    const ignores: readonly Violation[] =
      spec['failurePolicy'] === 'Ignore'
        ? [
            {
              severity: 'warning',
              object,
              field: 'spec.failurePolicy',
              problem: 'is Ignore: what it cannot judge passes',
              fix: 'write Fail',
            },
          ]
        : [];
    return [...ignores, ...judgeBindings(name, object, bindings)];
  });
}

function judgeBindings(name: string, object: string, bindings: readonly Raw[] | undefined): readonly Violation[] {
  if (bindings === undefined) return [];
  const specs = bindings.map(({ spec }) => (isRecord(spec) ? spec : {}));
  const own = specs.filter(spec => spec['policyName'] === name);
  const denies = own.some(
    ({ validationActions }) => Array.isArray(validationActions) && validationActions.includes('Deny'),
  );
  if (denies) return [];
  const problem = own.length === 0 ? 'has no binding, so it judges nothing' : 'has no binding that denies';
  return [{ severity: 'warning', object, field: '', problem, fix: INSTALL }];
}
