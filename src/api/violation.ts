/** What is wrong with a configuration: bad configuration is a list of these, never an exception. */

/** Where an object was read; the files source fills it in, the cluster has none. */
export interface SourcePosition {
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
}

export type Severity = 'error' | 'warning';

/**
 * What a violation is about, where another condition than Accepted=Invalid tells of it: a reference to what does not exist,
 * a target that does not exist, a conflict with an older object, a header that a sealed policy owns.
 */
export type Concern = 'Reference' | 'Target' | 'Conflict' | 'Override';

/**
 * One problem. `check` prints it as `file:line:field: problem, fix`.
 * `problem` and `fix` never carry a secret's value; they may quote what the user wrote in a policy.
 */
export interface Violation {
  readonly severity: Severity;
  /** `AuthPolicy shop/fleet`; empty when the document could not be read as an object. */
  readonly object: string;
  /** `spec.request[0].anyOf[1].clientCertificate.trust`; empty for the whole object. */
  readonly field: string;
  /** What is wrong: `names the ClientTrust "devises", which does not exist`. */
  readonly problem: string;
  /** What to do: `write "devices"`. */
  readonly fix: string;
  /** Absent: the object itself is wrong or questionable. */
  readonly concern?: Concern;
  /** A field, word or step that this version does not know; where a CRD let it through, it is of a newer version. */
  readonly unknown?: true;
  readonly position?: SourcePosition;
}
