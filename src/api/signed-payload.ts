/** The text that a signature is over (E9): literal pieces and three holes for raw bytes. */

export interface Hole {
  readonly hole: 'body' | 'timestamp' | 'id';
}
/** A literal, or the place of what was received. */
export type PayloadPart = string | Hole;

export const BODY: Hole = { hole: 'body' };
export const TIMESTAMP: Hole = { hole: 'timestamp' };
export const ID: Hole = { hole: 'id' };

const HOLES: ReadonlyMap<string, Hole> = new Map([
  ['${body}', BODY],
  ['${timestamp}', TIMESTAMP],
  ['${id}', ID],
]);

/** The parts in order, or the hole that means nothing. `$${` is a literal `${`. */
export function parsePayload(text: string): readonly PayloadPart[] | string {
  const parts: PayloadPart[] = [];
  for (const piece of text.match(/\$\$\{|\$\{[^}]*\}?|[^$]+|\$/g) ?? []) {
    if (piece === '$${') pushText(parts, '${');
    else if (!piece.startsWith('${')) pushText(parts, piece);
    else {
      const hole = HOLES.get(piece);
      if (hole === undefined) return piece;
      parts.push(hole);
    }
  }
  return parts;
}

/** Neighbouring literals are one. */
function pushText(parts: PayloadPart[], text: string): void {
  const last = parts.at(-1);
  if (typeof last === 'string') parts[parts.length - 1] = last + text;
  else parts.push(text);
}

export interface Ambiguity {
  readonly problem: string;
  readonly fix: string;
}

/**
 * Why a signed text could be cut into its parts in two ways, so that one signature would be good for two messages.
 * Undefined: it can be cut in one way only. What stands before ${body} is read from the left, each part up to its
 * separator; what stands after it from the right. So each needs a literal on the side of the body, which a time (digits)
 * cannot hold, and which an id that holds it is refused for (idBound).
 */
export function findAmbiguity(parts: readonly PayloadPart[]): Ambiguity | undefined {
  const body = parts.indexOf(BODY);
  for (const [at, part] of parts.entries()) {
    if (typeof part === 'string' || part === BODY) continue;
    const name = `\${${part.hole}}`;
    if (parts.indexOf(part) !== at) {
      return { problem: `holds ${name} twice`, fix: 'write it once' };
    }
    const isBefore = at < body;
    const neighbour = parts[isBefore ? at + 1 : at - 1];
    if (typeof neighbour !== 'string') {
      const [left, right] = [isBefore ? part : neighbour, isBefore ? neighbour : part];
      const pair = `\${${left?.hole ?? ''}}\${${right?.hole ?? ''}}`;
      return {
        problem: `holds ${pair}: nobody can tell where the one ends and the other begins, so one signature is good for several messages`,
        fix: `put a literal between them, such as ${pair.replace('}$', '}.$')}, if the sender signs one`,
      };
    }
    if (part === TIMESTAMP && /[0-9]/.test((isBefore ? neighbour.at(0) : neighbour.at(-1)) ?? '')) {
      return {
        problem: `has a digit beside ${name}: nobody can tell where the time ends`,
        fix: 'put a literal that is no digit between them, if the sender signs one',
      };
    }
  }
  return undefined;
}

export interface IdBound {
  /** As bytes, one a character (Latin-1), like a header's value. */
  readonly separator: string;
  /** Whether it follows the id. */
  readonly follows: boolean;
}

/** What divides the id from the body; undefined without ${id}. For payloads without ambiguity. */
export function findIdBound(parts: readonly PayloadPart[]): IdBound | undefined {
  const at = parts.indexOf(ID);
  if (at < 0) return undefined;
  const follows = at < parts.indexOf(BODY);
  const separator = parts[follows ? at + 1 : at - 1];
  if (typeof separator !== 'string') return undefined;
  return { separator: String.fromCharCode(...new TextEncoder().encode(separator)), follows };
}

/**
 * Whether the separator is found where the id ends and nowhere before: an id with a dot could take in what was signed as
 * the time or the body. An end that only overlaps it (`a` before `aa`) counts too.
 */
export const keepsBound = (id: string, { separator, follows }: IdBound): boolean =>
  follows ? (id + separator).indexOf(separator) === id.length : (separator + id).lastIndexOf(separator) === 0;
