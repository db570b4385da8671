/** What the pods of a class are handed: what their objects name, and nothing else. Pure. */
import type { KnownObject } from './objects.ts';
import type { NamedData, NamedEntry } from './named-data.ts';
import type { NamedMaterial } from '../material/named.ts';
import type { ConfigMapEntry, Gate, MaterialMessage, SecretEntry } from '../material/protocol.ts';
import type { Labels } from '../policy/inventory.ts';
import { canonicalize, digest } from '../sources/canonical.ts';
import { identifyManifest } from './objects.ts';

export interface MaterialInput {
  readonly named: NamedMaterial;
  readonly namespaceLabels: Labels;
  readonly data: NamedData;
  /** By identity. */
  readonly find: (id: string) => KnownObject | undefined;
  readonly gate: Gate | undefined;
  readonly requireLabel: boolean;
}

/** Undefined while something that is named is not known yet. */
export function buildMaterial(input: MaterialInput): MaterialMessage | undefined {
  const { named, namespaceLabels, data, find, gate } = input;
  const secrets: Record<string, SecretEntry | null> = {};
  const configMaps: Record<string, ConfigMapEntry | null> = {};
  for (const [key, { keys, permitted }] of named.secrets) {
    const entry = data.find('Secret', key);
    if (entry === undefined) return undefined;
    secrets[key] = permitted ? describeSecret(entry, keys, input) : null;
  }
  for (const [key, { keys }] of named.configMaps) {
    const entry = data.find('ConfigMap', key);
    if (entry === undefined) return undefined;
    configMaps[key] = entry === null ? null : { data: pick(entry, keys) };
  }
  const objects = Object.fromEntries([...named.objects].map(id => [id, find(id)?.manifest ?? null]));
  const passed = gate === undefined ? {} : { gate: narrowGate(gate, named) };
  const rest = { namespaceLabels, objects, secrets, configMaps, ...passed };
  return { type: 'material', hash: digest(canonicalize(rest)), ...rest };
}

const narrowGate = ({ policies }: Gate, { concerning }: NamedMaterial): Gate => ({
  policies: policies?.filter(policy => concerning.has(identifyManifest(policy))) ?? null,
});

/** A Secret whose owner did not release it is as good as absent. */
function describeSecret(
  entry: NamedEntry | null,
  keys: ReadonlySet<string>,
  { requireLabel }: MaterialInput,
): SecretEntry | null {
  if (entry === null || (requireLabel && !entry.released)) return null;
  const { type, allowedHosts } = entry;
  return { type, data: pick(entry, keys), ...(allowedHosts === undefined ? {} : { allowedHosts }) };
}

const pick = ({ data }: NamedEntry, keys: ReadonlySet<string>): Readonly<Record<string, string>> =>
  Object.fromEntries([...data].filter(([key]) => keys.has(key)));
