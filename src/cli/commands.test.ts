import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runProgram } from './commands.ts';
import { findUnsafeSettings } from './guard.ts';
import { suggest } from './options.ts';
import { createPaint, renderTable } from './text.ts';

async function run(...argv: readonly string[]) {
  let stdout = '';
  let stderr = '';
  const io = {
    stdout: { write: (text: string) => void (stdout += text) },
    stderr: { write: (text: string) => void (stderr += text) },
    isTTY: false,
    columns: 80,
    env: {},
    cwd: '/',
    program: ['node', 'sallyport'],
  };
  const code = await runProgram(argv, io, { signal: new AbortController().signal, version: '1.2.3' });
  return { code, stdout, stderr };
}

test('--version and --help answer on standard output', async () => {
  assert.deepEqual(await run('--version'), { code: 0, stdout: 'sallyport 1.2.3\n', stderr: '' });
  for (const words of [['--help'], ['-h'], ['help']]) {
    const { code, stdout } = await run(...words);
    assert.equal(code, 0);
    assert.match(stdout, /^ {2}sidecar {5}Judges every request/m);
  }
});

test('no command at all prints the overview as an error', async () => {
  const { code, stdout, stderr } = await run();
  assert.deepEqual([code, stdout], [64, '']);
  assert.match(stderr, /Usage:\n {2}sallyport COMMAND/);
});

const WRONG: Readonly<Record<string, readonly [command: string, message: RegExp]>> = {
  'a mistyped command': ['stauts', /^sallyport: "stauts" is not a command; did you mean status\?$/m],
  'a command like no other': ['frobnicate', /^sallyport: "frobnicate" is not a command$/m],
  'a member of every object': ['__proto__', /^sallyport: "__proto__" is not a command$/m],
  'a mistyped option': ['--verison', /^sallyport: "--verison" is not an option; did you mean --version\?$/m],
};
for (const [sentence, [command, message]] of Object.entries(WRONG)) {
  test(`${sentence} exits 64 with a sentence`, async () => {
    const { code, stdout, stderr } = await run(command);
    assert.deepEqual([code, stdout], [64, '']);
    assert.match(stderr, message);
  });
}

for (const command of ['sidecar', 'init', 'check', 'explain', 'inject', 'status', 'drain', 'log-level', 'demo']) {
  test(`${command} --help shows usage, options and examples that can be pasted`, async () => {
    const { code, stdout } = await run(command, '--help');
    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`^Usage:\\n {2}sallyport ${command}`));
    assert.match(stdout, new RegExp(`^ {2}(?:kubectl exec .* -- )?sallyport ${command}`, 'm'));
    assert.match(stdout, /-h, --help/);
    assert.equal((await run('help', command)).stdout, stdout);
  });
}

const WRONG_LEVELS: Readonly<Record<string, readonly [args: readonly string[], message: RegExp]>> = {
  'a level that does not exist': [['verbose'], /"verbose" is not a level: write debug, info, warn or error$/m],
  'a level that is misspelt': [
    ['wran'],
    /"wran" is not a level: write debug, info, warn or error; did you mean warn\?$/m,
  ],
  'no level': [[], /^sallyport log-level: needs one LEVEL$/m],
};
for (const [sentence, [args, message]] of Object.entries(WRONG_LEVELS)) {
  test(`log-level with ${sentence} says what it takes`, async () => {
    const { code, stdout, stderr } = await run('log-level', ...args);
    assert.deepEqual([code, stdout], [64, '']);
    assert.match(stderr, message);
  });
}

test('the nearest name is found by swaps, gaps and beginnings, and not by chance', () => {
  const names = ['status', 'sidecar', 'drain', 'demo'];
  assert.deepEqual(
    ['satus', 'sttaus', 'side', 'darin', 'xyz', ''].map(wrong => suggest(wrong, names)),
    ['status', 'status', 'sidecar', 'drain'].map(name => `; did you mean ${name}?`).concat('', ''),
  );
});

const UNSAFE: Readonly<Record<string, readonly [env: Record<string, string>, flags: string[], count: number]>> = {
  'a clean process': [{ PATH: '/bin', NODE_OPTIONS: '' }, ['--max-semi-space-size=1'], 0],
  NODE_OPTIONS: [{ NODE_OPTIONS: '--require ./x.js' }, [], 1],
  'servers not verified': [{ NODE_TLS_REJECT_UNAUTHORIZED: '0' }, [], 1],
  'debug output': [{ NODE_DEBUG: 'tls' }, [], 1],
  'the inspector': [{}, ['--inspect=0.0.0.0:9229'], 1],
  'the inspector, waiting': [{}, ['--inspect-brk'], 1],
  'all of it': [{ NODE_OPTIONS: 'x', NODE_DEBUG: 'x' }, ['--inspect'], 3],
};
for (const [sentence, [env, flags, count]] of Object.entries(UNSAFE)) {
  test(`the data path starts only where nothing reads its keys: ${sentence}`, () => {
    assert.equal(findUnsafeSettings('sidecar', env, flags).length, count);
  });
}

test('a table has aligned columns, and the last one is cut at the edge', () => {
  const rows = [
    [{ text: 'a' }, { text: 'x'.repeat(100) }],
    [{ text: 'long name' }, { text: 'y' }],
  ];
  assert.equal(
    renderTable(['NAME', 'VALUE'], rows, { paint: createPaint(false), columns: 40 }),
    `NAME       VALUE\na          ${'x'.repeat(28)}…\nlong name  y\n`,
  );
});
