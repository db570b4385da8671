/** Secrets and ConfigMaps of manifests. Problems name the key, never the value: it may be a secret in the wrong field. */
import { memberPath } from '../api/field-path.ts';
import { refuse, type Scene } from '../api/scene.ts';
import { isRawObject } from '../api/value.ts';
import { nearestName } from '../api/words.ts';
import type { ObjectKey } from '../api/object.ts';
import type { Material } from '../material/material.ts';

export type Data = ReadonlyMap<string, Uint8Array>;

const DATA_KEY = /^[-._a-zA-Z0-9]{1,253}$/;
/** RFC 4648 section 4, with padding; line breaks are allowed, as the API server allows them. */
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

const FIELDS = {
  Secret: { encoded: 'data', plain: 'stringData', known: ['data', 'stringData', 'type', 'immutable'] },
  ConfigMap: { encoded: 'binaryData', plain: 'data', known: ['data', 'binaryData', 'immutable'] },
} as const;

/** The bytes by key; plain text wins over encoded, as in the API server. Problems go to the scene. */
export function parseData(kind: 'Secret' | 'ConfigMap', raw: Readonly<Record<string, unknown>>, scene: Scene): Data {
  const { encoded, plain, known } = FIELDS[kind];
  checkFields(raw, known, scene);
  const data = new Map<string, Uint8Array>();
  for (const [key, text] of readTexts(raw, encoded, scene)) {
    const compact = text.replace(/[\r\n]/g, '');
    if (BASE64.test(compact)) data.set(key, new Uint8Array(Buffer.from(compact, 'base64')));
    else {
      const fix =
        kind === 'Secret' ? 'encode it, or move it to stringData as it is' : 'encode it, or move it to data as it is';
      refuse(scene, memberPath(encoded, key), 'is not Base64', fix);
    }
  }
  for (const [key, text] of readTexts(raw, plain, scene)) data.set(key, new TextEncoder().encode(text));
  return data;
}

function checkFields(raw: Readonly<Record<string, unknown>>, own: readonly string[], scene: Scene): void {
  const known = ['apiVersion', 'kind', 'metadata', ...own];
  for (const key of Object.keys(raw)) {
    if (known.includes(key)) continue;
    const near = nearestName(key, known);
    refuse(
      scene,
      memberPath('', key),
      'is not a known field',
      near === undefined ? 'remove it' : `did you mean "${near}"?`,
    );
  }
}

function readTexts(raw: Readonly<Record<string, unknown>>, field: string, scene: Scene): [string, string][] {
  const entries = Object.hasOwn(raw, field) ? raw[field] : undefined;
  if (entries === undefined || entries === null) return [];
  if (!isRawObject(entries)) {
    refuse(scene, field, 'is not an object of keys and texts', 'write lines of the form key: text');
    return [];
  }
  const texts: [string, string][] = [];
  for (const [key, value] of Object.entries(entries)) {
    const at = memberPath(field, key);
    if (!DATA_KEY.test(key))
      refuse(scene, at, 'the key is not allowed', 'write letters, digits, -, _ and ., at most 253');
    else if (typeof value !== 'string') refuse(scene, at, 'is not text', 'write the value in quotes');
    else texts.push([key, value]);
  }
  return texts;
}

export function createMaterial(
  secrets: ReadonlyMap<ObjectKey, Data>,
  configMaps: ReadonlyMap<ObjectKey, Data>,
  secretHosts: ReadonlyMap<ObjectKey, readonly string[]> = new Map(),
): Material {
  return {
    secret: key => secrets.get(key),
    configMap: key => configMaps.get(key),
    secretHosts: key => secretHosts.get(key),
    list: kind => [...(kind === 'Secret' ? secrets : configMaps)].map(([key, data]) => [key, [...data.keys()]]),
  };
}
