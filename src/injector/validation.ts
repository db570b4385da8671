/**
 * `/validate`: what is wrong in an object of the group is refused when it is applied, by the parser and the compiler that
 * `sallyport check` and the sidecars use. What depends on other objects is a warning at most: they arrive in any order.
 */
import { isDeepStrictEqual } from 'node:util';
import type { SallyportObject } from '../api/kinds/index.ts';
import { GROUP } from '../api/object.ts';
import { parseObject } from '../api/parse.ts';
import type { Violation } from '../api/violation.ts';
import { compileSnapshot, type CompileWorkload } from '../policy/compile.ts';
import { admit, refuse, shortenWarnings, type AdmissionRequest, type AdmissionResponse } from './admission-review.ts';

/** What is wrong with an object in view of those that exist; violations of other objects are left out. */
export type CheckAmongOthers = (object: SallyportObject) => readonly Violation[];

const MOST_CAUSES = 32;

export function answerValidation(request: AdmissionRequest, checkAmongOthers?: CheckAmongOthers): AdmissionResponse {
  const { group, subResource, operation, object, oldObject, namespace } = request;
  if (group !== GROUP || subResource !== '' || (operation !== 'CREATE' && operation !== 'UPDATE'))
    return admit(request);
  // What is stored already may have been let in by an older version: labels, finalizers and deletion must not hang on it.
  if (operation === 'UPDATE' && isDeepStrictEqual(readSpec(object), readSpec(oldObject))) return admit(request);
  const { object: parsed, violations } = parseObject(object, undefined, { defaultNamespace: namespace });
  const alone = parsed === undefined ? [] : checkAlone(parsed);
  const own = [...violations, ...alone].filter(({ concern }) => concern === undefined);
  const errors = own.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) return refuse(request, describeErrors(errors));
  const others = parsed === undefined ? [] : (checkAmongOthers?.(parsed) ?? []);
  const known = new Set(own.map(describe));
  const warnings = [...own.map(describe), ...others.map(describe).filter(text => !known.has(text))];
  return admit(request, warnings.length === 0 ? {} : { warnings: shortenWarnings([...new Set(warnings)]) });
}

const describe = ({ field, problem, fix }: Violation): string =>
  `${field === '' ? '' : `${field}: `}${problem}, ${fix}`;

function describeErrors(errors: readonly Violation[]): NonNullable<AdmissionResponse['status']> {
  const causes = errors.slice(0, MOST_CAUSES).map(({ field, problem, fix }) => ({
    reason: 'FieldValueInvalid',
    message: `${problem}, ${fix}`,
    field,
  }));
  const lines = errors.slice(0, MOST_CAUSES).map(describe);
  const more = errors.length > MOST_CAUSES ? [`and ${errors.length - MOST_CAUSES} more`] : [];
  const message = [...lines, ...more].join('\n');
  return { code: 422, reason: 'Invalid', message, details: { causes } };
}

const readSpec = (object: unknown): unknown =>
  typeof object === 'object' && object !== null && 'spec' in object ? object.spec : undefined;

/** The problems that the object has whatever else there is: compiled with nothing around it. */
function checkAlone(object: SallyportObject): readonly Violation[] {
  const { snapshot } = compileSnapshot({
    objects: [object],
    invalid: [],
    lookup: () => undefined,
    workload: imagineWorkload(object),
    generation: 0,
    hash: '',
    source: 'kubernetes',
  });
  return snapshot.violations;
}

/** A port by name is one that the workload has. */
const ANY_PORT = 1;

/** One that the object applies to. */
function imagineWorkload(object: SallyportObject): CompileWorkload {
  const { kind, spec, meta } = object;
  if (kind === 'ClusterAuthPolicy') {
    return { namespace: 'default', namespaceLabels: spec.namespaceSelector?.matchLabels ?? {}, labels: {} };
  }
  const base = { namespace: meta.namespace, namespaceLabels: {} };
  if (kind !== 'Api') return { ...base, labels: {} };
  const ports = typeof spec.port === 'string' ? { [spec.port]: ANY_PORT } : {};
  return { ...base, labels: spec.podSelector.matchLabels, ports };
}
