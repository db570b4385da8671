/**
 * Header values that one step renders from what was found alone: kept for the same findings, since a client repeats its
 * request with the same token or certificate. They hang on what they were made from, so they end with its cache entry.
 */
import type { Sight } from '../policy/model.ts';
import type { CompiledHeaderSetting, CompiledStep } from '../policy/steps.ts';
import type { Finding } from './finding.ts';
import type { Objection } from './objection.ts';
import type { Run } from './run.ts';

export type Rendered = readonly (readonly [setting: CompiledHeaderSetting, value: string])[];

interface Kept {
  readonly sight: Sight | undefined;
  readonly findings: readonly Finding[];
  readonly rendered: Rendered | Objection;
}

/** Variables that findings and the policy settle; neither the request nor the time has a part in them. */
const SETTLED: ReadonlySet<string> = new Set(['cert', 'jwt', 'caller', 'steps', 'vars']);

const isSettled = ({ value }: CompiledHeaderSetting): boolean => {
  for (const name of value.reads) if (!SETTLED.has(name)) return false;
  return true;
};

const kept = new WeakMap<CompiledStep, WeakMap<object, Kept> | 'never'>();

function keptOf(step: CompiledStep, settings: readonly CompiledHeaderSetting[]): WeakMap<object, Kept> | undefined {
  let known = kept.get(step);
  if (known === undefined) kept.set(step, (known = settings.every(isSettled) ? new WeakMap() : 'never'));
  return known === 'never' ? undefined : known;
}

/** What ends first of all that was found: an answer before a token, a token before a certificate. */
function anchorOf(findings: readonly Finding[]): object | undefined {
  let anchor: object | undefined;
  let rank = 0;
  for (const { answer, token, certificate } of findings) {
    if (answer !== undefined) return answer;
    if (token !== undefined) [anchor, rank] = [token, 1];
    else if (rank === 0 && certificate !== undefined) anchor = certificate;
  }
  return anchor;
}

const isSame = (a: Finding | undefined, b: Finding): boolean =>
  a !== undefined &&
  a.step === b.step &&
  a.token === b.token &&
  a.certificate === b.certificate &&
  a.principal === b.principal &&
  a.alternative === b.alternative &&
  a.answer === b.answer;

function isRepeated(earlier: readonly Finding[], findings: readonly Finding[]): boolean {
  if (earlier.length !== findings.length) return false;
  for (let at = 0; at < findings.length; at++) {
    const finding = findings[at];
    if (finding === undefined || !isSame(earlier[at], finding)) return false;
  }
  return true;
}

/** What `render` gives, or gave for the same findings. */
export function recallRendered(
  run: Run,
  step: CompiledStep,
  settings: readonly CompiledHeaderSetting[],
  render: () => Rendered | Objection,
): Rendered | Objection {
  const { findings } = run;
  // What setVariables sets may come of the request.
  const anchor = run.hasSetVariables ? undefined : anchorOf(findings);
  const known = anchor && keptOf(step, settings);
  if (anchor === undefined || known === undefined) return render();
  const sight = run.sightOf(step);
  const earlier = known.get(anchor);
  if (earlier !== undefined && earlier.sight === sight && isRepeated(earlier.findings, findings))
    return earlier.rendered;
  const rendered = render();
  known.set(anchor, { sight, findings: [...findings], rendered });
  return rendered;
}
