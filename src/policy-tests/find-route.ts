/** Which Api and operation of the manifests would serve a request, by the same match tables as the data path. */
import type { ObjectOfKind } from '../api/kinds/index.ts';
import { readPreflight } from '../decision/preflight.ts';
import type { HeaderFields } from '../http/head.ts';
import { createLookup } from '../material/material.ts';
import { compileSnapshot } from '../policy/compile.ts';
import type { ListenerPlan, Match, Snapshot } from '../policy/model.ts';
import type { Resources } from '../sources/source.ts';
import { assumePorts } from './assumed-ports.ts';

/** What a match depends on. */
export interface RouteRequest {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  readonly host: string;
  /** Of the URL; undefined: none was written. */
  readonly port: number | undefined;
  /** The canonical path; undefined when it is refused. */
  readonly target: { readonly path?: string | undefined };
}

export interface Workload {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Found {
  readonly snapshot: Snapshot;
  readonly listener: ListenerPlan;
  /** The listener's, or its name where manifests tell no number. */
  readonly port: number | string;
  readonly match: Match;
}

type Ports = ReturnType<typeof assumePorts>;

function compile(resources: Resources, workload: Workload, ports: Ports): Snapshot {
  const { objects, invalid, material, namespaces, hash } = resources;
  return compileSnapshot({
    objects,
    invalid,
    lookup: createLookup(material),
    workload: { ...workload, namespaceLabels: namespaces.get(workload.namespace) ?? {}, ports },
    generation: 1,
    hash,
    source: 'files',
  }).snapshot;
}

/** Every podSelector of an Api stands for a workload, unless the user says which one is meant. */
export function listWorkloads(
  objects: Resources['objects'],
  { namespace, labels }: { readonly namespace?: string | undefined; readonly labels?: Workload['labels'] | undefined },
): readonly Workload[] {
  const apis = objects.filter((object): object is ObjectOfKind<'Api'> => object.kind === 'Api');
  const workloads = new Map<string, Workload>();
  for (const { meta, spec } of apis) {
    if (namespace !== undefined && meta.namespace !== namespace) continue;
    const workload = { namespace: meta.namespace, labels: labels ?? spec.podSelector.matchLabels };
    workloads.set(JSON.stringify(workload), workload);
  }
  return [...workloads.values()];
}

const RANK: Readonly<Record<Match['kind'], number>> = { matched: 0, refused: 1 };

/** A port that ends TLS closes a connection that does not begin with it: there is no answer in HTTP. */
export const isDeaf = ({ scheme }: RouteRequest, { tls }: ListenerPlan): boolean =>
  scheme === 'http' && tls?.mode === 'Terminate';

/** A listener of a workload, with the snapshot it belongs to. */
export type Candidate = Omit<Found, 'match'>;

/** Every listener of every workload, compiled once. */
export function listListeners(resources: Resources, workloads: readonly Workload[]): readonly Candidate[] {
  const ports = assumePorts(resources.objects);
  const names = new Map(Object.entries(ports).map(([name, port]) => [port, name]));
  return workloads.flatMap(workload => {
    const snapshot = compile(resources, workload, ports);
    return [...snapshot.listeners.values()].map(listener => ({
      snapshot,
      listener,
      port: names.get(listener.port) ?? listener.port,
    }));
  });
}

/** As findRoute; a preflight that a `cors` step may answer is matched as the method that it asks for (P6). */
export function findRouteFor(
  all: readonly Candidate[],
  line: RouteRequest,
  headers: HeaderFields | undefined,
): Found | undefined {
  const asked = headers === undefined ? undefined : readPreflight({ method: line.method, headers });
  const wanted = asked === undefined ? undefined : findRoute(all, { ...line, method: asked });
  const isAnswered =
    wanted?.match.kind === 'matched' && wanted.match.route.pipeline.steps.some(({ type }) => type === 'cors');
  return isAnswered ? wanted : findRoute(all, line);
}

/**
 * The first match, of listeners that speak the scheme before others; where nothing matches, the refusal that the client
 * would get. A port in the URL chooses the listener only if some Api has it: outside a pod the port is usually the
 * Service's. Undefined where no path can be read, or nothing listens.
 */
export function findRoute(all: readonly Candidate[], line: RouteRequest): Found | undefined {
  const { path } = line.target;
  if (path === undefined) return undefined;
  const asked = all.filter(({ port }) => port === line.port);
  return (asked.length > 0 ? asked : all)
    .map(one => ({ ...one, match: one.listener.match(line.method, line.host, path) }))
    .toSorted(
      (a, b) =>
        RANK[a.match.kind] - RANK[b.match.kind] || Number(isDeaf(line, a.listener)) - Number(isDeaf(line, b.listener)),
    )[0];
}
