/** Objects that could not be parsed and have no last good content (S6): what can still be told of where they apply. */
import type { InvalidObject } from '../api/object.ts';
import { objectKey } from '../api/object.ts';
import { normalizeHost } from './apis.ts';
import { identifyInvalid, matchLabels, type Labels } from './inventory.ts';
import type { PolicyInForce } from './in-force.ts';
import type { Targets, Workload } from './scopes.ts';

type Raw = Readonly<Record<string, unknown>>;

const isRaw = (value: unknown): value is Raw => typeof value === 'object' && value !== null && !Array.isArray(value);
const member = (value: unknown, name: string): unknown =>
  isRaw(value) && Object.hasOwn(value, name) ? value[name] : undefined;

/** Labels as far as they can be read; undefined when they cannot, which narrows nothing. */
function readLabels(value: unknown): Labels | undefined {
  if (!isRaw(value)) return undefined;
  const entries = Object.entries(value);
  return entries.every(([, label]) => typeof label === 'string') ? (value as Labels) : undefined;
}

/** A policy that stops what it would apply to. What cannot be read of its targets does not narrow them. */
export function holdPolicy(invalid: InvalidObject, workload: Workload): PolicyInForce | undefined {
  const { kind, namespace, name, manifest } = invalid;
  if (kind !== 'AuthPolicy' && kind !== 'ClusterAuthPolicy') return undefined;
  const spec = member(manifest, 'spec');
  const cluster = kind === 'ClusterAuthPolicy';
  if (cluster) {
    const wanted = readLabels(member(member(spec, 'namespaceSelector'), 'matchLabels'));
    if (wanted !== undefined && !matchLabels(wanted, workload.namespaceLabels)) return undefined;
  } else if (namespace !== workload.namespace) return undefined;
  const refs = cluster ? [] : readRefs(member(spec, 'targetRefs'));
  const selectors = readSelectors(member(spec, 'targetSelectors'));
  const readable = refs !== undefined && selectors !== undefined;
  const everywhere = !readable || (refs.length === 0 && selectors.length === 0);
  const targets: Targets = {
    id: identifyInvalid(invalid),
    name,
    cluster,
    inherit: 'Before',
    everywhere,
    refs: refs ?? [],
    selectors: selectors ?? [],
  };
  const key = objectKey(namespace, name);
  return { kind, key, targets, generation: 0, createdAt: 0, sealed: true, audit: false };
}

function readRefs(value: unknown): Targets['refs'] | undefined {
  if (value === undefined) return [];
  if (!Array.isArray(value)) return undefined;
  const refs = value.map((item: unknown) => ({ name: member(item, 'name'), sectionName: member(item, 'sectionName') }));
  const readable = refs.every(
    (ref): ref is { name: string; sectionName: string | undefined } =>
      typeof ref.name === 'string' && (ref.sectionName === undefined || typeof ref.sectionName === 'string'),
  );
  if (!readable) return undefined;
  return refs.map(({ name, sectionName }) => (sectionName === undefined ? { name } : { name, sectionName }));
}

function readSelectors(value: unknown): readonly Labels[] | undefined {
  if (value === undefined) return [];
  if (!Array.isArray(value)) return undefined;
  const labels = value.map((item: unknown) => readLabels(member(item, 'matchLabels')));
  return labels.every(set => set !== undefined) ? labels : undefined;
}

/** An Api that cannot be served: what it would serve is 503. */
export interface HeldApi {
  /** Absent: unknown, so on every port. */
  readonly port?: number;
  /** Empty: any. */
  readonly hosts: readonly string[];
  readonly basePath: string;
  readonly foldCase: boolean;
  /** As far as it can be read: a port that speaks TLS says its 503 by TLS. */
  readonly tls?: { readonly mode: 'Terminate' | 'Permissive'; readonly secret: string };
}

interface HoldingWorkload extends Workload {
  readonly labels: Labels;
  readonly ports?: Readonly<Record<string, number>>;
}

export function holdApi(invalid: InvalidObject, workload: HoldingWorkload): HeldApi | undefined {
  if (invalid.kind !== 'Api' || invalid.namespace !== workload.namespace) return undefined;
  const spec = member(invalid.manifest, 'spec');
  const wanted = readLabels(member(member(spec, 'podSelector'), 'matchLabels'));
  if (wanted !== undefined && !matchLabels(wanted, workload.labels)) return undefined;
  const port = readPort(member(spec, 'port'), workload);
  const tls = readTls(member(spec, 'tls'), workload.namespace);
  const hosts = member(spec, 'hosts');
  const basePath = member(spec, 'basePath');
  const readable = Array.isArray(hosts) && hosts.every(host => typeof host === 'string');
  return {
    ...(port === undefined ? {} : { port }),
    ...(tls === undefined ? {} : { tls }),
    hosts: readable ? hosts.map(normalizeHost) : [],
    basePath: typeof basePath === 'string' && basePath.startsWith('/') ? basePath : '',
    foldCase: true,
  };
}

function readPort(value: unknown, { ports }: HoldingWorkload): number | undefined {
  if (typeof value === 'number') return value;
  const number = typeof value === 'string' ? member(ports, value) : undefined;
  return typeof number === 'number' ? number : undefined;
}

function readTls(value: unknown, namespace: string): HeldApi['tls'] {
  const secretName = member(member(value, 'certificate'), 'secretName');
  if (typeof secretName !== 'string') return undefined;
  const mode = member(value, 'mode') === 'Permissive' ? 'Permissive' : 'Terminate';
  return { mode, secret: `${namespace}/${secretName}` };
}
