/** authentication-basic, authentication-certificate, and the Shared Access Signature that documents compute themselves. */
import { NotConvertible } from './csharp-tokens.ts';
import type { PolicyElement } from './policy-document.ts';
import {
  convertSecret,
  convertValueSource,
  formatSeconds,
  type Conversion,
  type PlainObject,
  type Step,
} from './conversion.ts';

function addCredential(conversion: Conversion, suffix: string, spec: PlainObject): void {
  const name = `${conversion.name}-${suffix}`;
  conversion.objects.set(`BackendCredential ${name}`, { kind: 'BackendCredential', name, spec });
  conversion.backend.add(conversion.refer(name));
}

export function convertBasic(element: PolicyElement, conversion: Conversion): readonly Step[] {
  const username = convertValueSource(element.attributes.get('username') ?? '', 'plain');
  const password = convertSecret(
    element.attributes.get('password') ?? '',
    conversion,
    element,
    `${conversion.name}-basic`,
    'password',
  );
  addCredential(conversion, 'basic', { basic: { username, password } });
  return [];
}

export function convertCertificateCredential(element: PolicyElement, conversion: Conversion): readonly Step[] {
  const secretName = `${conversion.name}-client-tls`;
  const which = ['thumbprint', 'certificate-id', 'body'].find(name => element.attributes.has(name)) ?? 'certificate';
  conversion.note(
    element,
    `put the certificate (by ${which} in the document) and its key into the TLS Secret ${secretName}`,
  );
  addCredential(conversion, 'certificate', { meshCertificate: { secretName } });
  return [];
}

export const isSasHeader = (name: string, values: readonly string[]): boolean =>
  name.toLowerCase() === 'authorization' && values.some(text => text.includes('SharedAccessSignature'));

/** The usual way: an expression that signs `resourceUri\nexpiry` with a key from a named value. */
export function convertSasHeader(element: PolicyElement, expression: string, conversion: Conversion): readonly Step[] {
  const named = [...expression.matchAll(/\{\{([^{}]+)\}\}/g)].map(([, name]) => (name ?? '').trim());
  const find = (pattern: RegExp): string | undefined => named.find(name => pattern.test(name));
  const uri = /"(https?:\/\/[^"]+|sb:\/\/[^"]+)"/.exec(expression)?.[1];
  const keyName = find(/key-?name|policy-?name|sas-?name/i);
  const key = named.find(name => name !== keyName && /key|secret/i.test(name));
  const uriName = find(/uri|url|resource|endpoint/i);
  if (uri === undefined && uriName === undefined)
    throw new NotConvertible('a Shared Access Signature whose resource is not written in the expression');
  if (key === undefined) throw new NotConvertible('a Shared Access Signature whose key is no named value');
  const ttl = Number(/Add(?:Seconds|Minutes)\((\d+)\)|\+\s*(\d+)/.exec(expression)?.slice(1).find(Boolean) ?? 60);
  const isMinutes = /AddMinutes\(\d+\)/.test(expression);
  const fromName = (name: string): PlainObject => ({ configMapKeyRef: { name: 'named-values', key: name } });
  const sharedAccessSignature = {
    resourceUri: uri === undefined ? fromName(uriName ?? '') : { value: uri },
    keyName: keyName === undefined ? { value: readKeyName(expression) } : fromName(keyName),
    key: { secretKeyRef: { name: 'named-values', key } },
    ttl: formatSeconds(isMinutes ? ttl * 60 : ttl),
  };
  addCredential(conversion, 'sas', { sharedAccessSignature });
  conversion.note(
    element,
    `the signature is computed by Sallyport; compare resourceUri, keyName and ttl with the expression, and make a Secret named-values with the key ${key}`,
  );
  return [];
}

/** `skn=name` of the composed text. */
function readKeyName(expression: string): string {
  const found = /skn=([A-Za-z0-9_-]+)/.exec(expression)?.[1] ?? /keyName\s*=\s*"([^"]+)"/i.exec(expression)?.[1];
  if (found === undefined)
    throw new NotConvertible('a Shared Access Signature whose key name (skn) is not written in the expression');
  return found;
}
