/** A verified certificate as expressions see it: the variable `cert`, and who it says it is. */
import type { CertificateFacts } from './evidence.ts';
import type { Principal } from './verdict.ts';

/** Its member names are ours, and expressions see own members only, so it is an ordinary object. */
export function certificateBinding(facts: CertificateFacts): Readonly<Record<string, unknown>> {
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
  const { uri, dns, email, ip } = facts.subjectAltName;
  const named = Object.hasOwn(facts.subject, 'CN') ? facts.subject['CN'] : undefined;
  const id = named ?? uri[0] ?? dns[0] ?? email[0] ?? ip[0] ?? facts.sha256;
  return { kind: 'ClientCertificate', id, certificate: facts };
}
