/** For tests: what the API server sends to webhooks. */
import type { Pod } from '../pod.ts';

interface Options {
  readonly namespace?: string;
  readonly operation?: string;
  readonly resource?: string;
  readonly subResource?: string;
  readonly group?: string;
  readonly dryRun?: boolean;
  readonly oldObject?: unknown;
}

const review = (object: unknown, options: Options, resource: { group: string; version: string; resource: string }) => ({
  kind: 'AdmissionReview',
  apiVersion: 'admission.k8s.io/v1',
  request: {
    uid: 'review-1',
    kind: { group: resource.group, version: resource.version, kind: 'Any' },
    resource: { ...resource, group: options.group ?? resource.group, resource: options.resource ?? resource.resource },
    ...(options.subResource === undefined ? {} : { subResource: options.subResource }),
    name: 'any',
    namespace: options.namespace ?? 'shop',
    operation: options.operation ?? 'CREATE',
    userInfo: { username: 'system:serviceaccount:kube-system:replicaset-controller' },
    object,
    oldObject: options.oldObject ?? null,
    dryRun: options.dryRun ?? false,
    options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
  },
});

export const reviewRaw = (object: unknown, options: Options = {}) =>
  review(object, options, { group: '', version: 'v1', resource: 'pods' });
export const reviewPod = (pod: Pod, options: Options = {}) => reviewRaw(pod, options);

/** An object of our group; `apiVersion` is added. */
export const reviewObject = (object: object, options: Options = {}) =>
  review({ apiVersion: 'sallyport.dev/v1alpha1', ...object }, options, {
    group: 'sallyport.dev',
    version: 'v1alpha1',
    resource: 'apis',
  });
