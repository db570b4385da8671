/** Compiles `choose`, `setVariables`, `cors` and `replaceText`. */
import { memberPath } from '../api/field-path.ts';
import type { CorsStep, ReplaceTextStep } from '../api/kinds/flow-steps.ts';
import { compareBytes } from './encoding.ts';
import type { StepCompiler } from './step-compiler.ts';
import type { CompiledChoose, CompiledCors, CompiledReplaceText, CompiledVariable } from './steps.ts';

type Choose = {
  readonly when: readonly { readonly condition: string }[];
  readonly otherwise?: readonly unknown[];
};

/** Branches are told by their place; the steps in them are compiled like all others (flat-steps.ts). */
export function compileChoose(
  { when, otherwise }: Choose,
  name: string,
  field: string,
  compiler: StepCompiler,
): CompiledChoose {
  const conditions = when.map(({ condition }, at) => compiler.expression(condition, `${field}.when[${at}].condition`));
  return {
    choice: { name },
    conditions: conditions.filter(condition => condition !== undefined),
    otherwise: otherwise !== undefined,
  };
}

export function compileVariables(
  variables: Readonly<Record<string, string>>,
  field: string,
  compiler: StepCompiler,
): readonly CompiledVariable[] {
  return Object.keys(variables)
    .sort(compareBytes)
    .flatMap(name => {
      const value = compiler.text(variables[name] ?? '', 'text', memberPath(field, name));
      return value === undefined ? [] : [{ name, value }];
    });
}

export function compileCors(step: CorsStep): CompiledCors {
  const list = (names: readonly string[]): string | undefined => (names.length === 0 ? undefined : names.join(', '));
  return {
    origins: step.allowOrigins.includes('*') ? 'any' : new Set(step.allowOrigins),
    methods: list(step.allowMethods),
    headers: list(step.allowHeaders),
    expose: list(step.exposeHeaders),
    credentials: step.allowCredentials,
    maxAge: String(Math.floor(step.maxAge / 1000)),
  };
}

export function compileReplaceText({
  from,
  to,
  mediaTypes,
  maxBytes,
  onOversize,
}: ReplaceTextStep): CompiledReplaceText {
  return { from: toBytes(from), to: toBytes(to), bodies: { mediaTypes, maxBytes, onOversize } };
}

/** UTF-8, one character a byte: as bodies are looked at. */
function toBytes(text: string): string {
  let bytes = '';
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte);
  return bytes;
}
