/** The list of revoked devices: thumbprints, one a line. */

export interface RevocationList {
  /** Upper-case hex: SHA-1 (40 digits) or SHA-256 (64). */
  readonly thumbprints: ReadonlySet<string>;
  /** Lines, counted from 1, that are no thumbprint. Whom they were meant to revoke nobody can tell, so nobody is clear. */
  readonly badLines: readonly number[];
}

/**
 * Reads a list in any case, with or without colons and spaces; `#` starts a comment, empty lines are skipped. An empty list
 * revokes nobody.
 */
export function parseRevocationList(text: string): RevocationList {
  const thumbprints = new Set<string>();
  const badLines: number[] = [];
  text.split('\n').forEach((line, index) => {
    const digits = (line.split('#', 1)[0] ?? '').replace(/[\s:\ufeff]/g, '').toUpperCase();
    if (/^(?:[0-9A-F]{40}|[0-9A-F]{64})$/.test(digits)) thumbprints.add(digits);
    else if (digits !== '') badLines.push(index + 1);
  });
  return { thumbprints, badLines };
}
