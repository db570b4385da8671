/** The field lines of the last head: a connection mostly repeats them, and equal bytes need no second reading. */
import type { Control } from './control.ts';
import { repeatField, type FieldList, type ParsedFields } from './fields.ts';

export interface Recall {
  /** From the first field line to the empty line, both included. */
  readonly section: string;
  /** Where each line starts in `section`; the last entry is where the empty line starts. */
  readonly starts: readonly number[];
  readonly fields: FieldList & ParsedFields;
  readonly control: Control;
}

/** Longer sections are read anew each time, so that an idle connection stays small. */
const LONGEST = 4096;

export function rememberFields(
  section: string,
  starts: readonly number[],
  fields: FieldList & ParsedFields,
  control: Control,
): Recall | undefined {
  return section.length > LONGEST ? undefined : { section, starts, fields, control };
}

/** Whether the whole section stands at `at` again. */
export function isRepeated(recall: Recall, text: string, at: number, end: number): boolean {
  const to = at + recall.section.length;
  return to <= end && text.slice(at, to) === recall.section;
}

/** When line number `list.names.length` stands at `at` again, adds its field and gives the position after it; else -1. */
export function repeatLine(recall: Recall, text: string, at: number, end: number, list: FieldList): number {
  const index = list.names.length;
  const from = recall.starts[index];
  const to = recall.starts[index + 1];
  if (from === undefined || to === undefined) return -1;
  const next = at + to - from;
  if (next > end || text.slice(at, next) !== recall.section.slice(from, to)) return -1;
  repeatField(list, recall.fields, index);
  return next;
}
