/** What a route presents to its back end, and what it keeps from it (S5, P13). */
import type { ObjectKey } from '../api/object.ts';
import { listWords, quote } from '../api/words.ts';
import { ALLOWED_HOSTS, hostOfApp, isAllowedHost } from './allowed-hosts.ts';
import type { ApiDraft } from './apis.ts';
import { credentialSort, listPresentedSecrets, type CredentialSort } from './credential-texts.ts';
import { findCredential, type ConflictContext } from './errors-plan.ts';
import type { CredentialPlan } from './model.ts';
import type { Member } from './overrides.ts';
import type { CompiledStep } from './steps.ts';

export interface BackendContext extends ConflictContext {
  readonly credentials: ReadonlyMap<ObjectKey, CredentialPlan>;
  /** As Lookup has it. */
  readonly secretHosts: (secret: ObjectKey) => readonly string[] | undefined;
}

/** S5: of each sort the narrowest policy's, and the Api's own as the broadest. */
export function findCredentials(api: ApiDraft, members: readonly Member[], context: BackendContext) {
  const own = (sort: CredentialSort): ObjectKey | undefined =>
    api.credential !== undefined && credentialSort(context.credentials.get(api.credential)) === sort
      ? api.credential
      : undefined;
  const found = {
    certificate: findCredential(members, 'certificate', context) ?? own('certificate'),
    header: findCredential(members, 'header', context) ?? own('header'),
  };
  for (const key of [found.certificate, found.header]) if (key !== undefined) warnOfHosts(api, key, context);
  return found;
}

/** A Secret's annotation forbids what the manifests ask for: every request would be 503. */
function warnOfHosts({ object }: ApiDraft, key: ObjectKey, { credentials, secretHosts, report }: BackendContext): void {
  const plan = credentials.get(key);
  if (plan === undefined) return;
  const host = hostOfApp(object.spec.app);
  if (credentialSort(plan) === 'header' && object.spec.app.url?.startsWith('http:') === true) {
    report.add('warning', object, 'spec.app.url', {
      problem: `has no TLS, so that whoever is on the way to ${host.name} reads the BackendCredential ${quote(key)}`,
      fix: 'use https, with trust or fingerprint',
    });
  }
  for (const secret of listPresentedSecrets(plan)) {
    const allowed = secretHosts(secret);
    if (allowed === undefined || isAllowedHost(allowed, host)) continue;
    report.add('warning', object, 'spec.app', {
      problem: `gets the BackendCredential ${quote(key)}, whose Secret ${quote(secret)} may be presented to ${listWords(allowed, 'and') || 'nobody'} only, and not to ${host.name}`,
      fix: `add the host to the annotation ${ALLOWED_HOSTS}, or present another credential; until then requests are answered 503`,
    });
  }
}

/** See Pipeline.hidesAuthorization. */
export function hidesAuthorization(
  { object }: ApiDraft,
  header: ObjectKey | undefined,
  steps: readonly CompiledStep[],
): boolean {
  if (header === undefined && object.spec.app.url === undefined) return false;
  return !steps.some(step =>
    (step.type === 'anyOf' ? step.alternatives : [step]).some(
      part =>
        part.type === 'jwt' &&
        part.jwt.forwardToken &&
        part.jwt.from.some(location => location.in === 'header' && location.name === 'authorization'),
    ),
  );
}
