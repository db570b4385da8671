/** Checks of a whole spec that a schema cannot state and that need no other object. */
import type { KindName, SpecOf } from './kinds/index.ts';
import { BAD, refuse, type Scene } from './scene.ts';
import { quote } from './words.ts';

/** The spec itself, or BAD when something was refused. `spec` was made by the schema of `kind`. */
export function checkSpec(kind: KindName, spec: unknown, scene: Scene): unknown {
  const before = scene.violations.length;
  if (kind === 'Api') checkApi(spec as SpecOf<'Api'>, scene);
  return scene.violations.length === before ? spec : BAD;
}

function checkApi(spec: SpecOf<'Api'>, scene: Scene): void {
  if (spec.basePath !== undefined) checkSegments(spec.basePath, 'spec.basePath', scene);
  for (const [index, operation] of (spec.operations ?? []).entries()) {
    const field = `spec.operations[${index}].path`;
    checkSegments(operation.path, field, scene);
    const names = [...operation.path.matchAll(/\{([^}]*)\}/g)].map(([, name = '']) => name);
    const twice = names.find((name, at) => names.indexOf(name) !== at);
    if (twice !== undefined) {
      refuse(scene, field, `holds the parameter ${quote(twice)} twice`, 'give each parameter its own name');
    }
  }
}

/** Canonical paths hold no dot segments and no percent-encoded dots, so such a template would never match. */
function checkSegments(path: string, field: string, scene: Scene): void {
  const dots = path.split('/').find(segment => /^(\.|%2e){1,2}$/i.test(segment));
  if (dots !== undefined) refuse(scene, field, `holds the segment ${quote(dots)}, which no request has`, 'remove it');
}
