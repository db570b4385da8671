/**
 * The steps of a part in one list: those of a `choose` come behind it, each with its branch. What runs, counts and sees
 * whom is then said of one list, whatever is nested in the manifest.
 */
import type { RequestStep, ResponseStep } from '../api/kinds/steps.ts';

export interface FlatStep<S> {
  readonly step: S;
  /** `spec.request[2].choose.when[0].steps[1]`. */
  readonly field: string;
  /** Place of its choose in the list, and which of its branches it is in; `otherwise` comes after the others. */
  readonly branch?: { readonly of: number; readonly at: number };
}

interface Choosing<S> {
  readonly choose?: {
    readonly when: readonly { readonly steps: readonly S[] }[];
    readonly otherwise?: readonly S[];
  };
}

function flatten<S extends object>(steps: readonly (S & Choosing<S>)[], part: string): readonly FlatStep<S>[] {
  const flat: FlatStep<S>[] = [];
  for (const [index, step] of steps.entries()) {
    const field = `${part}[${index}]`;
    const of = flat.length;
    flat.push({ step, field });
    const add = (inner: readonly S[], at: number, place: string): void =>
      inner.forEach((one, i) => flat.push({ step: one, field: `${field}.choose.${place}[${i}]`, branch: { of, at } }));
    step.choose?.when.forEach(({ steps: inner }, at) => add(inner, at, `when[${at}].steps`));
    add(step.choose?.otherwise ?? [], step.choose?.when.length ?? 0, 'otherwise');
  }
  return flat;
}

export const flattenRequest = (steps: readonly RequestStep[]): readonly FlatStep<RequestStep>[] =>
  flatten<RequestStep>(steps, 'spec.request');

export const flattenResponse = (steps: readonly ResponseStep[]): readonly FlatStep<ResponseStep>[] =>
  flatten<ResponseStep>(steps, 'spec.response');
