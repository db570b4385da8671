/** Accepted, ResolvedRefs and Programmed of one object, as far as its kind has them, from what the compiler said of it. */
import { CONDITIONS_OF } from '../api/conditions.ts';
import type { Violation } from '../api/violation.ts';
import { find, type Finding } from './conditions.ts';
import type { KnownObject } from './objects.ts';

export interface JudgementInput {
  readonly object: KnownObject;
  readonly problems: readonly Violation[];
  /** What is allowed and yet should be seen. */
  readonly notices: readonly string[];
  /** What exists and may not be used, as sentences. */
  readonly forbidden: readonly string[];
  /** What to say of an object that is part of what the sidecars are told; undefined: it applies to nothing. */
  readonly place?: string;
  /** The PolicyTest that holds its newest generation back. */
  readonly heldBy?: string;
}

export function judgeObject(input: JudgementInput): readonly Finding[] {
  const accepted = judgeAcceptance(input);
  const isInvalid = accepted.reason === 'Invalid';
  const findings = [accepted, judgeReferences(input), ...(isInvalid ? [] : [judgeProgramming(input)])];
  const has: readonly string[] = CONDITIONS_OF[input.object.kind];
  return findings.filter(({ type }) => has.includes(type));
}

const isError = ({ severity }: Violation): boolean => severity === 'error';
const withConcern = (problems: readonly Violation[], concern: Violation['concern']): readonly Violation[] =>
  problems.filter(problem => problem.concern === concern);

/** `spec.request[0].when: what is wrong; what to do (and 2 more)`. */
export function describeProblems(problems: readonly Violation[]): string {
  const [first] = problems;
  if (first === undefined) return '';
  const { field, problem, fix } = first;
  const more = problems.length === 1 ? '' : ` (and ${problems.length - 1} more)`;
  return `${field === '' ? '' : `${field}: `}${problem}; ${fix}${more}`;
}

/** Selectors that select nothing yet are no fault: what they are for may come later. */
const isSelector = ({ field }: Violation): boolean => field.startsWith('spec.targetSelectors');

function judgeAcceptance({ problems, notices }: JudgementInput): Finding<'Accepted'> {
  const wrong = withConcern(problems, undefined).filter(isError);
  if (wrong.length > 0) return find('Accepted', false, 'Invalid', describeProblems(wrong));
  const conflicts = withConcern(problems, 'Conflict');
  if (conflicts.length > 0) return find('Accepted', false, 'Conflicted', describeProblems(conflicts));
  const targets = withConcern(problems, 'Target').filter(problem => !isSelector(problem));
  if (targets.length > 0) return find('Accepted', false, 'TargetNotFound', describeProblems(targets));
  const questionable = withConcern(problems, undefined);
  const notes = [...questionable.map(problem => describeProblems([problem])), ...notices];
  return find('Accepted', true, 'Accepted', notes.length === 0 ? 'valid' : `valid; note: ${notes.join('; ')}`);
}

function judgeReferences({ problems, forbidden }: JudgementInput): Finding<'ResolvedRefs'> {
  const missing = withConcern(problems, 'Reference');
  if (missing.length > 0) return find('ResolvedRefs', false, 'RefNotFound', describeProblems(missing));
  const [first] = forbidden;
  if (first === undefined) return find('ResolvedRefs', true, 'ResolvedRefs', 'everything that it names exists');
  const more = forbidden.length === 1 ? '' : ` (and ${forbidden.length - 1} more)`;
  return find('ResolvedRefs', false, 'RefNotPermitted', `${first}${more}`);
}

function judgeProgramming({ problems, place, heldBy }: JudgementInput): Finding<'Programmed'> {
  const partly = (message: string): Finding<'Programmed'> => find('Programmed', false, 'PartiallyProgrammed', message);
  if (heldBy !== undefined) return partly(`${heldBy} holds it back: the last generation that passed stays in force`);
  const missing = withConcern(problems, 'Reference').filter(isError);
  if (missing.length > 0) {
    return partly(`the last good generation stays in force, without one 503: ${describeProblems(missing)}`);
  }
  const conflicts = withConcern(problems, 'Conflict');
  if (conflicts.length > 0) return partly(`without what is in conflict: ${describeProblems(conflicts)}`);
  const overridden = withConcern(problems, 'Override');
  if (overridden.length > 0) return find('Programmed', false, 'Overridden', describeProblems(overridden));
  const targets = withConcern(problems, 'Target');
  if (targets.length > 0) return partly(describeProblems(targets));
  return place === undefined ? partly('applies to no Api') : find('Programmed', true, 'Programmed', place);
}
