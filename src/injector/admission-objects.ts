/** The webhook configurations and admission policies as Kubernetes objects, for the chart and for tests. Pure. */
import {
  ADMISSION_PARAMETERS,
  ADMISSION_POLICIES,
  CONTROLLER_SERVICE,
  INJECT_LABEL,
  SYSTEM_NAMESPACES,
  WEBHOOK_CONFIGURATION,
} from '../api/names.ts';
import { API_VERSION, GROUP } from '../api/object.ts';
import { quoteCel } from './cel.ts';
import { RULES as KEPT_RULES } from './kept-pods-policy.ts';
import { RULES as MADE_RULES, VARIABLES } from './made-pods-policy.ts';
import { MIRROR_ANNOTATION } from './patch.ts';
import { INJECT_PATH, VALIDATE_PATH } from './webhooks.ts';

export interface AdmissionSettings {
  /** Of the controller. */
  readonly namespace: string;
  /** Besides those of the system and the controller's own. */
  readonly excludedNamespaces: readonly string[];
  /** How long the API server waits for an answer. */
  readonly timeoutSeconds: number;
  /** Of the webhook for the objects of our group: with Ignore they can be applied while no controller answers. */
  readonly validatingFailurePolicy: 'Fail' | 'Ignore';
}

export type KubernetesObject = Readonly<Record<string, unknown>>;

const ADMISSION = 'admissionregistration.k8s.io/v1';
const NAME_LABEL = 'kubernetes.io/metadata.name';
const PODS = { apiGroups: [''], apiVersions: ['v1'], scope: 'Namespaced' } as const;

export function createAdmissionObjects(settings: AdmissionSettings): readonly KubernetesObject[] {
  return [
    createMutatingConfiguration(settings),
    createValidatingConfiguration(settings),
    createPolicy(ADMISSION_POLICIES.made, {
      paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
      matchConstraints: {
        resourceRules: [
          { ...PODS, operations: ['CREATE'], resources: ['pods'] },
          { ...PODS, operations: ['UPDATE'], resources: ['pods/ephemeralcontainers'] },
        ],
      },
      matchConditions: [NOT_A_MIRROR],
      variables: VARIABLES,
      validations: MADE_RULES,
    }),
    ...selectPods(settings).map(([name, matchResources]) =>
      createBinding(`${ADMISSION_POLICIES.made}-${name}`, ADMISSION_POLICIES.made, {
        // Without its parameters nobody knows what to compare with: nothing is made then.
        paramRef: { name: ADMISSION_PARAMETERS, namespace: settings.namespace, parameterNotFoundAction: 'Deny' },
        matchResources,
      }),
    ),
    createPolicy(ADMISSION_POLICIES.kept, {
      matchConstraints: {
        resourceRules: [
          {
            ...PODS,
            operations: ['UPDATE'],
            resources: ['pods', 'pods/status', 'pods/resize', 'pods/ephemeralcontainers'],
          },
        ],
      },
      validations: KEPT_RULES,
    }),
    createBinding(ADMISSION_POLICIES.kept, ADMISSION_POLICIES.kept, {
      // Every pod that was injected carries the label; the old object is asked too, so removing it does not help.
      matchResources: {
        namespaceSelector: { matchExpressions: [isElsewhere(settings)] },
        objectSelector: { matchExpressions: [{ key: INJECT_LABEL, operator: 'Exists' }] },
      },
    }),
    createPolicy(ADMISSION_POLICIES.namespaces, {
      matchConstraints: {
        resourceRules: [
          { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE', 'UPDATE'], resources: ['namespaces'] },
        ],
      },
      validations: [
        {
          expression: `object.metadata.?labels[?${quoteCel(INJECT_LABEL)}].orValue('enabled') == 'enabled' || oldObject != null && oldObject.metadata.?labels[?${quoteCel(INJECT_LABEL)}].orValue('') == object.metadata.labels[${quoteCel(INJECT_LABEL)}]`,
          message: `the label ${INJECT_LABEL} has the one value enabled; write it, or remove the label`,
        },
      ],
    }),
    createBinding(ADMISSION_POLICIES.namespaces, ADMISSION_POLICIES.namespaces, {
      matchResources: { objectSelector: { matchExpressions: [{ key: INJECT_LABEL, operator: 'Exists' }] } },
    }),
  ];
}

/** The kubelet shows by such pods what it runs by itself; nothing that is changed in them would reach it. */
const NOT_A_MIRROR = {
  name: 'not-a-mirror',
  expression: `!(${quoteCel(MIRROR_ANNOTATION)} in object.metadata.?annotations.orValue({}))`,
};

const isElsewhere = ({ namespace, excludedNamespaces }: AdmissionSettings) => ({
  key: NAME_LABEL,
  operator: 'NotIn',
  values: [...new Set([...SYSTEM_NAMESPACES, namespace, ...excludedNamespaces])],
});

/** Of namespaces with the label, and of others those with it. Any value counts: a wrong one is refused, not passed over. */
function selectPods(settings: AdmissionSettings) {
  const elsewhere = isElsewhere(settings);
  const label = (operator: 'Exists' | 'DoesNotExist') => ({ key: INJECT_LABEL, operator });
  return [
    ['by-namespace', { namespaceSelector: { matchExpressions: [label('Exists'), elsewhere] } }],
    [
      'by-pod',
      {
        namespaceSelector: { matchExpressions: [label('DoesNotExist'), elsewhere] },
        objectSelector: { matchExpressions: [label('Exists')] },
      },
    ],
  ] as const;
}

function createMutatingConfiguration(settings: AdmissionSettings): KubernetesObject {
  return {
    apiVersion: ADMISSION,
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: WEBHOOK_CONFIGURATION },
    webhooks: selectPods(settings).map(([name, selectors]) => ({
      name: `${name}.inject.${GROUP}`,
      ...selectors,
      clientConfig: findService(settings, INJECT_PATH),
      rules: [{ ...PODS, operations: ['CREATE'], resources: ['pods'] }],
      matchConditions: [NOT_A_MIRROR],
      failurePolicy: 'Fail',
      reinvocationPolicy: 'IfNeeded',
      ...describeCalls(settings),
    })),
  };
}

function createValidatingConfiguration(settings: AdmissionSettings): KubernetesObject {
  return {
    apiVersion: ADMISSION,
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: WEBHOOK_CONFIGURATION },
    webhooks: [
      {
        name: `validate.${GROUP}`,
        clientConfig: findService(settings, VALIDATE_PATH),
        rules: [
          {
            apiGroups: [GROUP],
            apiVersions: [API_VERSION.slice(GROUP.length + 1)],
            operations: ['CREATE', 'UPDATE'],
            resources: ['*'],
            scope: '*',
          },
        ],
        failurePolicy: settings.validatingFailurePolicy,
        ...describeCalls(settings),
      },
    ],
  };
}

/** Without caBundle, which the controller writes: until then every call fails, and nothing is made unprotected. */
const findService = ({ namespace }: AdmissionSettings, path: string) => ({
  service: { name: CONTROLLER_SERVICE, namespace, path, port: 443 },
});

const describeCalls = ({ timeoutSeconds }: AdmissionSettings) => ({
  matchPolicy: 'Equivalent',
  sideEffects: 'NoneOnDryRun',
  admissionReviewVersions: ['v1'],
  timeoutSeconds,
});

const createPolicy = (name: string, spec: object): KubernetesObject => ({
  apiVersion: ADMISSION,
  kind: 'ValidatingAdmissionPolicy',
  metadata: { name },
  spec: { failurePolicy: 'Fail', ...spec },
});

const createBinding = (name: string, policyName: string, spec: object): KubernetesObject => ({
  apiVersion: ADMISSION,
  kind: 'ValidatingAdmissionPolicyBinding',
  metadata: { name },
  spec: { policyName, ...spec, validationActions: ['Deny'] },
});
