/** What `npm run bench -- …` takes. */
import { parseArgs } from 'node:util';

export interface BenchOptions {
  readonly seconds: number;
  readonly rounds: number;
  /** Absent: everything. */
  readonly only?: readonly string[];
  readonly peers?: readonly string[];
  readonly write: boolean;
}

export interface Choices {
  readonly measures: readonly string[];
  readonly peers: readonly string[];
}

export const renderUsage = ({ measures, peers }: Choices): string =>
  [
    'usage: npm run bench -- [options]',
    '  --seconds N   of load for each measurement, 1 to 600 (5)',
    '  --rounds N    in which the peers take turns, 1 to 100 (3)',
    `  --only A,B    measure only these: ${measures.join(', ')}`,
    `  --peers A,B   only these peers: ${peers.join(', ')}`,
    '  --no-write    leave docs/benchmarks as it is',
    '',
  ].join('\n');

/** The options, or every problem of the command line as a sentence. */
export function readOptions(args: readonly string[], choices: Choices): BenchOptions | { problems: readonly string[] } {
  const { tokens } = parseArgs({ args: [...args], strict: false, tokens: true, options: TEXTS });
  const problems: string[] = [];
  const texts = new Map<string, string>();
  for (const token of tokens) {
    if (token.kind === 'positional') problems.push(`"${token.value}" is not an option`);
    if (token.kind !== 'option') continue;
    const kind = Object.hasOwn(TEXTS, token.name) ? TEXTS[token.name as keyof typeof TEXTS].type : undefined;
    if (kind === undefined) problems.push(`${token.rawName} is not an option`);
    else if (kind === 'boolean' && token.value !== undefined) problems.push(`${token.rawName} takes no value`);
    else if (kind === 'string' && token.value === undefined) problems.push(`${token.rawName} needs a value`);
    else texts.set(token.name, token.value ?? '');
  }
  const seconds = readNumber('seconds', texts.get('seconds') ?? '5', 600, problems);
  const rounds = readNumber('rounds', texts.get('rounds') ?? '3', 100, problems);
  const only = readNames('only', texts.get('only'), choices.measures, problems);
  const peers = readNames('peers', texts.get('peers'), choices.peers, problems);
  if (problems.length > 0) return { problems };
  return { seconds, rounds, ...(only && { only }), ...(peers && { peers }), write: !texts.has('no-write') };
}

const TEXTS = {
  seconds: { type: 'string' },
  rounds: { type: 'string' },
  only: { type: 'string' },
  peers: { type: 'string' },
  'no-write': { type: 'boolean' },
} as const;

function readNumber(name: string, text: string, most: number, problems: string[]): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > most) {
    problems.push(`--${name} is "${text}"; must be a number from 1 to ${most}`);
  }
  return value;
}

function readNames(name: string, text: string | undefined, known: readonly string[], problems: string[]) {
  const names = text?.split(',').map(each => each.trim());
  for (const each of names ?? []) {
    if (!known.includes(each)) problems.push(`--${name}: "${each}" is none of ${known.join(', ')}`);
  }
  return names;
}
