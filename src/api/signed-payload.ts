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
    if (piece === '$${') parts.push('${');
    else if (!piece.startsWith('${')) parts.push(piece);
    else {
      const hole = HOLES.get(piece);
      if (hole === undefined) return piece;
      parts.push(hole);
    }
  }
  return parts;
}
