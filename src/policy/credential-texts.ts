/** What a BackendCredential is made of, and of which sort it is (S5). */
import type { BackendCredentialSpec } from '../api/kinds/credential.ts';
import type { KeyRef } from '../api/kinds/shared.ts';
import { resolveName } from './references.ts';
import type { CredentialPlan } from './model.ts';
import type { ObjectKey } from '../api/object.ts';

export interface TextRef {
  readonly value?: string;
  readonly configMapKeyRef?: KeyRef;
  readonly secretKeyRef?: KeyRef;
}

export type CredentialSort = 'certificate' | 'header';

/** One credential of each sort may apply to a route. */
export const credentialSort = (plan: CredentialPlan | undefined): CredentialSort =>
  plan === undefined || plan.spec.meshCertificate !== undefined ? 'certificate' : 'header';

/** Every reference to a text, by its field. */
export function listCredentialTexts(spec: BackendCredentialSpec): readonly (readonly [field: string, ref: TextRef])[] {
  const { sharedAccessSignature: sas, basic, header, oauth2ClientCredentials: oauth, signedContext } = spec;
  const all: readonly (readonly [field: string, ref: TextRef | undefined])[] = [
    ['sharedAccessSignature.resourceUri', sas?.resourceUri],
    ['sharedAccessSignature.keyName', sas?.keyName],
    ['sharedAccessSignature.key', sas?.key],
    ['sharedAccessSignature.secondaryKey', sas?.secondaryKey],
    ['basic.username', basic?.username],
    ['basic.password', basic?.password],
    ['header.value', header?.value],
    ['oauth2ClientCredentials.clientId', oauth?.clientId],
    ['oauth2ClientCredentials.clientSecret', oauth?.clientSecret],
    ['oauth2ClientCredentials.trust', oauth?.trust],
    ['signedContext.key', signedContext?.key],
  ];
  return all.flatMap(([field, ref]) => (ref === undefined ? [] : [[`spec.${field}`, ref] as const]));
}

/**
 * Secrets of which the back end sees something, be it a signature. What a token endpoint grants is no Secret, and the key
 * of a signed context leaves nothing behind that could be used elsewhere.
 */
export function listPresentedSecrets({ spec, namespace }: CredentialPlan): readonly ObjectKey[] {
  const { sharedAccessSignature: sas, basic, header, meshCertificate } = spec;
  const name = meshCertificate?.secretName;
  if (name !== undefined) return [resolveName(name, namespace)];
  const signing = sas?.activeKey === 'Secondary' ? sas.secondaryKey : sas?.key;
  const refs = [sas?.resourceUri, sas?.keyName, signing, basic?.username, basic?.password, header?.value];
  const secrets = refs.map(ref => secretOf(ref, namespace));
  return [...new Set(secrets.filter(secret => secret !== undefined))];
}

/** The Secret that a reference names. */
export const secretOf = (ref: TextRef | undefined, namespace: string): ObjectKey | undefined =>
  ref?.secretKeyRef && `${ref.secretKeyRef.namespace ?? namespace}/${ref.secretKeyRef.name}`;
