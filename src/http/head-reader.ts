/** Reads a start line, field lines and the empty line from a stream that may be cut anywhere. */
import { gatherControl, type Control } from './control.ts';
import { BROKEN, createFieldList, MORE, readFieldLine, type FieldList, type ParsedFields } from './fields.ts';
import type { HeadLimits, HeadReason, Progress } from './message.ts';
import type { NameTable } from './names.ts';
import { isRepeated, rememberFields, repeatLine, type Recall } from './recall.ts';

/** A start line: the value and the position after its CRLF; undefined while incomplete. */
export type LineScan<Line> = { readonly line: Line; readonly next: number } | HeadReason | undefined;

export interface HeadGrammar<Line, Head> {
  /** Whether one empty line before the start line is passed over (RFC 9112 section 2.2). */
  readonly skipsEmptyLine: boolean;
  readonly malformed: HeadReason;
  readonly tooLarge: HeadReason;
  /** Goes from left to right and stops at the first byte that cannot be right, so that cutting changes nothing. */
  readLine(text: string, start: number, end: number): LineScan<Line>;
  judge(line: Line, fields: ParsedFields, control: Control): Head | HeadReason;
}

export interface HeadReader<Head> {
  read(chunk: string): Progress<Head>;
  reset(): void;
  readonly started: boolean;
}

const WAIT = { kind: 'more' } as const;
const NONE = -3;

/**
 * The answer depends on the bytes alone, not on how they are cut: each check speaks at the first byte that decides it,
 * and a head that reaches `headBytes` unfinished is refused at that byte. Holds at most `headBytes` of text. After a head
 * the next one may be read; after an error the same error is given until `reset`.
 */
export function createHeadReader<Line, Head extends object>(
  grammar: HeadGrammar<Line, Head>,
  limits: HeadLimits,
  table: NameTable,
): HeadReader<Head> {
  let held = '';
  /** Bytes of this head that were read and are no longer held. */
  let passed = 0;
  let skipped = false;
  let line: Line | undefined;
  let fields: (FieldList & ParsedFields) | undefined;
  let failure: Progress<Head> | undefined;
  let recall: Recall | undefined;

  function reset(): void {
    held = '';
    passed = 0;
    skipped = false;
    line = undefined;
    fields = undefined;
    failure = undefined;
  }

  function fail(reason: HeadReason): Progress<Head> {
    reset();
    failure = { kind: 'error', reason };
    return failure;
  }

  function wait(text: string, at: number): Progress<Head> {
    if (passed + text.length >= limits.headBytes) return fail(grammar.tooLarge);
    passed += at;
    held = text.slice(at);
    return WAIT;
  }

  /** Position after the CRLF at `at`, MORE while it may still become one, BROKEN after a bare CR, NONE without CR. */
  function afterEmptyLine(text: string, at: number, end: number): number {
    if (at >= end) return MORE;
    if (text.charCodeAt(at) !== 0x0d) return NONE;
    if (at + 1 >= end) return MORE;
    return text.charCodeAt(at + 1) === 0x0a ? at + 2 : BROKEN;
  }

  function readFields(text: string, start: number, end: number, before: number): Progress<Head> {
    if (fields === undefined && recall !== undefined && isRepeated(recall, text, start, end)) {
      return finish(recall.fields, recall.control, start + recall.section.length - before);
    }
    // Only a section that is read in one go is remembered.
    const starts: number[] | undefined = fields === undefined ? [] : undefined;
    const list = (fields ??= createFieldList());
    for (let at = start; ;) {
      starts?.push(at - start);
      const last = afterEmptyLine(text, at, end);
      if (last >= 0) {
        const control = gatherControl(list);
        if (starts !== undefined) recall = rememberFields(text.slice(start, last), starts, list, control);
        return finish(list, control, last - before);
      }
      if (last === MORE) return wait(text, at);
      if (last === BROKEN) return fail(grammar.malformed);
      if (list.names.length >= limits.headers) return fail(grammar.tooLarge);
      const next = readLine(text, at, end, list);
      if (next === MORE) return wait(text, at);
      if (next === BROKEN) return fail(grammar.malformed);
      at = next;
    }
  }

  function readLine(text: string, at: number, end: number, list: FieldList): number {
    const next = recall === undefined ? -1 : repeatLine(recall, text, at, end, list);
    return next < 0 ? readFieldLine(text, at, end, list, table) : next;
  }

  function finish(list: ParsedFields, control: Control, consumed: number): Progress<Head> {
    if (line === undefined) return fail(grammar.malformed);
    const head = grammar.judge(line, list, control);
    if (typeof head === 'string') return fail(head);
    reset();
    return { kind: 'head', head, consumed };
  }

  function read(chunk: string): Progress<Head> {
    if (failure !== undefined) return failure;
    const before = held.length;
    const text = before === 0 ? chunk : held + chunk;
    const end = Math.min(text.length, limits.headBytes - passed);
    let at = 0;
    if (line === undefined) {
      if (grammar.skipsEmptyLine && !skipped) {
        const start = afterEmptyLine(text, 0, end);
        if (start === MORE) return wait(text, 0);
        if (start === BROKEN) return fail(grammar.malformed);
        if (start > 0) at = start;
        skipped = true;
      }
      const scan = grammar.readLine(text, at, end);
      if (scan === undefined) return wait(text, at);
      if (typeof scan === 'string') return fail(scan);
      line = scan.line;
      at = scan.next;
    }
    return readFields(text, at, end, before);
  }

  return {
    read,
    reset,
    get started() {
      return held !== '' || skipped || line !== undefined;
    },
  };
}
