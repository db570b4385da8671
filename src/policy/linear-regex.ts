/** Regular expressions that run in time linear in the text: RE2's language and engine, never JavaScript's backtracking one. */
import { RE2JS } from 're2js';

export interface LinearRegex {
  /** Whether the pattern matches anywhere in the text. */
  readonly test: (text: string) => boolean;
  /** Work for one character, in meter units: at its worst the engine looks at each instruction for each character (measured: 11 ns). */
  readonly unitsPerCharacter: number;
}

const MAX_PATTERN = 1024;
const MAX_INSTRUCTIONS = 1000;

/** The compiled pattern, or why there is none, in words that follow "the regular expression". */
export function compileRegex(pattern: string): LinearRegex | { readonly problem: string } {
  if (pattern.length > MAX_PATTERN) return { problem: `is longer than ${MAX_PATTERN} characters` };
  let regex;
  try {
    regex = RE2JS.compile(pattern);
  } catch {
    return { problem: 'is not one of RE2 (back-references and look-around do not exist there)' };
  }
  const instructions = regex.programSize();
  if (instructions > MAX_INSTRUCTIONS) return { problem: 'is too large once its repetitions are written out' };
  return { test: text => regex.test(text), unitsPerCharacter: instructions / 8 };
}
