/** Where the authentication steps of a pipeline read, as names: what expressions do not see and no trailer may be called. */
import type { ObjectKey } from '../api/object.ts';
import { foldName } from '../http/head.ts';
import type { TrustPlan } from './model.ts';
import type { CompiledAlternative, CompiledStep, TokenLocation } from './steps.ts';

const listParts = (steps: readonly CompiledStep[]): readonly (CompiledStep | CompiledAlternative)[] =>
  steps.flatMap<CompiledStep | CompiledAlternative>(step => (step.type === 'anyOf' ? step.alternatives : [step]));

/** As Pipeline.credentialHeaders. */
export function collectCredentialNames(
  steps: readonly CompiledStep[],
  trusts: ReadonlyMap<ObjectKey, TrustPlan>,
): ReadonlySet<string> {
  const names = new Set(['authorization']);
  for (const part of listParts(steps)) {
    if (part.type === 'jwt') part.jwt.from.forEach(location => names.add(writeLocation(location)));
    if (part.type === 'subscription') part.subscription.from.forEach(location => names.add(writeLocation(location)));
    if (part.type === 'hmacSignature') names.add(part.hmacSignature.scheme.header);
    if (part.type !== 'clientCertificate') continue;
    for (const { header } of trusts.get(part.clientCertificate.trust)?.spec.sources ?? []) {
      if (header !== undefined) names.add(header.name.toLowerCase());
    }
  }
  return names;
}

function writeLocation(location: TokenLocation): string {
  if (location.in === 'header') return location.name.toLowerCase();
  return location.in === 'query' ? `?${location.name}` : `cookie:${location.name}`;
}

/** As Pipeline.barredTrailers. */
export function listBarredTrailers(
  steps: readonly CompiledStep[],
  credentials: ReadonlySet<string>,
): ReadonlySet<string> {
  const signed = listParts(steps).flatMap(part =>
    part.type === 'hmacSignature'
      ? [part.hmacSignature.scheme.timestampHeader, part.hmacSignature.scheme.idHeader]
      : [],
  );
  const headers = [...credentials].filter(name => !/[?:]/.test(name));
  return new Set([...headers, ...signed.filter(name => name !== undefined)].map(foldName));
}
