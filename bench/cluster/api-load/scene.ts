/** What the simulated sidecars find: namespaces with an app of two policies each, a cluster policy for all, and pods. */
import { CONTROLLER_AUDIENCE } from '../../../src/api/names.ts';
import type { KubeObject } from '../../../src/kube/objects.ts';
import type { ControllerScene } from '../../../test/cluster/support/controller.ts';

export const LABELS = { app: 'fleet' } as const;
const HEAD = { apiVersion: 'sallyport.dev/v1alpha1' } as const;
const AT_ONCE = 16;

export interface Pod {
  readonly namespace: string;
  /** For the API server and for the controller, bound to the pod. */
  readonly tokens: { readonly api: string; readonly controller: string };
}

export async function createNamespaces(scene: ControllerScene, names: readonly string[]): Promise<void> {
  for (const namespace of names) {
    await scene.cluster.createNamespace(namespace, { 'sallyport.dev/inject': 'enabled' });
    await post(scene, `/api/v1/namespaces/${namespace}/configmaps`, {
      metadata: { name: 'doors' },
      data: { version: '1' },
    });
    await post(scene, pathOf(namespace, 'apis'), {
      ...{ ...HEAD, kind: 'Api', metadata: { name: 'fleet' } },
      spec: { podSelector: { matchLabels: LABELS }, port: 8443 },
    });
    for (const name of ['door', 'window']) {
      await post(scene, pathOf(namespace, 'authpolicies'), {
        ...{ ...HEAD, kind: 'AuthPolicy', metadata: { name } },
        spec: {
          targetRefs: [{ kind: 'Api', name: 'fleet' }],
          variables: { version: { configMapKeyRef: { name: 'doors', key: 'version' } } },
          request: [{ name: 'anyone', anyOf: [{ anonymous: {} }] }],
        },
      });
    }
  }
}

/** Answers its generation. */
export async function putClusterPolicy(scene: ControllerScene, version: number): Promise<number> {
  const policy = {
    ...{ ...HEAD, kind: 'ClusterAuthPolicy', metadata: { name: 'all' } },
    spec: {
      namespaceSelector: { matchLabels: { 'sallyport.dev/inject': 'enabled' } },
      request: [
        { name: 'version', authorize: { deny: [{ name: 'v', expression: `request.method == 'X${version}'` }] } },
      ],
    },
  };
  const { metadata } = await scene.client.request<KubeObject>(
    'PATCH',
    '/apis/sallyport.dev/v1alpha1/clusterauthpolicies/all?fieldManager=bench&force=true',
    { body: policy, contentType: 'application/apply-patch+yaml' },
  );
  return metadata.generation ?? 0;
}

/** Pods that no kubelet runs and no scheduler looks at, with a container that counts as our sidecar. */
export async function createPods(scene: ControllerScene, names: readonly string[], count: number): Promise<Pod[]> {
  const pods: Pod[] = [];
  const make = async (index: number): Promise<void> => {
    const namespace = names[index % names.length] ?? '';
    const name = `fleet-${index}`;
    const made = await scene.createPod(namespace, name, { labels: LABELS, scheduler: 'nobody' });
    const { uid = '' } = made.metadata;
    const [api, controller] = await Promise.all([
      askToken(scene, namespace, 'https://kubernetes.default.svc', { name, uid }),
      askToken(scene, namespace, CONTROLLER_AUDIENCE, { name, uid }),
    ]);
    pods.push({ namespace, tokens: { api, controller } });
  };
  for (let at = 0; at < count; at += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - at) }, (_, i) => make(at + i)));
  }
  return pods;
}

const pathOf = (namespace: string, plural: string): string =>
  `/apis/${HEAD.apiVersion}/namespaces/${namespace}/${plural}`;

const post = ({ client }: ControllerScene, path: string, body: object): Promise<KubeObject> =>
  client.request<KubeObject>('POST', path, { body });

async function askToken(
  { client }: ControllerScene,
  namespace: string,
  audience: string,
  pod: { readonly name: string; readonly uid: string },
): Promise<string> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/default/token`;
  const { status } = await client.request<{ readonly status: { readonly token: string } }>('POST', path, {
    body: {
      ...{ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest' },
      spec: {
        audiences: [audience],
        expirationSeconds: 7200,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', ...pod },
      },
    },
  });
  return status.token;
}
