/** Where the expressions of a policy document end: `@(…)` and `@{…}`, C# with strings and comments of its own. */

const CLOSERS: Readonly<Record<string, string>> = { '(': ')', '{': '}', '[': ']' };

/**
 * The document with `<`, `>`, `&` and `"` inside of expressions written as character references, so that an XML parser reads
 * it. What is a reference already stays. An expression that never ends is left as it is: the XML parser then tells where.
 */
export function escapeExpressions(source: string): string {
  let out = '';
  let from = 0;
  for (let at = source.indexOf('@'); at !== -1; at = source.indexOf('@', at)) {
    const opener = source[at + 1] ?? '';
    if ((opener !== '(' && opener !== '{') || isInComment(source, at)) {
      at += 1;
      continue;
    }
    const end = findExpressionEnd(source, at + 1);
    if (end === undefined) {
      at += 1;
      continue;
    }
    out += source.slice(from, at) + escapeMarkup(source.slice(at, end));
    from = end;
    at = end;
  }
  return out + source.slice(from);
}

const isInComment = (source: string, at: number): boolean =>
  source.lastIndexOf('<!--', at) > source.lastIndexOf('-->', at);

const REFERENCE = /&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[0-9a-fA-F]+);)/g;

const escapeMarkup = (text: string): string =>
  text.replace(REFERENCE, '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** The index after the bracket that closes the one at `open`; undefined when none does. */
export function findExpressionEnd(source: string, open: number): number | undefined {
  const closers: string[] = [];
  for (let at = open; at < source.length;) {
    const skipped = skipLiteral(source, at);
    if (skipped > at) {
      at = skipped;
      continue;
    }
    const character = source[at] ?? '';
    const closer = CLOSERS[character];
    if (closer !== undefined) closers.push(closer);
    else if (character === closers.at(-1)) {
      closers.pop();
      if (closers.length === 0) return at + 1;
    }
    at += 1;
  }
  return undefined;
}

/** The index after the string, character or comment that begins at `at`; `at` itself when none does. `&quot;` is a quote too. */
function skipLiteral(source: string, at: number): number {
  if (source.startsWith('//', at)) return endOr(source.indexOf('\n', at), source.length);
  if (source.startsWith('/*', at)) return endOr(source.indexOf('*/', at + 2), source.length, 2);
  const quote = readQuote(source, at);
  if (quote !== '') {
    const verbatim = source[at - 1] === '@';
    return skipString(source, at + quote.length, quote, verbatim);
  }
  if (source[at] === "'") return skipString(source, at + 1, "'", false);
  return at;
}

const endOr = (found: number, otherwise: number, length = 0): number => (found === -1 ? otherwise : found + length);

const readQuote = (source: string, at: number): string =>
  source[at] === '"' ? '"' : source.startsWith('&quot;', at) ? '&quot;' : '';

/** C# specification 6.4.5.5 and 6.4.5.6: a backslash escapes in regular strings, a doubled quote in verbatim ones. */
function skipString(source: string, from: number, quote: string, verbatim: boolean): number {
  for (let at = from; at < source.length;) {
    if (!verbatim && source[at] === '\\') at += 2;
    else if (!verbatim && source[at] === '\n') return from;
    else if (!source.startsWith(quote, at)) at += 1;
    else if (verbatim && source.startsWith(quote, at + quote.length)) at += 2 * quote.length;
    else return at + quote.length;
  }
  return source.length;
}
