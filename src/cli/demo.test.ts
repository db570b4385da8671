/** The demo as people start it: the whole program, in processes of its own. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ATTEMPTS } from '../demo/attempts.ts';
import { WEBHOOKS } from '../demo/orders.ts';

const main = fileURLToPath(new URL('../main.ts', import.meta.url));
const temporary = mkdtempSync(join(tmpdir(), 'sallyport-demo-test-'));
after(() => rmSync(temporary, { recursive: true }));

function startDemo(...args: readonly string[]): ChildProcess {
  const env = { ...process.env, TMPDIR: temporary, NODE_OPTIONS: '' };
  return spawn(process.execPath, [main, 'demo', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Collects what the process prints, and tells when it printed something. */
function listen(child: ChildProcess) {
  let output = '';
  const waiting: { readonly text: string; readonly found: () => void }[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      for (const { text: wanted, found } of waiting) if (output.includes(wanted)) found();
    });
  }
  return {
    output: () => output,
    printed: (text: string) => new Promise<void>(found => waiting.push({ text, found })),
  };
}

const EXAMPLES = [
  { args: [], titles: ATTEMPTS.map(({ title }) => title) },
  { args: ['--example', 'orders'], titles: WEBHOOKS.map(({ title }) => title) },
];

for (const { args, titles } of EXAMPLES) {
  const line = ['demo', ...args, '--run'].join(' ');
  test(`${line} performs every request, gets the answers that it must, and leaves nothing behind`, async () => {
    const child = startDemo(...args, '--run');
    const { output } = listen(child);
    const [code] = (await once(child, 'close')) as [number];
    assert.equal(code, 0, output());
    for (const title of titles) assert.ok(output().includes(title), `${title} is missing in\n${output()}`);
    assert.match(
      output(),
      new RegExp(`^${titles.length} of ${titles.length} requests were answered as they must be`, 'm'),
    );
    assert.deepEqual(readdirSync(temporary), []);
  });
}

test('demo --example orders prints commands that a shell can run as they are', async t => {
  if (spawnSync('curl', ['--version']).status !== 0) return t.skip('no curl here');
  const child = startDemo('--example', 'orders');
  const { output, printed } = listen(child);
  const ended = once(child, 'close') as Promise<[number]>;
  await Promise.race([printed('status --admin-socket'), ended]);
  const script = output()
    .split('\n')
    .filter(line => /^(cd|sign\(\)|curl) ?/.test(line));
  const { stdout, stderr } = await promisify(execFile)('sh', ['-c', script.join('\n')]);
  child.kill('SIGINT');
  await ended;
  const statuses = Array.from(stdout.matchAll(/HTTP\/[\d.]+ (\d+)/g), ([, status]) => Number(status));
  assert.deepEqual(
    statuses,
    WEBHOOKS.map(({ status }) => status),
    `${stdout}${stderr}`,
  );
  assert.deepEqual(readdirSync(temporary), []);
});

test('Ctrl-C ends `npm start | tee log` too, whose tee is gone before the last line', async () => {
  const child = startDemo();
  const { output, printed } = listen(child);
  const ended = once(child, 'exit') as Promise<[number]>;
  await Promise.race([printed('/metrics | grep'), ended]);
  child.stdout?.destroy();
  child.stderr?.destroy();
  child.kill('SIGINT');
  const [code] = await ended;
  assert.equal(code, 0, output());
  assert.deepEqual(readdirSync(temporary), []);
});

test('what npm started ends with the shell that npm put in between, which passes no signal on', async () => {
  const env = { ...process.env, TMPDIR: temporary, NODE_OPTIONS: '', npm_lifecycle_event: 'start' };
  const shell = spawn('sh', ['-c', '"$0" "$1" demo & wait', process.execPath, main], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { output, printed } = listen(shell);
  const closed = once(shell, 'close'); // every process that could write is gone
  await Promise.race([printed('/metrics | grep'), closed]);
  assert.deepEqual(readdirSync(temporary).length, 1, output());
  shell.kill('SIGKILL');
  await closed;
  assert.deepEqual(readdirSync(temporary), []);
});

test('demo prints commands to paste, and Ctrl-C ends every process, socket and file of it', async () => {
  const child = startDemo();
  const { output, printed } = listen(child);
  const ended = once(child, 'close') as Promise<[number]>;
  await Promise.race([printed('/metrics | grep'), ended]);
  const [, folder = ''] = /^cd (\S+)$/m.exec(output()) ?? [];
  const [, port = ''] = /https:\/\/fleet\.example\.com:(\d+) /.exec(output()) ?? [];
  assert.ok(existsSync(join(folder, 'tokens', 'web.jwt')), output());
  child.kill('SIGINT');
  const [code] = await ended;
  assert.equal(code, 0, output());
  assert.deepEqual(readdirSync(temporary), []);
  await assert.rejects(once(connect(Number(port), '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' });
});
