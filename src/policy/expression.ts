/** Compiled CEL expressions and templates. Compiling is in cel.ts and template.ts; this is what the rest of the code sees. */

/**
 * The variables of api.md, bound as rules E4–E7 say. Every top-level name is always present; leaves may be absent.
 * Integers are bigint, lists are arrays, maps are objects without prototype or Maps, timestamps are Dates.
 */
export type Bindings = Readonly<Record<string, unknown>> & { readonly [SHARED_METER]?: Meter };

/**
 * Work that may still be done: roughly one unit a node evaluated in a loop, a list element looked at, or 256 characters of
 * text. Text that a client sends and lists that it makes long run into this instead of into seconds.
 */
export interface Meter {
  left: number;
}

/** Where bindings hold the meter that the expressions of one decision share. Absent: each has BUDGET (cel-values.ts) to itself. */
export const SHARED_METER: unique symbol = Symbol('meter');

/** A type-checked CEL program of bounded cost. */
export interface Expression {
  readonly source: string;
  /** The top-level variables it may look at (`request`, `cert` …); nothing else of the bindings is touched. */
  readonly reads: ReadonlySet<string>;
  /** @throws ExpressionError on an absent leaf, a wrong type or too much cost; the caller applies rule E8. */
  readonly evaluate: (bindings: Bindings) => unknown;
}

/** How a template's parts are encoded for the place where they land (E9). */
export type TemplatePlace = 'header' | 'pairs' | 'dictionary' | 'query' | 'path' | 'json' | 'markup' | 'text';

/** Text with `${…}` holes. */
export interface Template {
  readonly source: string;
  readonly place: TemplatePlace;
  /** The text, when there are no holes. */
  readonly literal?: string;
  /** The top-level variables that its holes may look at; empty when there are none. */
  readonly reads: ReadonlySet<string>;
  /** @throws ExpressionError when a hole fails or its value may not stand in this place (control characters, not ASCII). */
  readonly render: (bindings: Bindings) => string;
}

/** An expression or template that could not be evaluated for this request. Never carries a value of the request. */
export class ExpressionError extends Error {
  override readonly name = 'ExpressionError';
  readonly code = 'EXPRESSION_FAILED';
}
