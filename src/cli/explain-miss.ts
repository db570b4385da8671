/** Why no operation serves a request: how far it gets, in words of the manifests. */
import type { ObjectOfKind } from '../api/kinds/index.ts';
import { listWords } from '../api/words.ts';
import { normalizeHost } from '../policy/apis.ts';
import type { Resources } from '../sources/source.ts';
import type { RequestLine } from './explain-input.ts';
import type { Found, Workload } from '../policy-tests/find-route.ts';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const MOST_NAMED = 5;

type ApiObject = ObjectOfKind<'Api'>;

/** Undefined when an operation, or a whole Api, serves it. */
export function describeMiss(
  resources: Resources,
  workloads: readonly Workload[],
  line: RequestLine,
  found: Found | undefined,
): string | undefined {
  const { path } = line.target;
  if (path === undefined) return 'not matched: the path is refused first';
  if (found === undefined) return 'nothing: no Api of the manifests listens';
  if (found.match.kind === 'matched') return undefined;
  const { reason, api } = found.match;
  if (reason === 'AmbiguousPath') return 'not matched: the path is refused first';
  if (reason !== 'OperationNotFound') return `nothing${api === undefined ? '' : ` of Api ${api.key}`}`;
  const namespaces = new Set(workloads.map(({ namespace }) => namespace));
  const apis = resources.objects.filter(
    (object): object is ApiObject => object.kind === 'Api' && namespaces.has(object.meta.namespace),
  );
  const serving = apis.filter(({ spec }) => hasHost(spec.hosts, line.host));
  return serving.length === 0 ? missHost(apis, line.host) : missOperation(serving, line, path, found);
}

function hasHost(hosts: readonly string[] | undefined, host: string): boolean {
  if (hosts === undefined || hosts.length === 0) return true;
  const wildcard = host.replace(/^[^.]+/, '*');
  return hosts.some(one => [host, wildcard].includes(normalizeHost(one)));
}

function missHost(apis: readonly ApiObject[], host: string): string {
  const hosts = [...new Set(apis.flatMap(({ spec }) => spec.hosts ?? []))].sort();
  return `nothing: no Api has the host ${host}; the manifests have ${listSome(hosts)}`;
}

const listSome = (names: readonly string[]): string =>
  names.length <= MOST_NAMED
    ? listWords(names, 'and')
    : `${names.slice(0, MOST_NAMED).join(', ')} and ${names.length - MOST_NAMED} more`;

function missOperation(
  serving: readonly ApiObject[],
  { method, host }: RequestLine,
  path: string,
  found: Found,
): string {
  const names = listSome(serving.map(({ key }) => key));
  const others = METHODS.filter(other => found.listener.match(other, host, path).kind === 'matched');
  const has = serving.length === 1 ? `Api ${names} matches` : `the Apis ${names} match`;
  const hint = others.length > 0 ? `; the path has ${listWords(others, 'and')}` : tellBase(serving);
  return `nothing: ${has} the host, but no operation has ${method} ${path}${hint}`;
}

function tellBase(serving: readonly ApiObject[]): string {
  const bases = [...new Set(serving.map(({ spec }) => spec.basePath ?? '/'))];
  return bases.includes('/') ? '' : `; paths begin with ${listSome(bases)}`;
}
