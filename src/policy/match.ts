/**
 * Match tables: which route serves a request (M1–M3). A tree of path segments per host, so that the cost grows with the
 * length of the path and not with the number of operations.
 */
import type { Match, ErrorsPlan, Route } from './model.ts';
import { percentDecode } from './encoding.ts';
import { foldSegment, type PathTemplate } from './path-template.ts';

export interface MatchEntry {
  /** Host name as in RequestView, `*.x` for one label before x; absent: any host. */
  readonly host?: string;
  readonly template: PathTemplate;
  /** M1: everything under the template, itself included, after all operations. */
  readonly rest: boolean;
  /** Absent: any method. */
  readonly methods?: readonly string[];
  readonly foldCase: boolean;
  readonly foldSlash: boolean;
  /** What serves it, or why nothing does. */
  readonly target: Route | Extract<Match, { kind: 'refused' }>;
}

interface Target {
  readonly match: Match;
  readonly route?: Route;
  /** Which segments are parameters. */
  readonly parameters: readonly { readonly name: string; readonly index: number }[];
  /** By segment: 2 literal, 1 parameter, 0 wildcard, -1 rest. */
  readonly rank: readonly number[];
  readonly withMethod: boolean;
}

interface Leaf {
  readonly byMethod: Map<string, Target>;
  any?: Target;
}

interface Node {
  readonly literals: Map<string, Node>;
  parameter?: Node;
  end?: Leaf;
  wildcard?: Leaf;
  rest?: Leaf;
}

interface Tree {
  readonly foldCase: boolean;
  readonly foldSlash: boolean;
  readonly root: Node;
}

const createNode = (): Node => ({ literals: new Map() });

/** Counts for tests: a call per node looked at. */
export type OnVisit = () => void;

export interface MatcherOptions {
  /** For 404 and 400: before a match is known (S5). */
  readonly errors: ErrorsPlan;
  readonly onVisit?: OnVisit;
}

/** Entries of equal specificity: the first one given wins. */
export function createMatcher(
  entries: readonly MatchEntry[],
  { errors, onVisit }: MatcherOptions,
): (method: string, host: string, path: string) => Match | undefined {
  const exact = new Map<string, Tree[]>();
  const suffixes = new Map<string, Tree[]>();
  const anywhere: Tree[] = [];
  for (const entry of entries) insert(findTree(treesOf(entry.host, exact, suffixes, anywhere), entry), entry);
  const suffixesOf = (host: string): readonly Tree[] | undefined => {
    const dot = suffixes.size === 0 ? 0 : host.indexOf('.');
    return dot > 0 ? suffixes.get(host.slice(dot + 1)) : undefined;
  };
  const ambiguous: Match = { kind: 'refused', reason: 'AmbiguousPath', errors };
  return (method, host, path) => {
    const find = (trees: readonly Tree[] | undefined): Target | undefined =>
      trees === undefined ? undefined : findBest(trees, method, path, onVisit);
    const target = find(exact.get(host)) ?? find(suffixesOf(host)) ?? find(anywhere);
    return target === undefined ? undefined : finish(target, path, ambiguous);
  };
}

function treesOf(
  host: string | undefined,
  exact: Map<string, Tree[]>,
  suffixes: Map<string, Tree[]>,
  anywhere: Tree[],
): Tree[] {
  if (host === undefined) return anywhere;
  const [map, key] = host.startsWith('*.') ? [suffixes, host.slice(2)] : [exact, host];
  const trees = map.get(key) ?? [];
  map.set(key, trees);
  return trees;
}

function findTree(trees: Tree[], { foldCase, foldSlash }: MatchEntry): Tree {
  const found = trees.find(tree => tree.foldCase === foldCase && tree.foldSlash === foldSlash);
  if (found !== undefined) return found;
  const tree = { foldCase, foldSlash, root: createNode() };
  trees.push(tree);
  return tree;
}

function insert(tree: Tree, entry: MatchEntry): void {
  const { template } = entry;
  let node = tree.root;
  for (const segment of template.segments) {
    if (segment.kind === 'parameter') node = node.parameter ??= createNode();
    else node = childOf(node, tree.foldCase ? foldKey(segment.literal) : segment.literal);
  }
  const target = createTarget(entry);
  if (entry.rest) node.rest = addTarget(node.rest, entry, target);
  else if (template.wildcard) node.wildcard = addTarget(node.wildcard, entry, target);
  else if (!tree.foldSlash && template.trailingSlash) {
    const below = childOf(node, '');
    below.end = addTarget(below.end, entry, target);
  } else node.end = addTarget(node.end, entry, target);
}

/** `path: /` is basePath with and without the slash (M2); the second form only exists where the slash counts. */
export function expandRoot(entry: MatchEntry, path: string): readonly MatchEntry[] {
  if (path !== '/' || entry.foldSlash || entry.template.segments.length === 0) return [entry];
  return [entry, { ...entry, template: { ...entry.template, trailingSlash: true } }];
}

function childOf(node: Node, key: string): Node {
  const child = node.literals.get(key) ?? createNode();
  node.literals.set(key, child);
  return child;
}

function addTarget(leaf: Leaf | undefined, entry: MatchEntry, target: Target): Leaf {
  const result: Leaf = leaf ?? { byMethod: new Map() };
  if (entry.methods === undefined) result.any ??= target;
  for (const method of entry.methods ?? []) {
    if (!result.byMethod.has(method)) result.byMethod.set(method, target);
  }
  return result;
}

const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze(Object.create(null) as Record<string, string>);

function createTarget({ target, template, methods, rest }: MatchEntry): Target {
  const parameters = template.segments.flatMap((segment, index) =>
    segment.kind === 'parameter' ? [{ name: segment.name, index }] : [],
  );
  const rank: number[] = template.segments.map(segment => (segment.kind === 'literal' ? 2 : 1));
  if (template.wildcard || rest) rank.push(rest ? -1 : 0);
  const common = { parameters, rank, withMethod: methods !== undefined };
  if ('kind' in target) return { match: target, ...common };
  return { match: { kind: 'matched', route: target, params: NO_PARAMS }, route: target, ...common };
}

function findBest(trees: readonly Tree[], method: string, path: string, onVisit?: OnVisit): Target | undefined {
  let best: Target | undefined;
  for (const tree of trees) {
    const keys = readKeys(path, tree);
    // No segment at all is not one empty segment.
    const found = walk(tree.root, keys, path === '/' ? 1 : 0, method, tree.foldSlash, onVisit);
    if (found !== undefined && (best === undefined || isMoreSpecific(found, best))) best = found;
  }
  return best;
}

function isMoreSpecific(left: Target, right: Target): boolean {
  const length = Math.max(left.rank.length, right.rank.length);
  for (let i = 0; i < length; i += 1) {
    // A template that has ended is an exact end here, since both match the same path.
    const difference = (left.rank[i] ?? 0.5) - (right.rank[i] ?? 0.5);
    if (difference !== 0) return difference > 0;
  }
  return left.withMethod && !right.withMethod;
}

/** A slash that was escaped parts no segments. A lone surrogate is in no path, since these decode to whole characters. */
const foldKey = (segment: string): string => foldSegment(segment).replaceAll('/', '\ud800');

/** Keys of a path's segments in a tree, between slashes; they are cut out where the walk comes by. */
function readKeys(path: string, { foldCase, foldSlash }: Tree): string {
  const trimmed = path.endsWith('/') && foldSlash ? path.slice(1, -1) : path.slice(1);
  if (!foldCase) return trimmed;
  return trimmed.includes('%') ? trimmed.split('/').map(foldKey).join('/') : trimmed.toLowerCase();
}

/** The most specific target below a node from the key at `at`: literal, then parameter, then wildcard. Visits no node twice. */
function walk(
  node: Node,
  keys: string,
  at: number,
  method: string,
  foldSlash: boolean,
  onVisit: OnVisit | undefined,
): Target | undefined {
  onVisit?.();
  if (at > keys.length) {
    return pick(node.end, method) ?? (foldSlash ? pick(node.wildcard, method) : undefined) ?? pick(node.rest, method);
  }
  const slash = keys.indexOf('/', at);
  const end = slash < 0 ? keys.length : slash;
  const key = keys.slice(at, end);
  const literal = node.literals.get(key);
  const found = literal === undefined ? undefined : walk(literal, keys, end + 1, method, foldSlash, onVisit);
  if (found !== undefined) return found;
  const below =
    node.parameter === undefined || key === ''
      ? undefined
      : walk(node.parameter, keys, end + 1, method, foldSlash, onVisit);
  return below ?? pick(node.wildcard, method) ?? pick(node.rest, method);
}

function pick(leaf: Leaf | undefined, method: string): Target | undefined {
  if (leaf === undefined) return undefined;
  return leaf.byMethod.get(method) ?? (method === 'HEAD' ? leaf.byMethod.get('GET') : undefined) ?? leaf.any;
}

function finish({ match, route, parameters }: Target, path: string, ambiguous: Match): Match {
  if (route === undefined || parameters.length === 0) return match;
  const segments = path.slice(1).split('/');
  const params = Object.create(null) as Record<string, string>;
  for (const { name, index } of parameters) {
    const value = readParameter(segments[index] ?? '');
    if (value === undefined) return ambiguous;
    params[name] = value;
  }
  return { kind: 'matched', route, params };
}

/** Decoded once (M2); undefined when back ends would read it in different ways. */
function readParameter(segment: string): string | undefined {
  const value = percentDecode(segment);
  if (value === undefined || value === '.' || value === '..') return undefined;
  return value === segment || !/[/\\%\u0000-\u001f\u007f-\u009f]/.test(value) ? value : undefined;
}
