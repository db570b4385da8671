/** What the webhook of a cluster injects: as the controller has written it down for the admission policies. */
import { ADMISSION_PARAMETERS } from '../api/names.ts';
import { KEYS } from '../injector/admission-parameters.ts';
import type { InjectorConfiguration } from '../injector/configuration.ts';
import type { KubeClient } from '../kube/client.ts';
import { resourcePath, type KubeObject } from '../kube/objects.ts';
import { readObject } from '../kube/writes.ts';

export type InjectedWith = Pick<InjectorConfiguration, 'image' | 'controllerCa' | 'kubernetesCa'>;

/** @throws KubeError */
export async function readParameters(
  client: KubeClient,
  namespace: string,
): Promise<InjectedWith | { readonly problem: string }> {
  const path = resourcePath({
    group: '',
    version: 'v1',
    resource: 'configmaps',
    namespace,
    name: ADMISSION_PARAMETERS,
  });
  const found = await readObject<KubeObject & { readonly data?: Readonly<Record<string, string>> }>(client, path);
  const newest = (key: string): string => found?.data?.[key]?.split('\n', 1).join('') ?? '';
  const decode = (key: string): string => Buffer.from(newest(key), 'base64').toString('utf8');
  const image = newest(KEYS.images);
  if (image !== '')
    return { image, controllerCa: decode(KEYS.controllerCas), kubernetesCa: decode(KEYS.kubernetesCas) };
  return {
    problem: `the ConfigMap ${namespace}/${ADMISSION_PARAMETERS} of the controller is not there; install the chart, or name --controller-namespace`,
  };
}
