/** What an opted-in namespace gets: leave for its pods to read its policies, and the CAs that its apps should trust. Pure. */
import { GROUP } from '../api/object.ts';
import { KINDS } from '../api/kinds/index.ts';
import { FIELD_MANAGER, MESH_CA, SIDECAR_ROLE } from '../api/names.ts';
import type { ResourceAddress } from '../kube/objects.ts';

/** On everything that the controller makes in other namespaces: it watches these, and removes no others. */
export const MANAGED_LABELS = { 'app.kubernetes.io/managed-by': FIELD_MANAGER } as const;
export const MANAGED_SELECTOR = `app.kubernetes.io/managed-by=${FIELD_MANAGER}`;

export interface GrantedObject {
  readonly address: ResourceAddress & { readonly name: string };
  readonly manifest: Readonly<Record<string, unknown>>;
}

export type GrantedResource = 'roles' | 'rolebindings' | 'configmaps';

const RBAC = { group: 'rbac.authorization.k8s.io', version: 'v1' };

const namespacedKinds = (): readonly string[] =>
  Object.values(KINDS)
    .filter(({ scope }) => scope === 'Namespaced')
    .map(({ plural }) => plural);

/** Every service account of the namespace: which of them a pod will use is not known before it comes. */
export const groupOf = (namespace: string): string => `system:serviceaccounts:${namespace}`;

const subjectOf = (namespace: string) => ({
  apiGroup: RBAC.group,
  kind: 'Group',
  name: groupOf(namespace),
});

export function describeGrants(
  namespace: string,
  meshBundle: string | undefined,
): Readonly<Record<GrantedResource, GrantedObject | undefined>> {
  const metadata = (name: string) => ({ name, namespace, labels: MANAGED_LABELS });
  return {
    roles: {
      address: { ...RBAC, resource: 'roles', namespace, name: SIDECAR_ROLE },
      manifest: {
        apiVersion: `${RBAC.group}/v1`,
        kind: 'Role',
        metadata: metadata(SIDECAR_ROLE),
        rules: [{ apiGroups: [GROUP], resources: namespacedKinds(), verbs: ['get', 'list', 'watch'] }],
      },
    },
    rolebindings: {
      address: { ...RBAC, resource: 'rolebindings', namespace, name: SIDECAR_ROLE },
      manifest: {
        apiVersion: `${RBAC.group}/v1`,
        kind: 'RoleBinding',
        metadata: metadata(SIDECAR_ROLE),
        roleRef: { apiGroup: RBAC.group, kind: 'Role', name: SIDECAR_ROLE },
        subjects: [subjectOf(namespace)],
      },
    },
    configmaps:
      meshBundle === undefined
        ? undefined
        : {
            address: { group: '', version: 'v1', resource: 'configmaps', namespace, name: MESH_CA },
            manifest: {
              apiVersion: 'v1',
              kind: 'ConfigMap',
              metadata: metadata(MESH_CA),
              data: { 'ca.crt': meshBundle },
            },
          },
  };
}

/** One binding for all namespaces: the cluster kind can be granted in no other way. */
export function describeClusterGrant(namespaces: readonly string[]): GrantedObject {
  return {
    address: { ...RBAC, resource: 'clusterrolebindings', name: SIDECAR_ROLE },
    manifest: {
      apiVersion: `${RBAC.group}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name: SIDECAR_ROLE, labels: MANAGED_LABELS },
      roleRef: { apiGroup: RBAC.group, kind: 'ClusterRole', name: SIDECAR_ROLE },
      subjects: [...namespaces].sort().map(subjectOf),
    },
  };
}
