/** What the parser carries along while it walks one object: who it is, what is wrong with it, where it was written. */
import type { Locate } from './object.ts';
import type { Severity, Violation } from './violation.ts';

export interface Scene {
  /** `AuthPolicy shop/fleet`. */
  readonly object: string;
  /** Names of other objects are `namespace/name` and key references carry `namespace`. */
  readonly clusterScoped: boolean;
  readonly violations: Violation[];
  readonly locate: Locate | undefined;
}

/** Stands for a value that could not be parsed; its violations are reported already. */
export const BAD = Symbol('bad value');

export function report(scene: Scene, severity: Severity, field: string, problem: string, fix: string): typeof BAD {
  const position = scene.locate?.(field);
  const { object, violations } = scene;
  violations.push({ severity, object, field, problem, fix, ...(position === undefined ? {} : { position }) });
  return BAD;
}

export const refuse = (scene: Scene, field: string, problem: string, fix: string): typeof BAD =>
  report(scene, 'error', field, problem, fix);

/** For what may be right in a newer version. */
export function refuseUnknown(scene: Scene, field: string, problem: string, fix: string): typeof BAD {
  refuse(scene, field, problem, fix);
  const last = scene.violations.pop();
  if (last !== undefined) scene.violations.push({ ...last, unknown: true });
  return BAD;
}
