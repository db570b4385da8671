/** Heads written as one latin1 string, in one pass, from parsed fields and edits; never with CR, LF or NUL inside a value. */
import type { Framing, ParsedFields } from './message.ts';

declare const rendered: unique symbol;
/** Complete header lines, each with its CRLF. Only renderFields makes them, so they hold no injected line. */
export type FieldLines = string & { readonly [rendered]: true };

export interface HeaderEdit {
  readonly name: string;
  /** Sent instead of whatever was received; empty: the header is removed. */
  readonly values: readonly string[];
}

interface HeadRendering {
  readonly fields: ParsedFields;
  /** Flags (names.ts) whose headers are left out besides NEVER_FORWARDED, such as TRUSTED_PEER. */
  readonly drop: number;
  /** Folded names that are left out in every spelling: what policies set. */
  readonly reserved: ReadonlySet<string>;
  /** By lower-case name. */
  readonly edits: ReadonlyMap<string, HeaderEdit>;
  /** Appended last: forwarding headers, `Connection`, … */
  readonly extra: FieldLines;
}

export interface RequestRendering extends HeadRendering {
  readonly method: string;
  /** Origin form (canonical path and query) or `*`. */
  readonly target: string;
  /** Value of Host; empty: sent empty (HTTP/1.0 without Host). */
  readonly host: string;
  readonly connectionNames: ReadonlySet<string>;
  readonly framing: Framing;
  /** Sends `Expect: 100-continue`. */
  readonly expectContinue?: boolean;
}

export interface ResponseRendering extends HeadRendering {
  readonly status: number;
  readonly connectionNames: ReadonlySet<string>;
  /** `length` also where no body follows but its length is told (HEAD, 304); `none` and `until-close` write no framing header. */
  readonly framing: Framing | { readonly kind: 'until-close' };
}
