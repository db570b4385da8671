/** Conditions and status fields of each kind; the controller writes them, the API server and the reference show them. */
import type { KindName } from './kinds/index.ts';

export interface ConditionInfo {
  /** What True means. */
  readonly meaning: string;
  readonly reasons: readonly string[];
}

/** Positive polarity but for TenantControlled and AppExposed, which warn. The list of reasons is closed. */
export const CONDITIONS = {
  Accepted: {
    meaning: 'The object is valid, and nothing stands against it.',
    reasons: ['Accepted', 'Invalid', 'Conflicted', 'TargetNotFound'],
  },
  ResolvedRefs: {
    meaning: 'Everything that the object names exists and may be used.',
    reasons: ['ResolvedRefs', 'RefNotFound', 'RefNotPermitted'],
  },
  Programmed: {
    meaning: 'The object is part of what the sidecars are told to do.',
    reasons: ['Programmed', 'PartiallyProgrammed', 'Overridden'],
  },
  Enforced: {
    meaning: 'Every pod that it selects enforces this generation; the message counts them.',
    reasons: ['AllPods', 'SomePods', 'NoPods', 'SidecarTooOld'],
  },
  KeysAvailable: { meaning: 'Keys are at hand and fresh enough.', reasons: ['Fetched', 'Stale', 'Unavailable'] },
  TestsPassed: { meaning: 'Every policy test passes.', reasons: ['Passed', 'Failed'] },
  Audit: { meaning: 'What an Audit policy would have denied.', reasons: ['Audit'] },
  TenantControlled: { meaning: 'A warning: tenants write the labels by which it selects.', reasons: ['LabelSelected'] },
  AppExposed: { meaning: 'A warning: the app listens on more than loopback.', reasons: ['NotLoopback'] },
} as const satisfies Record<string, ConditionInfo>;

export type ConditionType = keyof typeof CONDITIONS;

export const CONDITIONS_OF: Readonly<Record<KindName, readonly ConditionType[]>> = {
  ClusterAuthPolicy: ['Accepted', 'ResolvedRefs', 'Programmed', 'Enforced', 'TestsPassed', 'Audit', 'TenantControlled'],
  AuthPolicy: ['Accepted', 'ResolvedRefs', 'Programmed', 'Enforced', 'TestsPassed', 'Audit'],
  Api: ['Accepted', 'ResolvedRefs', 'Programmed', 'AppExposed'],
  TokenIssuer: ['Accepted', 'ResolvedRefs', 'KeysAvailable'],
  ClientTrust: ['Accepted', 'ResolvedRefs'],
  DeviceAuthService: ['Accepted', 'ResolvedRefs'],
  BackendCredential: ['Accepted', 'ResolvedRefs'],
  Subscription: ['Accepted', 'ResolvedRefs'],
  PolicyTest: ['Accepted', 'TestsPassed'],
};

export type StatusField =
  | { readonly type: 'integer' | 'boolean' | 'string' | 'date-time'; readonly description: string }
  | { readonly type: 'object'; readonly description: string; readonly fields: Readonly<Record<string, StatusField>> };

/** What status holds besides conditions. */
const PIPELINE: StatusField = {
  type: 'string',
  description:
    'Which steps run, in their order, each with scope and policy; operations with other steps apart. Cut at 1024 characters; sallyport explain --effective shows all.',
};

export const STATUS_OF: Readonly<Record<KindName, Readonly<Record<string, StatusField>>>> = {
  ClusterAuthPolicy: {},
  AuthPolicy: { pipeline: PIPELINE },
  Api: {
    pipeline: PIPELINE,
    pods: {
      type: 'object',
      description: 'Live pods of the Api.',
      fields: {
        matched: { type: 'integer', description: 'Pods that podSelector matches, injected or not.' },
        enforcing: { type: 'integer', description: 'Pods that enforce the newest generation.' },
      },
    },
  },
  TokenIssuer: {
    keys: {
      type: 'object',
      description: 'The issuer’s keys.',
      fields: {
        count: { type: 'integer', description: 'How many keys there are.' },
        fetchedAt: { type: 'date-time', description: 'When they were fetched last.' },
        stale: { type: 'boolean', description: 'Whether they are older than cache.maxAge.' },
        lastError: { type: 'string', description: 'Why the last fetch failed; empty when it did not.' },
      },
    },
  },
  ClientTrust: {},
  DeviceAuthService: {},
  Subscription: {},
  BackendCredential: {
    certificate: {
      type: 'object',
      description: 'The certificate that the app sees, so that its owner can pin what to expect.',
      fields: {
        sha1: { type: 'string', description: 'SHA-1 of the certificate, upper-case hex; absent for managed.' },
        sha256: { type: 'string', description: 'SHA-256, upper-case hex; for managed that of the mesh CA.' },
        spiffeId: { type: 'string', description: 'For managed: the SPIFFE id, since certificates change daily.' },
        notAfter: {
          type: 'date-time',
          description:
            'When it ends. For managed: the first end among the certificates that pods have now, rounded down by up to a 72nd of their lifetime; each is renewed from a third of its life on, without anybody’s doing. Absent while no pod has one.',
        },
        caNotAfter: {
          type: 'date-time',
          description: 'For managed: when the mesh CA ends; the next one is made and published long before.',
        },
      },
    },
  },
  PolicyTest: {
    cases: {
      type: 'object',
      description: 'The last run.',
      fields: {
        total: { type: 'integer', description: 'How many cases there are.' },
        failed: { type: 'integer', description: 'How many of them fail.' },
      },
    },
  },
};
