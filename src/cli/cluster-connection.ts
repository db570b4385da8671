/** How a person's command reaches a cluster: as kubectl would, with its contexts and its rights. */
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/kube-error.ts';
import { SILENT } from '../telemetry/telemetry.ts';
import { EXIT, type Io } from './io.ts';
import { textOption } from './options.ts';

export const contextOption = textOption({
  placeholder: 'NAME',
  description: 'Context of the kubeconfig; default: the current one',
});
export const kubeconfigOption = textOption({
  placeholder: 'FILE',
  description: 'Kubeconfig; default: KUBECONFIG, then ~/.kube/config, then the service account of the pod',
});

export interface ClusterFlags {
  readonly context: string | undefined;
  readonly kubeconfig: string | undefined;
}

/**
 * Runs `use` with a client, imported only here: commands without a cluster do not pay for it. Where the API server cannot be
 * reached or knows nobody by these credentials, says so and answers 69.
 */
export async function withCluster(
  command: string,
  { context, kubeconfig }: ClusterFlags,
  io: Io,
  use: (client: KubeClient, namespace: string) => Promise<number>,
): Promise<number> {
  const [{ loadKubeconfig }, { createKubeClient }] = await Promise.all([
    import('../kube/kubeconfig.ts'),
    import('../kube/client.ts'),
  ]);
  let client: KubeClient | undefined;
  try {
    const connection = await loadKubeconfig({
      ...(context === undefined ? {} : { context }),
      ...(kubeconfig === undefined ? {} : { kubeconfig }),
    });
    client = createKubeClient(connection, { log: SILENT.log, clock: Date.now, random: Math.random });
    return await use(client, connection.namespace);
  } catch (error) {
    const problem = explainFailure(error, kubeconfig);
    if (problem === undefined) throw error;
    io.stderr.write(`sallyport ${command}: ${problem}\n`);
    return EXIT.unavailable;
  } finally {
    await client?.close();
  }
}

/** Undefined: not the cluster's fault. */
export function explainFailure(error: unknown, kubeconfig: string | undefined): string | undefined {
  if (error instanceof KubeError) {
    if (error.status === 401) return 'the API server does not know you by the credentials of the kubeconfig';
    return `the API server cannot be asked: ${error.message}`;
  }
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code !== 'ENOENT' && code !== 'EACCES') return undefined;
  return `the kubeconfig${kubeconfig === undefined ? '' : ` ${kubeconfig}`} cannot be read (${code})`;
}
