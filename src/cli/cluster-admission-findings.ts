/** Whether what injects, validates and guards stands in front of the API server, and shuts when it is away. */
import { ADMISSION_POLICIES, INJECT_LABEL, WEBHOOK_CONFIGURATION } from '../api/names.ts';
import type { Severity, Violation } from '../api/violation.ts';
import { isRecord } from '../kube/objects.ts';
import type { Labels } from '../policy/inventory.ts';
import type { AdmissionView, Raw } from './cluster-view.ts';

const INSTALL =
  'install the chart: helm upgrade --install sallyport charts/sallyport -n sallyport-system --create-namespace';

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

/** By name: what passes without it. */
const WITHOUT: ReadonlyMap<string, string> = new Map([
  [ADMISSION_POLICIES.made, 'new pods are let in without their sidecar'],
  [ADMISSION_POLICIES.kept, 'whoever may write pods can change their sidecar or take it away'],
  [ADMISSION_POLICIES.namespaces, 'nothing guards the label that opts namespaces in'],
]);

function judgePolicies(
  policies: readonly Raw[] | undefined,
  bindings: readonly Raw[] | undefined,
): readonly Violation[] {
  if (policies === undefined) return [];
  return [...WITHOUT].flatMap(([name, without]): readonly Violation[] => {
    const object = `ValidatingAdmissionPolicy ${name}`;
    const place = { severity: 'warning', object } as const;
    const policy = policies.find(({ metadata }) => metadata.name === name);
    if (policy === undefined) return [{ ...place, field: '', problem: `does not exist, so ${without}`, fix: INSTALL }];
    const ignores = isRecord(policy['spec']) && policy['spec']['failurePolicy'] === 'Ignore';
    const problem = 'is Ignore: what it cannot judge passes';
    return [
      ...(ignores ? [{ ...place, field: 'spec.failurePolicy', problem, fix: 'write Fail' }] : []),
      ...judgeBindings(name, object, bindings),
    ];
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
