/** Apis and operations that nobody gets into, since no step of the policies that apply to them authenticates (S7). */
import type { ObjectOfKind, SallyportObject } from '../api/kinds/index.ts';
import type { Violation } from '../api/violation.ts';
import { listSome } from '../api/words.ts';
import { identify, matchLabels, type Labels } from '../policy/inventory.ts';
import { flattenRequest } from '../policy/flat-steps.ts';
import { isAuthentication } from '../policy/header-names.ts';
import type { Pipeline, Route, Snapshot } from '../policy/model.ts';
import { typeOf } from '../policy/step-compiler.ts';

/** Policies in one text. */
const MOST_NAMED = 3;

type Api = ObjectOfKind<'Api'>;

/** One warning for each Api of which every route is closed, else one for each closed route. */
export function findClosedRoutes(
  { listeners }: Pick<Snapshot, 'listeners'>,
  objects: readonly SallyportObject[],
): readonly Violation[] {
  const routes = [...listeners.values()].flatMap(listener => listener.routes);
  const byApi = Map.groupBy(routes, ({ api }) => api.key);
  return objects.flatMap(object => (object.kind === 'Api' ? judgeApi(object, byApi.get(object.key) ?? []) : []));
}

/**
 * Whether cluster policies that may let somebody in apply to the namespace only if it has labels that nobody knows:
 * it is not among the objects, and no labels that could be assumed suit all of them.
 */
export const mayBeLetIn = (objects: readonly SallyportObject[], assumed: Labels): boolean =>
  objects.some(
    object =>
      object.kind === 'ClusterAuthPolicy' &&
      !matchLabels(object.spec.namespaceSelector?.matchLabels ?? {}, assumed) &&
      flattenRequest(object.spec.request).some(({ step }) => isAuthentication(typeOf(step))),
  );

function judgeApi(api: Api, routes: readonly Route[]): readonly Violation[] {
  const closed = routes.filter(({ pipeline }) => isClosed(pipeline));
  if (closed.length === 0) return [];
  if (closed.length === routes.length) return [describe(api, closed, 'metadata.name')];
  return closed.map(route => describe(api, [route], fieldOf(api, route), route.operation));
}

/** P5: where something may answer in the app’s place the default stance does not apply. S6: what is invalid is told itself. */
const isClosed = ({ authenticates, steps }: Pipeline): boolean =>
  authenticates === 'Never' &&
  !steps.some(({ type, origin }) => type === 'invalid' || (type === 'respond' && !origin.audit));

function fieldOf({ spec }: Api, { operation }: Route): string {
  const index = (spec.operations ?? []).findIndex(({ name }) => name === operation);
  return index < 0 ? 'spec.unmatched' : `spec.operations[${index}].name`;
}

function describe(api: Api, routes: readonly Route[], field: string, operation?: string): Violation {
  const { name, namespace } = api.meta;
  const rest = field === 'spec.unmatched' ? 'that matches no operation ' : '';
  const fate =
    api.spec.protocol === 'TCP' ? 'every connection is refused with' : `every request ${rest}is answered 403`;
  const target = operation === undefined ? `name: ${name}` : `name: ${name}, sectionName: ${operation}`;
  const position = api.locate?.(field);
  return {
    severity: 'warning',
    object: identify(api),
    field,
    problem: `no policy lets anybody in${listSilent(routes)}: ${fate} NoPolicyMatches`,
    fix: `write an AuthPolicy of namespace ${namespace} with targetRefs: [{kind: Api, ${target}}] and a step that authenticates; anyOf: [{anonymous: {}}] opens it to all`,
    ...(position === undefined ? {} : { position }),
  };
}

/** Those that do apply. */
function listSilent(routes: readonly Route[]): string {
  const origins = routes.flatMap(({ pipeline }) => [...pipeline.steps, ...pipeline.response.steps]);
  const names = [...new Set(origins.map(({ origin }) => identify(origin)))].sort();
  if (names.length === 0) return '';
  return ` (${listSome(names, MOST_NAMED)} ${names.length === 1 ? 'has' : 'have'} no authentication step)`;
}
