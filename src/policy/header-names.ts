/** Headers that a step writes or reads, for rules S4 and P13. */
import { foldName } from '../http/head.ts';
import type { HmacSignatureStep } from '../api/kinds/caller-steps.ts';
import type { RequestStep } from '../api/kinds/steps.ts';
import { flattenRequest } from './flat-steps.ts';
import { readScheme } from './signature-schemes.ts';

/** The authentication steps of a step: itself, or its alternatives. */
export function listAuthentication(
  step: RequestStep,
): readonly Pick<RequestStep, 'jwt' | 'clientCertificate' | 'subscription' | 'hmacSignature'>[] {
  return step.anyOf ?? [step];
}

export const isAuthentication = (type: string): boolean =>
  type === 'jwt' ||
  type === 'clientCertificate' ||
  type === 'subscription' ||
  type === 'hmacSignature' ||
  type === 'anyOf';

/** Lower-case names of headers from which the step's credentials are read. */
export function listReadHeaders(step: RequestStep): readonly string[] {
  return listAuthentication(step).flatMap(({ jwt, subscription, hmacSignature }) => {
    const scheme = hmacSignature === undefined ? undefined : readScheme(hmacSignature);
    const signed = [scheme?.header, scheme?.timestampHeader, scheme?.idHeader];
    const headers = [...(jwt?.from ?? []).map(({ header }) => header), subscription?.header, ...signed];
    return headers.flatMap(header => (header === undefined ? [] : [header.toLowerCase()]));
  });
}

export interface WrittenHeader {
  readonly name: string;
  /** Where in the step, relative to it. */
  readonly field: string;
  /** Whether the client's header of that name is removed on every route (setHeaders with Override, claimHeaders). */
  readonly reserved: boolean;
}

/** Headers that the step sets on what is forwarded. */
export function listWrittenHeaders(step: RequestStep): readonly WrittenHeader[] {
  const set = (step.setHeaders ?? []).map(({ name, ifExists }, index) => ({
    name,
    field: `setHeaders[${index}].name`,
    reserved: ifExists === 'Override',
  }));
  const claims = listAuthentication(step).flatMap(({ jwt }, index) =>
    Object.keys(jwt?.claimHeaders ?? {}).map(name => ({
      name,
      field: `${step.anyOf === undefined ? '' : `anyOf[${index}].`}jwt.claimHeaders`,
      reserved: true,
    })),
  );
  return [...set, ...claims];
}

/** The names under which headers count as the same. */
export const foldNames = (names: readonly string[]): ReadonlySet<string> => new Set(names.map(foldName));

/** Every hmacSignature step, in alternatives and branches too, with its field. */
export const listSignatures = (
  steps: readonly RequestStep[],
): readonly { readonly step: HmacSignatureStep; readonly field: string }[] =>
  flattenRequest(steps).flatMap(({ step, field }) =>
    listAuthentication(step).flatMap(({ hmacSignature }, at) => {
      const place = step.anyOf === undefined ? field : `${field}.anyOf[${at}]`;
      return hmacSignature === undefined ? [] : [{ step: hmacSignature, field: `${place}.hmacSignature` }];
    }),
  );
