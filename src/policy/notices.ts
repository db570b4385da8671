/** Notices: what is allowed, and yet everybody should see. Status prints them. */
import { describeAllowance } from './allowances.ts';
import { flattenRequest } from './flat-steps.ts';
import { listAuthentication } from './header-names.ts';
import type { PolicyInForce } from './in-force.ts';
import { noticeLimits, noticeStore } from './limit-notices.ts';
import type { AllowancePlan, ListenerPlan, SharedStorePlan, TrustPlan, IssuerPlan } from './model.ts';
import type { Supporting } from './supporting.ts';

export function collectNotices(
  policies: readonly PolicyInForce[],
  { trusts, issuers }: Supporting,
  listeners: ReadonlyMap<number, ListenerPlan>,
  allowances: readonly AllowancePlan[],
  store?: SharedStorePlan,
): readonly string[] {
  const notices = [
    ...policies.flatMap(noticePolicy),
    ...[...trusts.values()].flatMap(noticeTrust),
    ...[...issuers.values()].flatMap(noticeIssuer),
    ...[...listeners.values()].flatMap(noticeListener),
    ...allowances.map(describeAllowance),
    ...noticeStore(store),
  ];
  return [...new Set(notices)].sort();
}

function noticePolicy({ kind, key, object, audit, body }: PolicyInForce): readonly string[] {
  const name = `${kind} ${key}`;
  const notices: string[] = [];
  if (body === undefined) notices.push(`${name} is invalid and has no last good generation: what it applies to is 503`);
  if (audit) notices.push(`${name} is in Audit mode: it denies nothing`);
  if (object?.kind === 'ClusterAuthPolicy' && object.spec.shareSecrets) {
    notices.push(`${name} shares its Secrets with the sidecars that it selects`);
  }
  for (const { step } of flattenRequest(object?.spec.request ?? [])) {
    const label = `${name}, step ${step.name}`;
    const parts = listAuthentication(step);
    if (parts.some(({ jwt }) => jwt?.audiences.includes('Any') === true && jwt.audiences.length === 1)) {
      notices.push(`${label}: tokens for any audience pass`);
    }
    if (step.anyOf?.some(({ anonymous }) => anonymous !== undefined) === true) {
      notices.push(`${label}: requests without credentials pass`);
    }
    notices.push(...noticeLimits(step).map(notice => `${label}: ${notice}`));
  }
  return notices;
}

function noticeTrust({ key, spec }: TrustPlan): readonly string[] {
  const name = `ClientTrust ${key}`;
  const notices: string[] = [];
  if (spec.revocation === undefined || spec.revocation.mode === 'Disabled') {
    notices.push(`${name}: revocation is not checked`);
  } else if (spec.revocation.mode === 'SoftFail') {
    notices.push(`${name}: certificates pass while revocation cannot be checked`);
  }
  if (!spec.validity.notAfter) notices.push(`${name}: expired certificates pass`);
  if (!spec.validity.notBefore) notices.push(`${name}: certificates that are not valid yet pass`);
  for (const { header } of spec.sources) {
    if (header?.acceptAddressTrust === true) {
      notices.push(`${name}: certificates forwarded in ${header.name} count from peers known by their address alone`);
    }
  }
  return notices;
}

const noticeIssuer = ({ key, spec }: IssuerPlan): readonly string[] =>
  spec.requireExpiration ? [] : [`TokenIssuer ${key}: tokens without exp pass`];

const noticeListener = ({ port, tls }: ListenerPlan): readonly string[] =>
  tls?.mode === 'Permissive' ? [`port ${port} accepts plaintext beside TLS`] : [];
