/** AdmissionReview (admission.k8s.io/v1): what the API server asks and what it is answered. */
import type { Operation } from './pod-editor.ts';

export interface AdmissionRequest {
  readonly uid: string;
  readonly operation: string;
  readonly group: string;
  readonly resource: string;
  /** Empty for the object itself. */
  readonly subResource: string;
  /** Empty for cluster-scoped objects. */
  readonly namespace: string;
  readonly dryRun: boolean;
  /** Absent on DELETE. */
  readonly object?: unknown;
  readonly oldObject?: unknown;
}

export interface StatusCause {
  readonly reason: string;
  readonly message: string;
  readonly field: string;
}

/** The `response` of a review; the server puts it into its envelope. */
export interface AdmissionResponse {
  readonly uid: string;
  readonly allowed: boolean;
  /** Of a refusal. */
  readonly status?: {
    readonly code: number;
    readonly reason: string;
    readonly message: string;
    readonly details?: { readonly causes: readonly StatusCause[] };
  };
  readonly patchType?: 'JSONPatch';
  /** Base64 of a JSON patch. */
  readonly patch?: string;
  /** Shown by kubectl; each at most 256 characters. */
  readonly warnings?: readonly string[];
  readonly auditAnnotations?: Readonly<Record<string, string>>;
}

type Raw = Readonly<Record<string, unknown>>;
const isRecord = (value: unknown): value is Raw => typeof value === 'object' && value !== null && !Array.isArray(value);
const readText = (value: unknown): string => (typeof value === 'string' ? value : '');

/** Undefined: this is no AdmissionReview of version v1. */
export function readReview(body: unknown): AdmissionRequest | undefined {
  if (!isRecord(body) || body['kind'] !== 'AdmissionReview' || body['apiVersion'] !== 'admission.k8s.io/v1') {
    return undefined;
  }
  const request = body['request'];
  if (!isRecord(request)) return undefined;
  const resource = isRecord(request['resource']) ? request['resource'] : {};
  const uid = readText(request['uid']);
  if (uid === '' || uid.length > 128) return undefined;
  return {
    uid,
    operation: readText(request['operation']),
    group: readText(resource['group']),
    resource: readText(resource['resource']),
    subResource: readText(request['subResource']),
    namespace: readText(request['namespace']),
    dryRun: request['dryRun'] === true,
    object: request['object'] ?? undefined,
    oldObject: request['oldObject'] ?? undefined,
  };
}

export const writeReview = (response: AdmissionResponse): string =>
  JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response });

export const admit = (
  { uid }: AdmissionRequest,
  more: Pick<AdmissionResponse, 'warnings' | 'auditAnnotations'> = {},
): AdmissionResponse => ({ uid, allowed: true, ...more });

export const admitWith = (
  { uid }: AdmissionRequest,
  operations: readonly Operation[],
  more: Pick<AdmissionResponse, 'warnings' | 'auditAnnotations'>,
): AdmissionResponse => ({
  uid,
  allowed: true,
  ...(operations.length === 0
    ? {}
    : { patchType: 'JSONPatch' as const, patch: Buffer.from(JSON.stringify(operations)).toString('base64') }),
  ...more,
});

export const refuse = (
  { uid }: AdmissionRequest,
  status: NonNullable<AdmissionResponse['status']>,
): AdmissionResponse => ({ uid, allowed: false, status });

const WARNING_LENGTH = 256;

/** The API server cuts longer ones itself, and drops what is more than 4 KiB together. */
export const shortenWarnings = (warnings: readonly string[]): readonly string[] =>
  warnings.slice(0, 12).map(text => (text.length <= WARNING_LENGTH ? text : `${text.slice(0, WARNING_LENGTH - 1)}…`));
