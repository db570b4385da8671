/** Texts of Secrets and ConfigMaps that credentials are made of. */
import { objectKey } from '../api/object.ts';
import type { Material } from '../material/material.ts';
import type { TextRef } from '../policy/credential-texts.ts';

const MOST_BYTES = 64 * 1024;

/** Reads within one namespace. */
export interface TextReader {
  /** Without a line break at its end, which `kubectl create secret --from-file` leaves; undefined: missing, empty or no UTF-8. */
  read(ref: TextRef): string | undefined;
}

export function createTextReader(material: Material, namespace: string): TextReader {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  return {
    read(ref) {
      const bytes = ref.value === undefined ? findBytes(material, namespace, ref) : Buffer.from(ref.value, 'utf8');
      if (bytes === undefined || bytes.length > MOST_BYTES) return undefined;
      try {
        const text = decoder.decode(bytes).replace(/\r?\n$/, '');
        return text === '' ? undefined : text;
      } catch {
        return undefined;
      }
    },
  };
}

function findBytes(material: Material, namespace: string, ref: TextRef): Uint8Array | undefined {
  const { secretKeyRef, configMapKeyRef } = ref;
  const keyRef = secretKeyRef ?? configMapKeyRef;
  if (keyRef === undefined) return undefined;
  const key = objectKey(keyRef.namespace ?? namespace, keyRef.name);
  return (secretKeyRef === undefined ? material.configMap(key) : material.secret(key))?.get(keyRef.key);
}
