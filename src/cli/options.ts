/**
 * Command lines: each command states its options once, and from that come parsing, environment variables, help and
 * problems. Every problem of a command line is reported at once, with the nearest name where one was mistyped.
 */
import { parseArgs } from 'node:util';
import { EXIT, type Io } from './io.ts';
import { renderHelp } from './help.ts';
import { nearestName } from '../api/words.ts';

/** One option. `read` gets the texts of the command line, or of the environment; none: the option was not given. */
export interface Option<T> {
  readonly kind: 'switch' | 'single' | 'repeated';
  readonly description: string;
  /** How help writes the value: `FILE`. */
  readonly placeholder?: string;
  readonly short?: string;
  /** Default, as help prints it. */
  readonly fallback?: string;
  /** Environment variable instead of `SALLYPORT_` and the name in upper case. */
  readonly variable?: string;
  /** @throws UsageProblem with what is wrong with the value. */
  readonly read: (texts: readonly string[]) => T;
}

export type Options = Readonly<Record<string, Option<unknown>>>;
export type Values<O extends Options> = { readonly [K in keyof O]: O[K] extends Option<infer T> ? T : never };

export interface Command<O extends Options = Options> {
  readonly name: string;
  /** Paragraphs, each one string; help fits them to the terminal. */
  readonly description: readonly string[];
  readonly options: O;
  /** `FILE…` and how many of them; `unless`: options that stand in their place. */
  readonly positionals?: {
    readonly name: string;
    readonly min: number;
    readonly max: number;
    readonly unless?: readonly string[];
  };
  readonly examples: readonly { readonly comment: string; readonly line: string }[];
}

export class UsageProblem extends Error {}

type Described = Pick<Option<unknown>, 'description' | 'short' | 'variable'>;

export function switchOption(described: Described): Option<boolean> {
  return { ...described, kind: 'switch', read: texts => readSwitch(texts[0]) };
}

export function textOption(described: Described & { readonly placeholder: string }): Option<string | undefined> {
  return { ...described, kind: 'single', read: texts => texts[0] };
}

export function listOption(described: Described & { readonly placeholder: string }): Option<readonly string[]> {
  return { ...described, kind: 'repeated', read: texts => texts };
}

/** One of a few words. */
export function choiceOption<const C extends string>(
  choices: readonly C[],
  fallback: C,
  described: Described,
): Option<C> {
  const read = ([text = fallback]: readonly string[]): C => {
    const found = choices.find(choice => choice === text);
    if (found === undefined) throw new UsageProblem(`is ${quote(text)}; must be one of ${choices.join(', ')}`);
    return found;
  };
  return { ...described, kind: 'single', placeholder: choices.join('|'), fallback, read };
}

export function numberOption(
  { min, max, fallback, integer = true }: { min: number; max: number; fallback: number; integer?: boolean },
  described: Described & { readonly placeholder: string },
): Option<number> {
  const read = ([text = String(fallback)]: readonly string[]): number => {
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
    if (!(value >= min && value <= max) || (integer && !Number.isInteger(value))) {
      throw new UsageProblem(
        `is ${quote(text)}; must be ${integer ? 'a whole number' : 'a number'} from ${min} to ${max}`,
      );
    }
    return value;
  };
  return { ...described, kind: 'single', fallback: String(fallback), read };
}

/** A value with its own grammar; `read` throws UsageProblem. */
export function parsedOption<T>(
  read: (text: string) => T,
  described: Described & { readonly placeholder: string },
): Option<T | undefined> {
  return { ...described, kind: 'single', read: ([text]) => (text === undefined ? undefined : read(text)) };
}

/** The same, repeatable; the environment variable holds them separated by commas. */
export function parsedListOption<T>(
  read: (text: string) => T,
  described: Described & { readonly placeholder: string },
): Option<readonly T[]> {
  return { ...described, kind: 'repeated', read: texts => texts.map(read) };
}

export type CommandLine<O extends Options> =
  | { readonly kind: 'run'; readonly values: Values<O>; readonly positionals: readonly string[] }
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly problems: readonly string[] };

/** Pure: reads a command's arguments (without the command's name) and environment. The command line wins. */
export function readCommandLine<O extends Options>(
  command: Command<O>,
  args: readonly string[],
  env: Io['env'],
): CommandLine<O> {
  const given = tokenize(command, args);
  if (given.help) return { kind: 'help' };
  const problems = [...given.problems];
  const values: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(command.options)) {
    const source = given.texts.get(name) ?? readVariable(name, option, env);
    try {
      values[name] = option.read(source?.texts ?? []);
    } catch (error) {
      if (!(error instanceof UsageProblem)) throw error;
      problems.push(`${source?.from ?? `--${name}`} ${error.message}`);
    }
  }
  if (given.problems.length === 0) problems.push(...countPositionals(command, given, env));
  if (problems.length > 0) return { kind: 'wrong', problems };
  // Object.entries visited every option, so the record holds a value of the right type for each name.
  return { kind: 'run', values: values as Values<O>, positionals: given.positionals };
}

/** Reads the command line, prints help or every problem when there is nothing to run. */
export async function runCommandLine<O extends Options>(
  command: Command<O>,
  args: readonly string[],
  io: Io,
  run: (values: Values<O>, positionals: readonly string[]) => Promise<number>,
): Promise<number> {
  const line = readCommandLine(command, args, io.env);
  if (line.kind === 'run') return run(line.values, line.positionals);
  if (line.kind === 'help') {
    io.stdout.write(renderHelp(command, io.columns));
    return EXIT.ok;
  }
  reportUsage(command.name, line.problems, io);
  return EXIT.usage;
}

export function reportUsage(command: string, problems: readonly string[], io: Io): void {
  const name = command === '' ? 'sallyport' : `sallyport ${command}`;
  for (const problem of problems) io.stderr.write(`${name}: ${problem}\n`);
  io.stderr.write(`Run \`${name} --help\` for what it takes.\n`);
}

export function variableName(name: string, option: Option<unknown>): string {
  return option.variable ?? `SALLYPORT_${name.toUpperCase().replaceAll('-', '_')}`;
}

interface Given {
  readonly help: boolean;
  readonly texts: Map<string, { readonly from: string; readonly texts: string[] }>;
  readonly positionals: string[];
  readonly problems: string[];
}

function tokenize(command: Command, args: readonly string[]): Given {
  const given: Given = { help: false, texts: new Map(), positionals: [], problems: [] };
  const options = Object.entries(command.options);
  const { tokens } = parseArgs({
    args: [...args],
    strict: false,
    tokens: true,
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h' },
      ...Object.fromEntries(
        options.map(([name, { kind, short }]) => [
          name,
          { type: kind === 'switch' ? ('boolean' as const) : ('string' as const), ...(short ? { short } : {}) },
        ]),
      ),
    },
  });
  for (const token of tokens) {
    if (token.kind === 'positional') given.positionals.push(token.value);
    if (token.kind !== 'option') continue;
    if (token.name === 'help') return { ...given, help: true };
    const problem = takeOption(command.options, token, given);
    if (problem !== undefined) given.problems.push(problem);
  }
  return given;
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

/** Notes one option of the command line; answers what is wrong with it, if something is. */
function takeOption(options: Options, token: OptionToken, given: Given): string | undefined {
  const { name, rawName, value, inlineValue = false } = token;
  const option = Object.hasOwn(options, name) ? options[name] : undefined;
  if (option === undefined) return `${rawName} is not an option${suggest(name, Object.keys(options), '--')}`;
  const before = given.texts.get(name);
  if (before !== undefined && option.kind !== 'repeated') return `${rawName} is given twice`;
  if (option.kind === 'switch') {
    if (value !== undefined && !/^(true|false)$/.test(value)) return `${rawName} takes no value`;
    given.texts.set(name, { from: rawName, texts: [value ?? 'true'] });
    return undefined;
  }
  if (value === undefined || value === '') return `${rawName} needs a value (${option.placeholder ?? 'VALUE'})`;
  if (!inlineValue && value.startsWith('-') && value !== '-') {
    const needs = `${rawName} needs a value (${option.placeholder ?? 'VALUE'})`;
    // What follows may be a key or certificate in PEM, which begins with dashes too: only an option's name is repeated.
    return /^-(-?[a-z][a-z-]*|[0-9.]+)$/.test(value)
      ? `${needs}, but ${value} follows; write ${rawName}=${value} if you mean it`
      : `${needs}, but something that begins with - follows`;
  }
  given.texts.set(name, { from: rawName, texts: [...(before?.texts ?? []), value] });
  return undefined;
}

/** An empty variable counts as not set, as in other tools. */
function readVariable(
  name: string,
  option: Option<unknown>,
  env: Io['env'],
): { from: string; texts: string[] } | undefined {
  const variable = variableName(name, option);
  const text = env[variable];
  if (text === undefined || text === '') return undefined;
  return { from: variable, texts: option.kind === 'repeated' ? text.split(',').map(part => part.trim()) : [text] };
}

function countPositionals(
  { positionals, options }: Command,
  { positionals: given, texts }: Pick<Given, 'positionals' | 'texts'>,
  env: Io['env'],
): string[] {
  const { name, min, max, unless = [] } = positionals ?? { name: '', min: 0, max: 0 };
  const instead = unless.find(other => {
    const option = options[other];
    const given = texts.get(other) ?? (option === undefined ? undefined : readVariable(other, option, env));
    return given !== undefined && (option?.kind !== 'switch' || readSwitch(given.texts[0]));
  });
  if (instead !== undefined) return given.length === 0 ? [] : [`takes ${name} or --${instead}, not both`];
  const wanted =
    min === 1 ? `needs ${max === 1 ? '' : 'at least '}one ${name}${listAlternatives(unless)}` : `needs ${min} ${name}`;
  if (given.length < min) return [wanted];
  return given.slice(max).map(extra => `${quote(extra)} is one argument too many`);
}

const listAlternatives = (names: readonly string[]): string => names.map(name => ` or --${name}`).join('');

/** `; did you mean --config?`, for a name begun or mistyped; nothing when none is near. */
export function suggest(wrong: string, names: readonly string[], prefix = ''): string {
  const begun = wrong.length > 1 ? names.find(name => name.startsWith(wrong)) : undefined;
  const nearest = begun ?? nearestName(wrong, names);
  return nearest === undefined ? '' : `; did you mean ${prefix}${nearest}?`;
}

function readSwitch(text: string | undefined): boolean {
  if (text === undefined || text === 'false' || text === '0') return false;
  if (text === 'true' || text === '1') return true;
  throw new UsageProblem(`is ${quote(text)}; must be true or false`);
}

/** What a user wrote, safe to print: control characters escaped, bounded. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text);
}
