/** One try at an authentication step or an alternative of anyOf. */
import type { Finding } from './finding.ts';
import type { Objection } from './objection.ts';

export type Passed = Omit<Finding, 'step' | 'answer'> & Pick<Required<Finding>, 'principal'>;

export type Attempt =
  | { readonly passed: Passed; readonly objection?: undefined }
  /** `presented`: the client sent this sort of credential (E3). */
  | { readonly passed?: undefined; readonly objection: Objection; readonly presented: boolean };

export const failed = (objection: Objection, presented: boolean): Attempt => ({ objection, presented });
