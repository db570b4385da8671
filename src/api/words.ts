/** Words of problems and fixes: what the user wrote, quoted so that it can do no harm to a terminal or a log. */

const QUOTED_LENGTH = 64;
/** Characters that JSON leaves as they are and that hide or reorder text: DEL, C1 and bidirectional controls. */
const UNPRINTABLE = /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Text in double quotes on one line, cut at 64 characters; control characters escaped. */
export function quote(text: string): string {
  const cut = text.length > QUOTED_LENGTH ? `${text.slice(0, QUOTED_LENGTH)}…` : text;
  return JSON.stringify(cut.toWellFormed()).replace(
    UNPRINTABLE,
    character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** `"a", "b" or "c"`, without quotes where `plain`. */
export function listWords(words: readonly string[], joint: 'or' | 'and'): string {
  const last = words.at(-1) ?? '';
  return words.length < 2 ? last : `${words.slice(0, -1).join(', ')} ${joint} ${last}`;
}

/** `a, b, c and 4 more`: no more than `most` of the names. */
export function listSome(names: readonly string[], most: number): string {
  if (names.length <= most) return listWords(names, 'and');
  return `${names.slice(0, most).join(', ')} and ${names.length - most} more`;
}

/** What a value is, with its text where that helps: `is the string "ten"`, `is a list`, `is empty`. */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'is missing';
  if (value === null) return 'is empty';
  if (Array.isArray(value)) return 'is a list';
  if (typeof value === 'string') return value === '' ? 'is an empty string' : `is the string ${quote(value)}`;
  if (typeof value === 'number') return `is the number ${String(value)}`;
  if (typeof value === 'boolean') return `is ${String(value)}`;
  return 'is an object';
}

/** The known name that was probably meant, or undefined when none is near. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const folded = name.toLowerCase();
  const allowed = Math.min(2, Math.floor(folded.length / 3));
  let best: { name: string; distance: number } | undefined;
  for (const candidate of known) {
    const distance = editDistance(folded, candidate.toLowerCase(), allowed);
    if (distance <= allowed && (best === undefined || distance < best.distance)) best = { name: candidate, distance };
  }
  return best?.name;
}

/** Insertions, removals, replacements and swaps of neighbours between two words; past `limit` only that it is more. */
function editDistance(from: string, to: string, limit: number): number {
  if (Math.abs(from.length - to.length) > limit) return limit + 1;
  let before: number[] = [];
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const same = from[row - 1] === to[column - 1];
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      current.push(
        Math.min(
          (previous[column] ?? Infinity) + 1,
          (current[column - 1] ?? Infinity) + 1,
          (previous[column - 1] ?? Infinity) + (same ? 0 : 1),
          swapped ? (before[column - 2] ?? Infinity) + 1 : Infinity,
        ),
      );
    }
    before = previous;
    previous = current;
  }
  return previous[to.length] ?? limit + 1;
}
