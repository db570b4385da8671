import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderHelp } from './help.ts';
import {
  type Command,
  UsageProblem,
  choiceOption,
  listOption,
  numberOption,
  parsedListOption,
  readCommandLine,
  switchOption,
  textOption,
} from './options.ts';

const COMMAND = {
  name: 'serve',
  description: ['Serves.'],
  options: {
    config: textOption({ description: 'Folder', placeholder: 'DIR', short: 'c' }),
    format: choiceOption(['json', 'pretty'], 'json', { description: 'Form of the log' }),
    share: numberOption(
      { min: 0, max: 1, fallback: 0.5, integer: false },
      { description: 'Share', placeholder: 'SHARE' },
    ),
    label: listOption({ description: 'Labels', placeholder: 'K=V' }),
    port: parsedListOption(readPort, { description: 'Ports', placeholder: 'PORT' }),
    quiet: switchOption({ description: 'Say nothing' }),
  },
  positionals: { name: 'FILE', min: 0, max: 2 },
  examples: [{ comment: 'Serve', line: 'sallyport serve' }],
} satisfies Command;

function readPort(text: string): number {
  if (!/^\d+$/.test(text)) throw new UsageProblem(`is "${text}"; must be a port`);
  return Number(text);
}

function read(line: string, env: Readonly<Record<string, string>> = {}) {
  return readCommandLine(COMMAND, line === '' ? [] : line.split(' '), env);
}

function problemsOf(line: string, env: Readonly<Record<string, string>> = {}): readonly string[] {
  const result = read(line, env);
  return result.kind === 'wrong' ? result.problems : [];
}

const DEFAULTS = { config: undefined, format: 'json', share: 0.5, label: [], port: [], quiet: false };

const GOOD: Readonly<
  Record<string, readonly [line: string, env: Record<string, string>, values: object, files?: string[]]>
> = {
  'nothing given: defaults': ['', {}, {}],
  'a value after its option': ['--config a', {}, { config: 'a' }],
  'a value after an equals sign, a dash in it': ['--config=-a', {}, { config: '-a' }],
  'a short option': ['-c a', {}, { config: 'a' }],
  'a repeated option keeps its order': ['--port 2 --port 1', {}, { port: [2, 1] }],
  'positionals between options': ['a --quiet b', {}, { quiet: true }, ['a', 'b']],
  'a double dash ends the options': ['-- --quiet', {}, {}, ['--quiet']],
  'the environment stands in': ['', { SALLYPORT_CONFIG: 'e', SALLYPORT_QUIET: 'true' }, { config: 'e', quiet: true }],
  'the environment separates by commas': ['', { SALLYPORT_PORT: '1, 2' }, { port: [1, 2] }],
  'the command line wins': ['--config a', { SALLYPORT_CONFIG: 'e' }, { config: 'a' }],
  'an empty variable is not set': ['', { SALLYPORT_SHARE: '' }, {}],
};
for (const [sentence, [line, env, values, files = []]] of Object.entries(GOOD)) {
  test(`${sentence}: ${line}`, () => {
    assert.deepEqual(read(line, env), { kind: 'run', values: { ...DEFAULTS, ...values }, positionals: files });
  });
}

const BAD: Readonly<Record<string, readonly [line: string, env: Record<string, string>, problems: string[]]>> = {
  'a mistyped option': ['--confg a', {}, ['--confg is not an option; did you mean --config?']],
  'an option like no other': ['--zzzzzz', {}, ['--zzzzzz is not an option']],
  'an option named like an object’s member': ['--constructor', {}, ['--constructor is not an option']],
  'a missing value': ['--config', {}, ['--config needs a value (DIR)']],
  'an option where a value belongs': [
    '--config --quiet',
    {},
    ['--config needs a value (DIR), but --quiet follows; write --config=--quiet if you mean it'],
  ],
  'a value for a switch': ['--quiet=maybe', {}, ['--quiet takes no value']],
  'an option given twice': ['--config a --config b', {}, ['--config is given twice']],
  'a word not among the choices': ['--format yaml', {}, ['--format is "yaml"; must be one of json, pretty']],
  'a number past its bounds': ['--share 2', {}, ['--share is "2"; must be a number from 0 to 1']],
  'a bad variable, under its own name': [
    '',
    { SALLYPORT_SHARE: 'x' },
    ['SALLYPORT_SHARE is "x"; must be a number from 0 to 1'],
  ],
  'too many files': ['a b c', {}, ['"c" is one argument too many']],
  'everything at once': [
    '--format x --prot 1 --share -1',
    { SALLYPORT_PORT: 'p' },
    [
      '--prot is not an option; did you mean --port?',
      '--share needs a value (SHARE), but -1 follows; write --share=-1 if you mean it',
      '--format is "x"; must be one of json, pretty',
      'SALLYPORT_PORT is "p"; must be a port',
    ],
  ],
};
for (const [sentence, [line, env, problems]] of Object.entries(BAD)) {
  test(`${sentence}: ${line}`, () => assert.deepEqual(problemsOf(line, env), problems));
}

test('--help wins over every problem', () => {
  assert.equal(read('--nonsense --help').kind, 'help');
  assert.equal(read('-h').kind, 'help');
});

test('what was mistyped is printed without control characters, and bounded', () => {
  const [problem = ''] = problemsOf(`--format=\u001b[31m${'x'.repeat(1000)}`);
  assert.match(problem, /^--format is "\\u001b\[31mx+…"; must be one of json, pretty$/);
  assert.ok(problem.length < 200);
});

test('help names every option, its variable and its default, within the width', () => {
  const help = renderHelp(COMMAND, 80);
  for (const part of [
    'sallyport serve FILE… [options]',
    '-c, --config DIR',
    '$SALLYPORT_CONFIG',
    'default 0.5',
    '-h, --help',
  ]) {
    assert.ok(help.includes(part), `${part} is missing in\n${help}`);
  }
  for (const line of help.split('\n')) assert.ok(line.length <= 80, line);
});
