/** Policies with one wrong step, or a few. */
import type { Cases } from '../check-manifests.ts';

type Part = 'request' | 'response';

/** The steps stand from line 6 on, one a line. */
function policyOf(part: Part, steps: readonly string[]): string {
  const lines = steps.map(step => `  - {${step}}\n`).join('');
  return `apiVersion: sallyport.dev/v1alpha1\nkind: AuthPolicy\nmetadata: {name: a, namespace: shop}\nspec:\n  ${part}:\n${lines}`;
}

type Wrong = Readonly<Record<string, readonly [steps: readonly string[], ...lines: string[]]>>;

/** The lines of `check` without the name of the file. */
export const casesOf = (wrong: Wrong, part: Part = 'request'): Cases =>
  Object.fromEntries(
    Object.entries(wrong).map(([name, [steps, ...lines]]) => [
      name,
      [policyOf(part, steps), ...lines.map(line => `file.yaml:${line}`)],
    ]),
  );
