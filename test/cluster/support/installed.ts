/** One node for all that is tried on a real node: started, installed and filled with the scene once. */
import { type Clients, openClients } from './installation-clients.ts';
import { openScene, type Scene } from './installation-scene.ts';
import { importImages, installSallyport } from './installation.ts';
import { type ClusterNode, openNode } from './node.ts';

export interface Installed {
  readonly node: ClusterNode;
  readonly clients: Clients;
  readonly scene: Scene;
}

/** Given to each part of the tests: what is there when its `before` runs. */
export type GetInstalled = () => Installed;

/** A namespace that is opted in, besides the scene's. */
export const ZOO = 'zoo';
/** One that is opted in and whose Pod Security level refuses what interception needs. */
export const STRICT = 'strict';
/** One that nobody labelled. */
export const PLAIN = 'plain';

/** All clients have one address, and few calls a minute would be enough for none of the loads. */
const CHANGES = { 'calls: 600': 'calls: 1000000' };

export async function openInstalled(say: (line: string) => void): Promise<Installed & { close(): Promise<void> }> {
  const node = await openNode();
  const clients = openClients(node);
  const close = async (): Promise<void> => {
    clients.close();
    await node.close();
  };
  try {
    await importImages(node, say);
    await installSallyport(node);
    const scene = await openScene(node, { changes: CHANGES });
    const labels = { 'sallyport.dev/inject': 'enabled' };
    await node.createNamespace(ZOO, labels);
    await node.createNamespace(STRICT, { ...labels, 'pod-security.kubernetes.io/enforce': 'restricted' });
    await node.createNamespace(PLAIN);
    return { node, clients, scene, close };
  } catch (error) {
    await close();
    throw error;
  }
}
