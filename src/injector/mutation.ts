/** `/inject`: answers the API server's question what is to be changed in a pod that is made. */
import { isInForce } from '../policy/allowances.ts';
import {
  admit,
  admitWith,
  refuse,
  shortenWarnings,
  type AdmissionRequest,
  type AdmissionResponse,
} from './admission-review.ts';
import type { InjectorConfiguration, NamespaceFacts } from './configuration.ts';
import { patch, type RandomBytes } from './patch.ts';
import { findMisfit, isPod } from './pod-shape.ts';
import { describeRefusal } from './refusal.ts';

export interface MutationDeps {
  readonly configuration: () => InjectorConfiguration;
  /** Undefined: it is not known (yet). Allowances that have ended may be among its own. */
  readonly namespaceFacts: (name: string) => NamespaceFacts | undefined;
  readonly clock: () => number;
  readonly randomBytes: RandomBytes;
}

export function answerMutation(request: AdmissionRequest, deps: MutationDeps): AdmissionResponse {
  const { resource, subResource, operation, object, namespace } = request;
  if (resource !== 'pods' || subResource !== '' || operation !== 'CREATE') return admit(request);
  const facts = deps.namespaceFacts(namespace);
  if (facts === undefined) {
    const message = `the namespace ${namespace} is not known to the controller yet; try again in a moment`;
    return refuse(request, { code: 503, reason: 'ServiceUnavailable', message });
  }
  if (!isPod(object)) {
    const { field, problem } = findMisfit(object) ?? { field: '', problem: 'is no Pod' };
    return refuse(request, { code: 400, reason: 'BadRequest', message: `${field} ${problem}`.trim() });
  }
  const now = deps.clock();
  const inForce = { ...facts, allowances: facts.allowances.filter(allowance => isInForce(allowance, now)) };
  const result = patch(object, inForce, deps.configuration(), deps.randomBytes);
  switch (result.kind) {
    case 'skipped':
      return admit(request, { auditAnnotations: { skipped: result.why } });
    case 'refused': {
      const message = result.refusals.map(describeRefusal).join('\n');
      const causes = result.refusals.map(refusal => ({
        reason: 'FieldValueForbidden',
        message: `${refusal.problem}; ${refusal.fix}`,
        field: refusal.field,
      }));
      return refuse(request, { code: 403, reason: 'Forbidden', message, details: { causes } });
    }
    case 'patched': {
      const { operations, mode, warnings } = result;
      return admitWith(request, operations, {
        auditAnnotations: { injected: mode },
        ...(warnings.length === 0 ? {} : { warnings: shortenWarnings(warnings) }),
      });
    }
  }
}
