/** What one compilation tells the next: the last good generation of each object, compiled (S6). Opaque to others. */
import type { ApiDraft } from './apis.ts';
import type { PolicyInForce } from './in-force.ts';
import type { DeviceServicePlan } from './model.ts';
import type { SubscriptionObject } from './subscriptions.ts';
import { createSupporting, type Supporting } from './supporting.ts';
import { identify } from './inventory.ts';

export interface LastPolicy {
  readonly policy: PolicyInForce;
  /** Objects that it names, as they were. */
  readonly plans: Supporting;
}

export interface LastApi {
  readonly draft: ApiDraft;
  readonly plans: Supporting;
}

/** By `Kind namespace/name`. */
export interface Remembered {
  readonly policies: ReadonlyMap<string, LastPolicy>;
  readonly apis: ReadonlyMap<string, LastApi>;
  readonly services: ReadonlyMap<string, DeviceServicePlan>;
  readonly supporting: Supporting;
  readonly subscriptions: ReadonlyMap<string, SubscriptionObject>;
}

export const NOTHING_REMEMBERED: Remembered = {
  policies: new Map(),
  apis: new Map(),
  services: new Map(),
  supporting: createSupporting(),
  subscriptions: new Map(),
};

export function rememberApis(
  apis: { readonly known: readonly ApiDraft[]; readonly fresh: ReadonlySet<string>; readonly kept: Remembered['apis'] },
  supporting: Supporting,
): Remembered['apis'] {
  const remembered = new Map(apis.kept);
  for (const draft of apis.known) {
    const id = identify(draft.object);
    if (apis.fresh.has(id)) remembered.set(id, { draft, plans: pickApi(draft, supporting) });
  }
  return remembered;
}

function pickApi({ credential, trustedPeers }: ApiDraft, supporting: Supporting): Supporting {
  const plans = createSupporting();
  const plan = credential === undefined ? undefined : supporting.credentials.get(credential);
  if (plan !== undefined) plans.credentials.set(plan.key, plan);
  for (const { trust } of trustedPeers) {
    const found = trust === undefined ? undefined : supporting.trusts.get(trust);
    if (found !== undefined) plans.trusts.set(found.key, found);
  }
  return plans;
}
