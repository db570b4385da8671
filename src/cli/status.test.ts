import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { runDrain } from './drain.ts';
import type { RunCommand } from './io.ts';
import { runLogLevel } from './log-level.ts';
import { runStatus } from './status.ts';
import { renderStatus, showDuration } from './status-text.ts';
import { createPaint } from './text.ts';

const folder = await mkdtemp(join(tmpdir(), 'sallyport-status-'));
after(() => rm(folder, { recursive: true }));

async function run(command: RunCommand, ...args: readonly string[]) {
  let stdout = '';
  let stderr = '';
  const io = {
    stdout: { write: (text: string) => void (stdout += text) },
    stderr: { write: (text: string) => void (stderr += text) },
    isTTY: false,
    columns: 100,
    env: {},
    cwd: folder,
    program: ['node'],
  };
  const code = await command(args, io, new AbortController().signal);
  return { code, stdout, stderr };
}

/** Runs with an admin socket that answers as told; answers what it was asked too. */
async function withSidecar<T>(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  use: () => Promise<T>,
) {
  const server = createServer(answer).listen(join(folder, 'admin.sock'));
  await once(server, 'listening');
  try {
    return await use();
  } finally {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  }
}

const STATUS = {
  ready: true,
  generation: 7,
  configuration: { hash: 'abc', problems: 0 },
  issuers: [{ issuer: 'shop/corp', keys: 3, keysAgeSeconds: 240, stale: false, lastError: '' }],
  trusts: [
    {
      trust: 'devices',
      lists: [
        { source: 'a', entries: 1 },
        { source: 'b', entries: 2 },
      ],
    },
  ],
  notices: ['shop/fleet: audience Any', 'evil \u001b[2J name'],
};

test('status prints single values, then a table for each list', async () => {
  const { code, stdout } = await withSidecar(
    (_, response) => response.end(JSON.stringify(STATUS)),
    () => run(runStatus, '--admin-socket', 'admin.sock'),
  );
  assert.equal(code, 0);
  assert.equal(
    stdout,
    [
      'ready                   yes',
      'generation              7',
      'configuration hash      abc',
      'configuration problems  0',
      '',
      'issuers (1)',
      'ISSUER     KEYS  KEYS AGE SECONDS  STALE  LAST ERROR',
      'shop/corp  3     4m                no     -',
      '',
      'trusts (1)',
      'TRUST    LISTS',
      'devices  source a entries 1; source b entries 2',
      '',
      'notices (2)',
      '  shop/fleet: audience Any',
      '  evil �[2J name',
      '',
    ].join('\n'),
  );
});

test('status -o json hands on what the sidecar says, and a sidecar that is not ready exits 1', async () => {
  const { code, stdout } = await withSidecar(
    (_, response) => response.end('{"ready":false,"draining":true}'),
    () => run(runStatus, '-o', 'json', '--admin-socket', 'admin.sock'),
  );
  assert.deepEqual([code, JSON.parse(stdout)], [1, { ready: false, draining: true }]);
});

test('drain and log-level say what they did', async () => {
  const asked: string[] = [];
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    asked.push(`${request.method ?? ''} ${request.url ?? ''}`);
    response.end('{}');
  };
  const results = await withSidecar(answer, async () => [
    await run(runDrain, '--admin-socket', 'admin.sock'),
    await run(runLogLevel, 'debug', '--admin-socket', 'admin.sock'),
  ]);
  assert.deepEqual(
    results.map(({ code, stdout }) => [code, stdout]),
    [
      [0, 'draining\n'],
      [0, 'debug\n'],
    ],
  );
  assert.deepEqual(asked, ['POST /drain', 'POST /log-level']);
});

test('without a sidecar every one of them exits 69 with a sentence', async () => {
  for (const [command, ...args] of [[runStatus], [runDrain], [runLogLevel, 'info']] as const) {
    const { code, stderr } = await run(command, ...args, '--admin-socket', 'nowhere.sock');
    assert.equal(code, 69);
    assert.match(stderr, /^sallyport: there is no admin socket at .*nowhere\.sock; is a sidecar running\?/);
  }
});

test('an answer that is no JSON is a sentence too', async () => {
  const { code, stderr } = await withSidecar(
    (_, response) => response.end('<html>'),
    () => run(runStatus, '--admin-socket', 'admin.sock'),
  );
  assert.equal(code, 69);
  assert.match(stderr, /gave no usable answer$/m);
});

test('a level that does not exist is refused with the nearest one', async () => {
  const { code, stderr } = await run(runLogLevel, 'debgu');
  assert.equal(code, 64);
  assert.match(stderr, /"debgu" is not a level: write debug, info, warn or error; did you mean debug\?/);
});

test('durations are said in the largest unit that fits', () => {
  assert.deepEqual([5, 119, 120, 7200, 172_800].map(showDuration), ['5s', '119s', '2m', '2h', '2d']);
});

test('a terminal sees what is not well in colour', () => {
  const text = renderStatus({ ready: false }, { paint: createPaint(true), columns: 80 });
  assert.equal(text, '\u001b[1mready\u001b[22m  \u001b[31mno\u001b[39m\n');
});
