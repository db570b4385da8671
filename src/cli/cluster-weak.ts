/** What is allowed and weakens: each setting with the stricter one. */
import type { ObjectOfKind, SallyportObject } from '../api/kinds/index.ts';
import type { Violation } from '../api/violation.ts';
import { identify } from '../policy/inventory.ts';
import { listAuthentication } from '../policy/header-names.ts';

/** The field, what it lets through, what to write instead. */
type Weakness = readonly [field: string, problem: string, fix: string];

/** An allowance that ends within this time is told, so that nobody is surprised by closed ports. */
const NEAR_MS = 14 * 86_400_000;

export const findWeaknesses = (objects: readonly SallyportObject[], now: number): readonly Violation[] =>
  objects.flatMap(object =>
    listWeaknesses(object, now).map(([field, problem, fix]) => ({
      ...{ severity: 'warning' as const, object: identify(object), field, problem, fix },
    })),
  );

function listWeaknesses(object: SallyportObject, now: number): readonly Weakness[] {
  switch (object.kind) {
    case 'Api':
      return listOfApi(object);
    case 'TokenIssuer':
      if (object.spec.requireExpiration) return [];
      return [['spec.requireExpiration', 'tokens without exp pass', 'remove it, or write true']];
    case 'ClientTrust':
      return listOfTrust(object);
    case 'AuthPolicy':
      return listOfPolicy(object);
    case 'ClusterAuthPolicy':
      return [...listOfPolicy(object), ...listOfClusterPolicy(object, now)];
    case 'DeviceAuthService':
    case 'BackendCredential':
    case 'Subscription':
    case 'PolicyTest':
      return [];
  }
}

function listOfApi({ spec }: ObjectOfKind<'Api'>): readonly Weakness[] {
  if (spec.tls === undefined) {
    const fix = 'add tls with a certificate, unless whatever stands in front of it is the only client';
    return [['spec.tls', 'is absent: tokens and keys travel to this port in plaintext', fix]];
  }
  if (spec.tls.mode !== 'Permissive') return [];
  return [['spec.tls.mode', 'is Permissive: the port takes plaintext beside TLS', 'write Terminate']];
}

function listOfTrust({ spec }: ObjectOfKind<'ClientTrust'>): readonly Weakness[] {
  const weak: Weakness[] = [];
  const { revocation, validity } = spec;
  if (revocation === undefined || revocation.mode === 'Disabled') {
    weak.push(['spec.revocation', 'revoked certificates pass', 'write mode: Strict and name the lists']);
  } else if (revocation.mode === 'SoftFail') {
    const problem = 'is SoftFail: certificates pass while revocation cannot be checked';
    weak.push(['spec.revocation.mode', problem, 'write Strict']);
  }
  if (!validity.notAfter) weak.push(['spec.validity.notAfter', 'expired certificates pass', 'write true']);
  if (!validity.notBefore) {
    weak.push(['spec.validity.notBefore', 'certificates that are not valid yet pass', 'write true']);
  }
  spec.sources.forEach(({ header }, index) => {
    if (header?.acceptAddressTrust !== true) return;
    const problem = 'whoever sends from a trusted address can claim any certificate';
    const fix = 'remove it, and let trustedPeers prove themselves by a certificate';
    weak.push([`spec.sources[${index}].header.acceptAddressTrust`, problem, fix]);
  });
  return weak;
}

type Policy = ObjectOfKind<'AuthPolicy'> | ObjectOfKind<'ClusterAuthPolicy'>;

function listOfPolicy({ spec }: Policy): readonly Weakness[] {
  const weak: Weakness[] = [];
  if (spec.mode === 'Audit') weak.push(['spec.mode', 'is Audit: it denies nothing', 'write Enforce']);
  if (!spec.sealed) {
    weak.push(['spec.sealed', 'is false: narrower policies may leave its steps out', 'write true, or remove it']);
  }
  if (spec.errors?.includePolicy === true) {
    const problem = 'clients are told the names of policies and steps';
    weak.push(['spec.errors.includePolicy', problem, 'remove it: log and explain name them']);
  }
  spec.request.forEach((step, index) => {
    const at = `spec.request[${index}]`;
    listAuthentication(step).forEach(({ jwt }, branch) => {
      if (jwt?.audiences.length !== 1 || jwt.audiences[0] !== 'Any') return;
      const field = `${at}${step.anyOf === undefined ? '' : `.anyOf[${branch}]`}.jwt.audiences`;
      weak.push([field, 'tokens that were issued for any other service pass', 'write the audience of this API']);
    });
    step.anyOf?.forEach(({ anonymous }, branch) => {
      if (anonymous === undefined) return;
      const field = `${at}.anyOf[${branch}].anonymous`;
      weak.push([field, 'requests without credentials pass', 'remove it, or let other steps demand what they need']);
    });
  });
  return weak;
}

function listOfClusterPolicy({ spec }: ObjectOfKind<'ClusterAuthPolicy'>, now: number): readonly Weakness[] {
  const weak: Weakness[] = [];
  if (spec.shareSecrets) {
    const problem = 'its Secrets reach the sidecars of every namespace that it selects';
    weak.push(['spec.shareSecrets', problem, 'remove it, and name Secrets of the namespaces themselves']);
  }
  if ((spec.targetSelectors ?? []).length > 0) {
    const problem = 'selects by labels of Apis, which tenants write, and so can leave it';
    weak.push(['spec.targetSelectors', problem, 'select by namespaceSelector alone']);
  }
  spec.allowances?.forEach(({ until }, index) => {
    const field = `spec.allowances[${index}]${until === undefined ? '' : '.until'}`;
    const end = until === undefined ? undefined : Date.parse(until);
    if (end === undefined) weak.push([field, 'has no end', 'write until: with the time at which it ends']);
    else if (end <= now) weak.push([field, `ended at ${until}`, 'remove it']);
    else if (end - now < NEAR_MS) weak.push([field, `ends at ${until}`, 'be ready for it, or write a later time']);
    else weak.push([field, `leaves something open until ${until}`, 'remove it as soon as nobody needs it']);
  });
  return weak;
}
