/** The words of the C# that policy expressions are written in. */

export type Token =
  | { readonly kind: 'name' | 'operator'; readonly text: string }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'interpolated'; readonly parts: readonly (string | { readonly code: string })[] }
  | { readonly kind: 'number'; readonly text: string };

/** What cannot be converted; the message says what it is, in the words of the document. */
export class NotConvertible extends Error {}

const SPACE = /(?:\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)+/y;
const NAME = /@?[A-Za-z_][A-Za-z0-9_]*/y;
const NUMBER = /\d+(?:\.\d+)?[mMdDfFlLuU]*/y;
const OPERATOR = /=>|==|!=|<=|>=|&&|\|\||\?\?|\?\.|\?\[|\+\+|--|\+=|[-+*/%!<>=?:.,;()[\]{}&|^~]/y;
const VERBATIM = /@"((?:[^"]|"")*)"/y;
const REGULAR = /"((?:[^"\\\n]|\\.)*)"/y;
const CHARACTER = /'((?:[^'\\\n]|\\.))'/y;
/** Holes may hold strings of their own: `$"{x["y"]}"`. */
const INTERPOLATED = /\$"((?:[^"\\\n{]|\\.|\{\{|\{[^{}\n]*\})*)"/y;

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  '0': '\0',
  '"': '"',
  "'": "'",
  '\\': '\\',
};

export function tokenize(source: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(source) ?? undefined;
    if (found !== undefined) at = pattern.lastIndex;
    return found;
  };
  for (;;) {
    take(SPACE);
    if (at >= source.length) return tokens;
    tokens.push(readToken(take, source.slice(at, at + 20)));
  }
}

function readToken(take: (pattern: RegExp) => RegExpExecArray | undefined, rest: string): Token {
  const verbatim = take(VERBATIM);
  if (verbatim !== undefined) return { kind: 'string', value: (verbatim[1] ?? '').replaceAll('""', '"') };
  const interpolated = take(INTERPOLATED);
  if (interpolated !== undefined) return { kind: 'interpolated', parts: splitInterpolated(interpolated[1] ?? '') };
  const regular = take(REGULAR) ?? take(CHARACTER);
  if (regular !== undefined) return { kind: 'string', value: unescape(regular[1] ?? '') };
  const number = take(NUMBER);
  if (number !== undefined) return { kind: 'number', text: number[0].replace(/[a-zA-Z]+$/, '') };
  const name = take(NAME);
  if (name !== undefined) return { kind: 'name', text: name[0].replace(/^@/, '') };
  const operator = take(OPERATOR);
  if (operator !== undefined) return { kind: 'operator', text: operator[0] };
  throw new NotConvertible(`the expression cannot be read at \`${rest}\``);
}

const unescape = (text: string): string =>
  text.replace(/\\(?:u([0-9a-fA-F]{4})|(.))/g, (_, code: string | undefined, letter: string | undefined) => {
    if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16));
    const character = ESCAPES[letter ?? ''];
    if (character === undefined) throw new NotConvertible(`the escape \`\\${letter ?? ''}\` in a string`);
    return character;
  });

/** `{{` and `}}` are braces; a hole ends at its brace, and formats (`{x:N2}`) are not converted. */
function splitInterpolated(text: string): readonly (string | { readonly code: string })[] {
  const parts: (string | { readonly code: string })[] = [];
  for (const [piece] of text.matchAll(/\{\{|\}\}|\{[^{}]*\}|[^{}]+/g)) {
    if (piece === '{{' || piece === '}}') parts.push(piece.slice(1));
    else if (piece.startsWith('{')) parts.push({ code: piece.slice(1, -1) });
    else parts.push(unescape(piece));
  }
  return parts;
}
