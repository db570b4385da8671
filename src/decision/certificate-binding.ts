/** A verified certificate as expressions see it: the variable `cert`, and who it says it is. */
import type { CertificateFacts } from './evidence.ts';
import type { Principal } from './verdict.ts';

type Members = Readonly<Record<string, unknown>>;

/** Facts never change, and every request of a connection brings the same object: both are made once for it. */
const bindings = new WeakMap<CertificateFacts, Members>();
const principals = new WeakMap<CertificateFacts, Principal>();

/** Its member names are ours, and expressions see own members only, so it is an ordinary object. */
export function certificateBinding(facts: CertificateFacts): Members {
  let known = bindings.get(facts);
  if (known === undefined) bindings.set(facts, (known = bind(facts)));
  return known;
}

function bind(facts: CertificateFacts): Members {
  return {
    sha1: facts.sha1,
    sha256: facts.sha256,
    publicKeyPin: facts.publicKeyPin,
    serialNumber: facts.serialNumber,
    subject: facts.subject,
    issuer: facts.issuer,
    subjectAltName: facts.subjectAltName,
    notAfter: new Date(facts.notAfter),
  };
}

/** CN, else the first URI, DNS name, e-mail or IP address of the alternative names, else the thumbprint. */
export function certificatePrincipal(facts: CertificateFacts): Principal {
  let known = principals.get(facts);
  if (known === undefined) principals.set(facts, (known = namePrincipal(facts)));
  return known;
}

function namePrincipal(facts: CertificateFacts): Principal {
  const { uri, dns, email, ip } = facts.subjectAltName;
  const named = Object.hasOwn(facts.subject, 'CN') ? facts.subject['CN'] : undefined;
  const id = named ?? uri[0] ?? dns[0] ?? email[0] ?? ip[0] ?? facts.sha256;
  return { kind: 'ClientCertificate', id, certificate: facts };
}
