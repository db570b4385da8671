/** From the gateway's expressions to CEL, with the type of what comes out. */
import type { Expression } from './csharp-expression.ts';
import { NotConvertible } from './csharp-tokens.ts';

export interface Cel {
  readonly text: string;
  readonly type: 'string' | 'int' | 'bool' | 'list' | 'dyn';
  /** Text that needs no parentheses beside an operator. */
  readonly isAtom: boolean;
}

/** What names of the document mean where the expression stands. */
export interface ExpressionScope {
  /** `context.Response` is the app's answer: in outbound, and in conditions of counting. */
  readonly hasResponse: boolean;
  /** Variables bound to a look-up's answer, by the step that makes it. */
  readonly lookups: ReadonlyMap<string, string>;
  /** Variables bound to a verified token. */
  readonly tokens: ReadonlySet<string>;
  /** The name under `vars` of a context variable. */
  readonly nameVariable: (name: string) => string;
}

const atom = (text: string, type: Cel['type']): Cel => ({ text, type, isAtom: true });
const compound = (text: string, type: Cel['type']): Cel => ({ text, type, isAtom: false });
const wrap = ({ text, isAtom }: Cel): string => (isAtom ? text : `(${text})`);

/** A CEL literal: JSON's escapes are CEL's too, single quotes read better in YAML. */
export const quoteCel = (text: string): string =>
  `'${JSON.stringify(text)
    .slice(1, -1)
    .replaceAll('\\"', '"')
    .replaceAll("'", String.raw`\'`)}'`;

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;
const select = (base: string, name: string): string =>
  IDENTIFIER.test(name) ? `${base}.${name}` : `${base}[${quoteCel(name)}]`;
/** Whether the entry is there, and it. */
const hasEntry = (base: string, name: string): string =>
  IDENTIFIER.test(name) ? `has(${base}.${name})` : `${quoteCel(name)} in ${base}`;

/** @throws NotConvertible, naming what has no counterpart. */
export function translate(expression: Expression, scope: ExpressionScope): Cel {
  const go = (inner: Expression): Cel => translate(inner, scope);
  switch (expression.kind) {
    case 'literal':
      return translateLiteral(expression.value);
    case 'interpolated':
      return joinTexts(expression.parts.map(part => (typeof part === 'string' ? translateLiteral(part) : go(part))));
    case 'not':
      return atom(`!${wrap(go(expression.operand))}`, 'bool');
    case 'minus':
      return compound(`-${wrap(go(expression.operand))}`, 'int');
    case 'binary':
      return translateBinary(expression, scope);
    case 'conditional': {
      const [test, yes, no] = [go(expression.test), go(expression.yes), go(expression.no)];
      return compound(`${wrap(test)} ? ${wrap(yes)} : ${wrap(no)}`, yes.type);
    }
    case 'index':
      return translateIndex(expression, scope);
    case 'member':
      return translateMember(expression, scope);
    case 'call':
      return translateCall(expression, scope);
    case 'name':
      throw new NotConvertible(`\`${expression.name}\``);
  }
}

function translateLiteral(value: string | number | boolean | null): Cel {
  if (value === null) return atom('null', 'dyn');
  if (typeof value === 'string') return atom(quoteCel(value), 'string');
  if (typeof value === 'boolean') return atom(String(value), 'bool');
  if (!Number.isInteger(value)) throw new NotConvertible(`the number ${value}`);
  return atom(String(value), 'int');
}

const asText = (cel: Cel): string => (cel.type === 'string' ? wrap(cel) : `string(${cel.text})`);

function joinTexts(parts: readonly Cel[]): Cel {
  const [first, ...others] = parts;
  if (first === undefined) return atom("''", 'string');
  return others.length === 0 ? atom(asText(first), 'string') : compound(parts.map(asText).join(' + '), 'string');
}

function translateBinary(
  { operator, left, right }: Extract<Expression, { kind: 'binary' }>,
  scope: ExpressionScope,
): Cel {
  const presence = translatePresence(operator, left, right, scope);
  if (presence !== undefined) return presence;
  const [a, b] = [translate(left, scope), translate(right, scope)];
  if (operator === '??') return compound(`${wrap(a)} == null ? ${wrap(b)} : ${wrap(a)}`, a.type);
  if (operator === '+' && (a.type === 'string' || b.type === 'string')) return joinTexts([a, b]);
  const isArithmetic = '+-*/%'.includes(operator);
  return compound(`${wrap(a)} ${operator} ${wrap(b)}`, isArithmetic ? 'int' : 'bool');
}

/** `x == null` asks whether something is there; nothing of ours is ever null. */
function translatePresence(
  operator: string,
  left: Expression,
  right: Expression,
  scope: ExpressionScope,
): Cel | undefined {
  if (operator !== '==' && operator !== '!=') return undefined;
  const subject = isNull(right) ? left : isNull(left) ? right : undefined;
  if (subject === undefined) return undefined;
  const present = translateHas(subject, scope);
  return operator === '!=' ? present : atom(`!${wrap(present)}`, 'bool');
}

const isNull = (expression: Expression): boolean => expression.kind === 'literal' && expression.value === null;

function translateHas(subject: Expression, scope: ExpressionScope): Cel {
  const path = readPath(subject);
  if (path === 'context.Request.Certificate') return atom('has(cert.sha1)', 'bool');
  if (path === 'context.Subscription') return atom('has(subscription.name)', 'bool');
  if (path === 'context.User') return atom('has(caller.id)', 'bool');
  const variable = readVariable(subject);
  if (variable !== undefined) {
    const lookup = scope.lookups.get(variable);
    if (lookup !== undefined) return atom(`steps.${lookup}.ran`, 'bool');
    if (scope.tokens.has(variable)) return atom('has(jwt.subject)', 'bool');
    return atom(hasEntry('vars', scope.nameVariable(variable)), 'bool');
  }
  if (isToken(subject, scope)) return atom('has(jwt.issuer)', 'bool');
  const entry = readEntry(subject, scope);
  if (entry !== undefined) return compound(hasEntry(entry.base, entry.name), 'bool');
  throw new NotConvertible(`a comparison of \`${describe(subject)}\` with null`);
}

/** `a.b.c` of names alone. */
export function readPath(expression: Expression): string | undefined {
  if (expression.kind === 'name') return expression.name;
  if (expression.kind !== 'member') return undefined;
  const target = readPath(expression.target);
  return target === undefined ? undefined : `${target}.${expression.name}`;
}

/** The way an expression begins, for messages: never the values in it. */
export function describe(expression: Expression): string {
  switch (expression.kind) {
    case 'name':
      return expression.name;
    case 'member':
      return `${describe(expression.target)}.${expression.name}`;
    case 'call':
      return `${describe(expression.target)}.${expression.name}(…)`;
    case 'index':
      return `${describe(expression.target)}[…]`;
    case 'literal':
      return expression.value === null ? 'null' : '…';
    case 'binary':
    case 'conditional':
    case 'interpolated':
    case 'minus':
    case 'not':
      return '(…)';
  }
}

const readText = (expression: Expression | undefined): string | undefined =>
  expression?.kind === 'literal' && typeof expression.value === 'string' ? expression.value : undefined;

/** The name of `context.Variables["name"]`, in either form. */
export function readVariable(expression: Expression): string | undefined {
  if (expression.kind === 'index' && readPath(expression.target) === 'context.Variables')
    return readText(expression.index);
  if (expression.kind === 'call' && expression.name === 'GetValueOrDefault' && expression.args.length === 1) {
    return readPath(expression.target) === 'context.Variables' ? readText(expression.args[0]) : undefined;
  }
  return undefined;
}

/** A verified token: the variable that validate-jwt wrote, or any reading of the Authorization header. */
function isToken(expression: Expression, scope: ExpressionScope): boolean {
  const variable = readVariable(expression);
  if (variable !== undefined) return scope.tokens.has(variable);
  return expression.kind === 'call' && (expression.name === 'AsJwt' || isRead(expression, scope));
}

/** `Jwt` read out of a variable's text. */
const isRead = (expression: Extract<Expression, { kind: 'call' }>, scope: ExpressionScope): boolean =>
  expression.name === 'As' && isToken(expression.target, scope);

const PLAIN: ReadonlyMap<string, Cel> = new Map([
  ['context.Request.Method', atom('request.method', 'string')],
  ['context.Request.IpAddress', atom('source.ip', 'string')],
  ['context.Request.Url.Path', atom('request.path', 'string')],
  ['context.Request.OriginalUrl.Path', atom('request.path', 'string')],
  ['context.Request.Url.Host', atom('request.host', 'string')],
  ['context.Request.OriginalUrl.Host', atom('request.host', 'string')],
  ['context.Request.Url.Scheme', atom('request.scheme', 'string')],
  ['context.Request.OriginalUrl.Scheme', atom('request.scheme', 'string')],
  ['context.Request.Certificate.Thumbprint', atom('cert.sha1', 'string')],
  ['context.Request.Certificate.SerialNumber', atom('cert.serialNumber', 'string')],
  ['context.Subscription.Id', atom('subscription.name', 'string')],
  ['context.Subscription.Name', atom('subscription.name', 'string')],
  ['context.Subscription.Key', atom('subscription.name', 'string')],
  ['context.User.Id', atom('caller.id', 'string')],
  ['context.User.Email', atom('jwt.claims.email', 'dyn')],
  ['String.Empty', atom("''", 'string')],
  ['string.Empty', atom("''", 'string')],
]);

function translateMember({ target, name }: Extract<Expression, { kind: 'member' }>, scope: ExpressionScope): Cel {
  const path = readPath({ kind: 'member', target, name });
  const plain = path === undefined ? undefined : PLAIN.get(path);
  if (plain !== undefined) return plain;
  if (path === 'context.Response.StatusCode') {
    if (scope.hasResponse) return atom('response.status', 'int');
    throw new NotConvertible(
      '`context.Response.StatusCode` in inbound: it is not the status of the look-up but of the pipeline; the look-up’s is steps.<name>.status',
    );
  }
  const lookup = scope.lookups.get(readVariable(target) ?? '');
  if (lookup !== undefined && name === 'StatusCode') return atom(`steps.${lookup}.status`, 'int');
  if (lookup !== undefined && name === 'Body') return atom(`steps.${lookup}.body`, 'dyn');
  if (isToken(target, scope)) return translateTokenMember(name);
  if (name === 'Length' || name === 'Count') return atom(`size(${translate(target, scope).text})`, 'int');
  if (name === 'Value') return translate(target, scope);
  throw new NotConvertible(`\`${path ?? describe({ kind: 'member', target, name })}\``);
}

const TOKEN_MEMBERS: ReadonlyMap<string, Cel> = new Map([
  ['Subject', atom('jwt.subject', 'string')],
  ['Issuer', atom('jwt.issuer', 'string')],
  ['Audiences', atom('jwt.audience', 'list')],
  ['Claims', atom('jwt.claims', 'dyn')],
  ['Id', atom('jwt.claims.jti', 'dyn')],
]);

function translateTokenMember(name: string): Cel {
  const member = TOKEN_MEMBERS.get(name);
  if (member === undefined) throw new NotConvertible(`\`.${name}\` of a token`);
  return member;
}

/** Collections by name: what CEL reads, the name as CEL knows it, and the type of an entry. */
interface Entry {
  readonly base: string;
  readonly name: string;
  readonly type: Cel['type'];
  readonly isList?: boolean;
}

/** `collection["name"]`, `.GetValueOrDefault("name")`, `.Value<T>("name")`, `.SelectToken("name")`. */
function readEntry(expression: Expression, scope: ExpressionScope): Entry | undefined {
  if (expression.kind === 'index') return nameEntry(expression.target, readText(expression.index), scope);
  if (expression.kind !== 'call') return undefined;
  if (!['GetValueOrDefault', 'Value', 'GetValue'].includes(expression.name)) return undefined;
  return nameEntry(expression.target, readText(expression.args[0]), scope);
}

function nameEntry(target: Expression, name: string | undefined, scope: ExpressionScope): Entry | undefined {
  if (name === undefined) return undefined;
  const path = readPath(target);
  if (path === 'context.Request.Headers') return { base: 'request.headers', name: name.toLowerCase(), type: 'string' };
  if (path === 'context.Response.Headers' && scope.hasResponse) {
    return { base: 'response.headers', name: name.toLowerCase(), type: 'string' };
  }
  if (path === 'context.Request.MatchedParameters' || path === 'context.Request.OriginalUrl.MatchedParameters') {
    return { base: 'params', name, type: 'string' };
  }
  if (path === 'context.Request.Url.Query' || path === 'context.Request.OriginalUrl.Query') {
    return { base: 'request.query', name, type: 'string', isList: true };
  }
  if (path === 'context.Variables') return { base: 'vars', name: scope.nameVariable(name), type: 'string' };
  if (target.kind === 'member' && target.name === 'Claims' && isToken(target.target, scope)) {
    return { base: 'jwt.claims', name, type: 'dyn' };
  }
  const body = readLookupBody(target, scope);
  return body === undefined ? undefined : { base: body, name, type: 'dyn' };
}

/** `((IResponse)context.Variables["x"]).Body.As<JObject>()`, or a local variable that holds it. */
function readLookupBody(expression: Expression, scope: ExpressionScope): string | undefined {
  if (expression.kind !== 'call' || expression.name !== 'As' || expression.target.kind !== 'member') return undefined;
  if (expression.target.name !== 'Body') return undefined;
  const lookup = scope.lookups.get(readVariable(expression.target.target) ?? '');
  return lookup === undefined ? undefined : `steps.${lookup}.body`;
}

function translateIndex(expression: Extract<Expression, { kind: 'index' }>, scope: ExpressionScope): Cel {
  const entry = readEntry(expression, scope);
  if (entry !== undefined) return readValue(entry);
  const index = translate(expression.index, scope);
  // Headers are lists of lines in the gateway, one text here.
  const target = translate(expression.target, scope);
  if (index.text === '0' && target.type === 'string') return target;
  return atom(`${wrap(target)}[${index.text}]`, 'dyn');
}

function readValue({ base, name, type, isList = false }: Entry): Cel {
  if (base === 'jwt.claims' && (name === 'scope' || name === 'scp'))
    return atom(`${select(base, name)}.split(' ')`, 'list');
  return atom(`${select(base, name)}${isList ? '[0]' : ''}`, type);
}

function translateCall(expression: Extract<Expression, { kind: 'call' }>, scope: ExpressionScope): Cel {
  const { target, name, args } = expression;
  const path = readPath(target);
  if (path === 'context.Request.Certificate' && (name === 'Verify' || name === 'VerifyNoRevocation')) {
    return atom('has(cert.sha1)', 'bool');
  }
  if (name === 'ContainsKey') return translateContainsKey(target, args, scope);
  if (name === 'GetValueOrDefault' || name === 'Value' || name === 'GetValue') {
    return translateGet(expression, scope);
  }
  const body = readLookupBody(expression, scope);
  if (body !== undefined) return atom(body, 'dyn');
  if (name === 'As' || name === 'ToString') return translateRead(target, scope);
  if (path === 'string' || path === 'String') return translateTextFunction(name, args, scope);
  if (path === 'Regex' && name === 'IsMatch') return translateMatch(args, scope);
  if (isEscape(path, name)) return translate(first(args, name), scope);
  return translateMethod(expression, scope);
}

/** A template encodes what it is given by itself. */
const isEscape = (path: string | undefined, name: string): boolean =>
  ['Uri', 'System.Uri', 'System.Net.WebUtility', 'WebUtility'].includes(path ?? '') &&
  ['EscapeDataString', 'UrlEncode', 'EscapeUriString'].includes(name);

function translateRead(target: Expression, scope: ExpressionScope): Cel {
  const inner = translate(target, scope);
  return inner.type === 'string' ? inner : atom(`string(${inner.text})`, 'string');
}

function first(args: readonly Expression[], name: string): Expression {
  const [argument] = args;
  if (argument === undefined) throw new NotConvertible(`\`.${name}()\` without an argument`);
  return argument;
}

function translateContainsKey(target: Expression, args: readonly Expression[], scope: ExpressionScope): Cel {
  const entry = nameEntry(target, readText(args[0]), scope);
  if (entry === undefined) throw new NotConvertible(`\`${describe(target)}.ContainsKey\``);
  const variable = readPath(target) === 'context.Variables' ? readText(args[0]) : undefined;
  const lookup = scope.lookups.get(variable ?? '');
  return lookup === undefined
    ? compound(hasEntry(entry.base, entry.name), 'bool')
    : atom(`steps.${lookup}.ran`, 'bool');
}

function translateGet(expression: Extract<Expression, { kind: 'call' }>, scope: ExpressionScope): Cel {
  const entry = readEntry(expression, scope);
  if (entry === undefined) throw new NotConvertible(`\`${describe(expression)}\``);
  const fallback = expression.args[1];
  const value = readValue(entry);
  const otherwise = fallback === undefined || isNull(fallback) ? atom("''", 'string') : translate(fallback, scope);
  return compound(`${hasEntry(entry.base, entry.name)} ? ${value.text} : ${wrap(otherwise)}`, value.type);
}

function translateTextFunction(name: string, args: readonly Expression[], scope: ExpressionScope): Cel {
  if (name === 'IsNullOrEmpty' || name === 'IsNullOrWhiteSpace') {
    const text = translate(first(args, name), scope);
    const trimmed = name === 'IsNullOrEmpty' ? wrap(text) : `${wrap(text)}.trim()`;
    return compound(`${trimmed} == ''`, 'bool');
  }
  if (name === 'Concat') return joinTexts(args.map(each => translate(each, scope)));
  if (name === 'Equals' && args.length >= 2) return translateEquals(args, scope);
  throw new NotConvertible(`\`string.${name}\``);
}

const isIgnoringCase = (expression: Expression | undefined): boolean =>
  expression !== undefined && (readPath(expression) ?? '').endsWith('IgnoreCase');

function translateEquals(args: readonly Expression[], scope: ExpressionScope): Cel {
  const [a, b] = args.slice(0, 2).map(each => wrap(translate(each, scope)));
  if (a === undefined || b === undefined) throw new NotConvertible('`Equals` without two texts');
  const lower = isIgnoringCase(args[2]) ? '.lowerAscii()' : '';
  return compound(`${a}${lower} == ${b}${lower}`, 'bool');
}

function translateMatch(args: readonly Expression[], scope: ExpressionScope): Cel {
  if (args.length !== 2) throw new NotConvertible('`Regex.IsMatch` with options');
  const [text, pattern] = args;
  const value = translate(first(args, 'IsMatch'), scope);
  const regex = readText(pattern);
  if (text === undefined || regex === undefined) throw new NotConvertible('`Regex.IsMatch` with a computed pattern');
  return atom(`${wrap(value)}.matches(${quoteCel(regex)})`, 'bool');
}

interface Method {
  readonly cel: string;
  readonly type: Cel['type'];
  readonly least: number;
  readonly most: number;
}

const METHODS: ReadonlyMap<string, Method> = new Map<string, Method>([
  ['ToLower', { cel: 'lowerAscii', type: 'string', least: 0, most: 0 }],
  ['ToLowerInvariant', { cel: 'lowerAscii', type: 'string', least: 0, most: 0 }],
  ['ToUpper', { cel: 'upperAscii', type: 'string', least: 0, most: 0 }],
  ['ToUpperInvariant', { cel: 'upperAscii', type: 'string', least: 0, most: 0 }],
  ['Trim', { cel: 'trim', type: 'string', least: 0, most: 0 }],
  ['StartsWith', { cel: 'startsWith', type: 'bool', least: 1, most: 2 }],
  ['EndsWith', { cel: 'endsWith', type: 'bool', least: 1, most: 2 }],
  ['Contains', { cel: 'contains', type: 'bool', least: 1, most: 2 }],
  ['Replace', { cel: 'replace', type: 'string', least: 2, most: 2 }],
  ['IndexOf', { cel: 'indexOf', type: 'int', least: 1, most: 1 }],
  ['Split', { cel: 'split', type: 'list', least: 1, most: 1 }],
]);

function translateMethod({ target, name, args }: Extract<Expression, { kind: 'call' }>, scope: ExpressionScope): Cel {
  const value = translate(target, scope);
  if (name === 'Equals') return translateEquals([target, ...args], scope);
  if (name === 'First' || name === 'FirstOrDefault')
    return value.type === 'string' ? value : atom(`${wrap(value)}[0]`, 'dyn');
  if (name === 'Last' && value.type === 'list') return atom(`${wrap(value)}[size(${value.text}) - 1]`, 'string');
  // The gateway's claims are always lists of texts.
  const isMany = value.type === 'list' || value.text.startsWith('jwt.claims');
  if (name === 'Contains' && isMany) {
    return compound(`${wrap(translate(first(args, name), scope))} in ${wrap(value)}`, 'bool');
  }
  if (name === 'Substring') return translateSubstring(value, args, scope);
  const method = METHODS.get(name);
  if (method === undefined || args.length < method.least || args.length > method.most) {
    throw new NotConvertible(`\`.${name}(…)\``);
  }
  const lower = isIgnoringCase(args[1]) && method.most === 2 && method.type === 'bool' ? '.lowerAscii()' : '';
  const given = args.slice(0, lower === '' && !isComparison(args[1]) ? method.most : 1);
  const rendered = given.map(each =>
    lower === '' ? translate(each, scope).text : wrap(translate(each, scope)) + lower,
  );
  return atom(`${wrap(value)}${lower}.${method.cel}(${rendered.join(', ')})`, method.type);
}

const isComparison = (expression: Expression | undefined): boolean =>
  expression !== undefined && (readPath(expression) ?? '').startsWith('StringComparison.');

/** C# gives start and length, CEL start and end. */
function translateSubstring(value: Cel, args: readonly Expression[], scope: ExpressionScope): Cel {
  const [start, length] = args.map(each => translate(each, scope));
  if (start === undefined) throw new NotConvertible('`.Substring()`');
  const end = length === undefined ? '' : `, ${wrap(start)} + ${wrap(length)}`;
  return atom(`${wrap(value)}.substring(${start.text}${end})`, 'string');
}
