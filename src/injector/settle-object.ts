/** Reads an object, changes it and writes it back, again when somebody else was faster. */
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/kube-error.ts';
import type { KubeObject } from '../kube/objects.ts';
import { createObject, readObject, replaceObject } from '../kube/writes.ts';

const ATTEMPTS = 8;

/**
 * `change` gets what there is (undefined: nothing) and gives what is to be there, or the same object to leave it.
 * The object as it then is.
 * @throws KubeError, the last conflict too when others are always faster
 */
export async function settleObject<T extends KubeObject>(
  client: KubeClient,
  { collection, name }: { readonly collection: string; readonly name: string },
  change: (before: T | undefined) => T | Promise<T>,
): Promise<T> {
  const path = `${collection}/${name}`;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const before = await readObject<T>(client, path);
      const after = await change(before);
      if (after === before) return before;
      return await (before === undefined
        ? createObject<T>(client, collection, after)
        : replaceObject<T>(client, path, after));
    } catch (error) {
      // 409: changed, made, or (404 on replacement) removed meanwhile.
      const isLost = error instanceof KubeError && (error.status === 409 || error.status === 404);
      if (!isLost || attempt === ATTEMPTS) throw error;
    }
  }
}
