/** A policy as it is in force: the newest that is valid, its last good generation, or a mark that it has neither (S6). */
import type { ObjectKey } from '../api/object.ts';
import type { Origin, Scope } from './model.ts';
import type { PolicyBody } from './policy-body.ts';
import { SCOPE_ORDER, type Participation, type PolicyObject, type Targets } from './scopes.ts';
import type { CompiledStep } from './steps.ts';

export interface PolicyInForce {
  readonly kind: Origin['kind'];
  readonly key: ObjectKey;
  readonly targets: Targets;
  readonly generation: number;
  readonly createdAt: number;
  readonly sealed: boolean;
  readonly audit: boolean;
  /** The object it was compiled from, for the lines of violations; absent when it could not be parsed. */
  readonly object?: PolicyObject;
  /** Absent: invalid, and no last good generation. */
  readonly body?: PolicyBody;
}

export function describePolicy(object: PolicyObject, targets: Targets, body: PolicyBody | undefined): PolicyInForce {
  const { kind, key, meta, spec } = object;
  const common = { kind, key, targets, object, generation: meta.generation, createdAt: meta.createdAt };
  const described = { ...common, sealed: spec.sealed, audit: spec.mode === 'Audit' };
  return body === undefined ? described : { ...described, body };
}

/** A policy's steps at one scope; routes that take it at that scope share them, and counters tell them by name. */
export interface Instance {
  readonly origin: Origin;
  readonly steps: readonly CompiledStep[];
}

export function instantiate(policy: PolicyInForce, { scope, widened }: Participation): Instance {
  const { kind, key, generation, sealed, audit, targets } = policy;
  const origin: Origin = { kind, key, name: targets.name, generation, scope, sealed, audit };
  if (policy.body === undefined) return { origin, steps: [createInvalidStep(origin)] };
  const steps = policy.body.request.map(({ name, when, branch, body }): CompiledStep => {
    const head = {
      name,
      origin,
      label: `${targets.name}/${name}`,
      widened,
      ...(when === undefined ? {} : { when }),
      ...(branch === undefined ? {} : { branch }),
    };
    return { ...head, ...body };
  });
  return { origin, steps };
}

const createInvalidStep = (origin: Origin): CompiledStep => ({
  type: 'invalid',
  name: 'invalid',
  origin,
  label: `${origin.name}/invalid`,
  widened: false,
});

export const isBroader = (left: Scope, right: Scope): boolean => SCOPE_ORDER[left] < SCOPE_ORDER[right];
