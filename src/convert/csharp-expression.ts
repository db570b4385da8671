/** The expressions of policy documents as trees: the part of C# that they are written in. */
import { NotConvertible, tokenize, type Token } from './csharp-tokens.ts';

export type Expression =
  | { readonly kind: 'literal'; readonly value: string | number | boolean | null }
  | { readonly kind: 'interpolated'; readonly parts: readonly (string | Expression)[] }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'member'; readonly target: Expression; readonly name: string }
  | { readonly kind: 'index'; readonly target: Expression; readonly index: Expression }
  | { readonly kind: 'call'; readonly target: Expression; readonly name: string; readonly args: readonly Expression[] }
  | { readonly kind: 'not' | 'minus'; readonly operand: Expression }
  | { readonly kind: 'binary'; readonly operator: string; readonly left: Expression; readonly right: Expression }
  | {
      readonly kind: 'conditional';
      readonly test: Expression;
      readonly yes: Expression;
      readonly no: Expression;
    };

/** From weak to strong (C# specification 12.4.2). */
const BINARY: readonly (readonly string[])[] = [
  ['??'],
  ['||'],
  ['&&'],
  ['==', '!='],
  ['<', '>', '<=', '>='],
  ['+', '-'],
  ['*', '/', '%'],
];

const TYPES = new Set(['string', 'String', 'bool', 'int', 'long', 'double', 'object', 'IResponse', 'Jwt', 'JObject']);
const MOST_NESTED = 64;

/**
 * The value of `@(…)` or of `@{ … return …; }` with local variables and plain `if … return`.
 *
 * @throws NotConvertible for anything else of C#.
 */
export function parseExpression(source: string): Expression {
  const body = source.trim();
  if (body.startsWith('@(') && body.endsWith(')')) return parseWhole(body.slice(2, -1), parseTernary);
  if (body.startsWith('@{') && body.endsWith('}')) return parseWhole(body.slice(2, -1), parseStatements);
  throw new NotConvertible('an expression must be @(…) or @{…}');
}

function parseWhole(source: string, parse: (reader: Reader) => Expression): Expression {
  const reader = createReader(tokenize(source));
  const expression = parse(reader);
  if (reader.peek() !== undefined) throw new NotConvertible(`\`${describe(reader.peek())}\` in an expression`);
  return expression;
}

interface Reader {
  peek(ahead?: number): Token | undefined;
  next(): Token;
  /** Takes the operator or name when it is next. */
  accept(text: string): boolean;
  expect(text: string): void;
  /** Runs `parse` one level deeper. */
  nest<T>(parse: () => T): T;
  readonly locals: Map<string, Expression>;
}

function createReader(tokens: readonly Token[]): Reader {
  let at = 0;
  let depth = 0;
  const reader: Reader = {
    locals: new Map(),
    peek: (ahead = 0) => tokens[at + ahead],
    next() {
      const token = tokens[at];
      if (token === undefined) throw new NotConvertible('an expression that ends too early');
      at += 1;
      return token;
    },
    accept(text) {
      if (!isWord(tokens[at], text)) return false;
      at += 1;
      return true;
    },
    expect(text) {
      if (!reader.accept(text)) throw new NotConvertible(`\`${describe(tokens[at])}\` where \`${text}\` was expected`);
    },
    nest(parse) {
      depth += 1;
      if (depth > MOST_NESTED) throw new NotConvertible('an expression nested too deeply');
      const result = parse();
      depth -= 1;
      return result;
    },
  };
  return reader;
}

const isWord = (token: Token | undefined, text: string): boolean =>
  (token?.kind === 'operator' || token?.kind === 'name') && token.text === text;

function describe(token: Token | undefined): string {
  if (token === undefined) return 'the end';
  if (token.kind === 'string') return '"…"';
  return token.kind === 'interpolated' ? '$"…"' : token.text;
}

function parseStatements(reader: Reader): Expression {
  if (reader.accept('return')) {
    const value = parseTernary(reader);
    reader.expect(';');
    return value;
  }
  if (reader.accept('if')) return parseIf(reader);
  if (isDeclaration(reader)) {
    reader.next();
    const name = reader.next();
    reader.expect('=');
    const value = parseTernary(reader);
    reader.expect(';');
    if (name.kind === 'name') reader.locals.set(name.text, value);
    return parseStatements(reader);
  }
  throw new NotConvertible(`the statement that begins with \`${describe(reader.peek())}\``);
}

const isDeclaration = (reader: Reader): boolean =>
  reader.peek()?.kind === 'name' && reader.peek(1)?.kind === 'name' && isWord(reader.peek(2), '=');

function parseIf(reader: Reader): Expression {
  reader.expect('(');
  const test = parseTernary(reader);
  reader.expect(')');
  const yes = parseBranch(reader);
  const no = reader.accept('else') ? parseElse(reader) : reader.nest(() => parseStatements(reader));
  return { kind: 'conditional', test, yes, no };
}

const parseElse = (reader: Reader): Expression => (reader.accept('if') ? parseIf(reader) : parseBranch(reader));

/** A branch must return: one that only assigns would need what follows twice. */
function parseBranch(reader: Reader): Expression {
  return reader.nest(() => {
    if (!reader.accept('{')) return parseStatements(reader);
    const value = parseStatements(reader);
    reader.expect('}');
    return value;
  });
}

function parseTernary(reader: Reader): Expression {
  return reader.nest(() => {
    const test = parseBinary(reader, 0);
    if (!reader.accept('?')) return test;
    const yes = parseTernary(reader);
    reader.expect(':');
    return { kind: 'conditional', test, yes, no: parseTernary(reader) };
  });
}

function parseBinary(reader: Reader, level: number): Expression {
  const operators = BINARY[level];
  if (operators === undefined) return parseUnary(reader);
  let left = parseBinary(reader, level + 1);
  for (;;) {
    const operator = operators.find(each => reader.accept(each));
    if (operator === undefined) return left;
    left = { kind: 'binary', operator, left, right: parseBinary(reader, level + 1) };
  }
}

function parseUnary(reader: Reader): Expression {
  return reader.nest(() => {
    if (reader.accept('!')) return { kind: 'not', operand: parseUnary(reader) };
    if (reader.accept('-')) return { kind: 'minus', operand: parseUnary(reader) };
    if (isCast(reader)) {
      skipCast(reader);
      return parseUnary(reader);
    }
    return parsePostfix(reader, parsePrimary(reader));
  });
}

/** `(string)x`: what a cast says is checked when the policy loads, by CEL's own types. */
function isCast(reader: Reader): boolean {
  const type = reader.peek(1);
  return isWord(reader.peek(), '(') && type?.kind === 'name' && TYPES.has(type.text) && isWord(reader.peek(2), ')');
}

function skipCast(reader: Reader): void {
  for (let count = 0; count < 3; count += 1) reader.next();
}

function parsePrimary(reader: Reader): Expression {
  const token = reader.next();
  switch (token.kind) {
    case 'string':
      return { kind: 'literal', value: token.value };
    case 'number':
      return { kind: 'literal', value: Number(token.text) };
    case 'interpolated':
      return {
        kind: 'interpolated',
        parts: token.parts.map(part => (typeof part === 'string' ? part : parseWhole(part.code, parseTernary))),
      };
    case 'name':
      return parseName(reader, token.text);
    case 'operator':
      if (token.text !== '(') throw new NotConvertible(`\`${token.text}\` in an expression`);
      return parseParenthesis(reader);
  }
}

function parseParenthesis(reader: Reader): Expression {
  const inner = parseTernary(reader);
  reader.expect(')');
  return inner;
}

const CONSTANTS: ReadonlyMap<string, boolean | null> = new Map<string, boolean | null>([
  ['true', true],
  ['false', false],
  ['null', null],
]);

function parseName(reader: Reader, name: string): Expression {
  if (name === 'new') throw new NotConvertible(`\`new ${describe(reader.peek())}\``);
  const constant = CONSTANTS.get(name);
  if (constant !== undefined) return { kind: 'literal', value: constant };
  return reader.locals.get(name) ?? { kind: 'name', name };
}

function parsePostfix(reader: Reader, start: Expression): Expression {
  let target = start;
  for (;;) {
    if (reader.accept('.') || reader.accept('?.')) target = parseMember(reader, target);
    else if (reader.accept('[') || reader.accept('?[')) {
      const index = parseTernary(reader);
      reader.expect(']');
      target = { kind: 'index', target, index };
    } else return target;
  }
}

function parseMember(reader: Reader, target: Expression): Expression {
  const token = reader.next();
  if (token.kind !== 'name') throw new NotConvertible(`\`.${describe(token)}\``);
  skipTypeArguments(reader);
  if (!reader.accept('(')) return { kind: 'member', target, name: token.text };
  const args: Expression[] = [];
  while (!reader.accept(')')) {
    if (args.length > 0) reader.expect(',');
    args.push(parseTernary(reader));
  }
  return { kind: 'call', target, name: token.text, args };
}

/** `.As<JObject>(`, `.GetValueOrDefault<string>(`. */
function skipTypeArguments(reader: Reader): void {
  if (!isWord(reader.peek(), '<') || reader.peek(1)?.kind !== 'name' || !isWord(reader.peek(2), '>')) return;
  if (!isWord(reader.peek(3), '(')) return;
  for (let count = 0; count < 3; count += 1) reader.next();
}
