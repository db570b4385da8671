/** Which headers of an answer a hideBackend step removes, worked out once per name. */

const REMEMBERED = 256;

/**
 * `remove` holds lower-case names, a trailing `*` is a prefix; `keep` wins over both. Apps invent few header names, so the
 * answers are remembered; when there are too many they are forgotten and worked out again.
 */
export function createHeaderMatcher(remove: readonly string[], keep: readonly string[]): (lower: string) => boolean {
  const prefixes = remove.filter(name => name.endsWith('*')).map(name => name.slice(0, -1));
  const exact = new Set(remove);
  const kept = new Set(keep);
  const known = new Map<string, boolean>();
  return lower => {
    const remembered = known.get(lower);
    if (remembered !== undefined) return remembered;
    const removes = !kept.has(lower) && (exact.has(lower) || prefixes.some(prefix => lower.startsWith(prefix)));
    if (known.size >= REMEMBERED) known.clear();
    known.set(lower, removes);
    return removes;
  };
}
