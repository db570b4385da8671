/** Renders the request to a device-auth service. Scheme, host and port are the plan's; values are encoded by the templates. */
import type { ObjectKey } from '../api/object.ts';
import { frozenRecord } from '../decision/cel-value.ts';
import { certificateBinding } from '../decision/certificate-binding.ts';
import type { DeviceRequest } from '../decision/evidence.ts';
import type { Bindings } from '../policy/expression.ts';
import type { DeviceServicePlan } from '../policy/model.ts';

export interface ServiceRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What the templates of a service see (P3): nothing of the request. */
export const createServiceBindings = ({ certificate, deviceId, certificateIdentity }: DeviceRequest): Bindings =>
  frozenRecord({
    cert: certificateBinding(certificate),
    deviceId,
    ...(certificateIdentity === undefined ? {} : { certificateIdentity }),
  });

/** @throws ExpressionError when a template fails, or a value may not stand in its place (a dot segment in the path) */
export function renderRequest(plan: DeviceServicePlan, bindings: Bindings): ServiceRequest {
  let url = plan.url.render(bindings);
  for (const { name, value } of plan.query) {
    url += `${url.includes('?') ? '&' : '?'}${encodeURIComponent(name)}=${value.render(bindings)}`;
  }
  const headers = Object.create(null) as Record<string, string>;
  headers['accept'] = 'application/json';
  for (const { name, value } of plan.headers) headers[name.toLowerCase()] = value.render(bindings);
  return { url, headers, body: plan.body.render(bindings) };
}

/** The name of a credential in a service’s spec as a key. */
export const credentialKey = (plan: DeviceServicePlan, name: string | undefined): ObjectKey | undefined =>
  name === undefined || name.includes('/') ? name : `${plan.namespace}/${name}`;
