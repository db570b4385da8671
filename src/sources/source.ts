/** sources: floor 2. Where resources come from: files, or the API server and the controller. One interface. */
import type { SallyportObject } from '../api/kinds/index.ts';
import type { InvalidObject } from '../api/object.ts';
import type { Violation } from '../api/violation.ts';
import type { Material } from '../material/material.ts';

/** Everything a source knows at one moment, last good content where the newest is bad. */
export interface Resources {
  /**
   * False until everything was readable once: a part of the content (a file with broken YAML, a missing folder) could
   * not be read and has no last good content, so nobody can tell which policies are missing. `objects`, `invalid` are
   * then empty: the sidecar is not ready and answers 503 PolicyNotLoaded (S6). Stays true once it is true.
   */
  readonly complete: boolean;
  readonly objects: readonly SallyportObject[];
  /**
   * Objects that the newest content of the source holds but that could not be parsed and have no last good content
   * (S6): what they would apply to is 503 PolicyInvalid. `labels`, `targets` are what could be read of them.
   */
  readonly invalid: readonly InvalidObject[];
  /** `AuthPolicy shop/fleet`: what stands here with its last good content, since the newest cannot be used (S6). */
  readonly kept: readonly string[];
  readonly material: Material;
  /** Labels of the workload, where the source knows them: those of the pod. Absent: as the command line says. */
  readonly labels?: Readonly<Record<string, string>>;
  /**
   * What was in force before this process began, to be compiled and remembered (S6) but not published: the newest follows.
   */
  readonly rehearsal?: true;
  /** Labels of the namespaces that the source knows, by name. */
  readonly namespaces: ReadonlyMap<string, Readonly<Record<string, string>>>;
  /** SHA-256 (hex) over everything above. */
  readonly hash: string;
  /** Problems of the newest content, whether or not last good content stands in for it. */
  readonly violations: readonly Violation[];
}

/** What the compiler made of resources. */
export interface Outcome {
  /** `AuthPolicy shop/fleet`: its last good generation is in force, since the newest cannot be compiled (S6). */
  readonly kept: readonly string[];
  readonly violations: readonly Violation[];
}

export interface Source {
  /**
   * Resolves when the first content was read (even when it was bad). `onChange` answers what became of it; undefined: it
   * was not compiled.
   */
  start(onChange: (resources: Resources) => Outcome | undefined): Promise<void>;
  stop(): Promise<void>;
}

/** For logs: how many objects S6 keeps. */
export const describeKept = (count: number): string =>
  count === 1 ? '1 object kept at its last good content' : `${count} objects kept at their last good content`;
