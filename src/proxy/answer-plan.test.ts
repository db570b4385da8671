import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { literal, path, responseStep, setting } from '../decision/testing/fakes.ts';
import type { CompiledHideBackend, CompiledResponseStep } from '../policy/steps.ts';
import { play, type WorldParts } from './testing/world.ts';
import { openWire, type Wire } from './testing/wire.ts';

const hide = (parts: Partial<CompiledHideBackend> = {}): CompiledResponseStep =>
  responseStep({
    type: 'hideBackend',
    hideBackend: {
      removeHeaders: [],
      keepHeaders: [],
      removes: lower => ['server', 'x-powered-by'].includes(lower),
      from: ['internal.example:8080'],
      to: path('request.host'),
      errorBodies: 'Replace',
      ...parts,
    },
  });
const responding = (...steps: readonly CompiledResponseStep[]): WorldParts => ({
  pipeline: { response: { steps, dynamic: true } },
});
const get = (host: string, path_ = '/open'): string => `GET ${path_} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;

async function answers(parts: WorldParts, said: readonly string[], requests: readonly string[]): Promise<string[]> {
  const got: string[] = [];
  await play(
    (wire: Wire) => {
      void (async () => {
        for (const answer of said) {
          await wire.take(/\r\n\r\n/);
          wire.send(answer);
        }
      })().catch(() => undefined);
    },
    parts,
    async ({ world }) => {
      const wire = openWire(world.port);
      for (const request of requests) {
        const { head, body } = await wire.send(request).takeAnswer();
        got.push(head + body);
      }
      wire.socket.destroy();
    },
  );
  return got;
}

describe('the response part', () => {
  test('removes what tells of the back end, for answers that repeat and answers that do not', async () => {
    const same = 'HTTP/1.1 200 OK\r\nServer: secret\r\nX-Powered-By: secret\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nok';
    const other = same.replace('X-A: 1', 'X-A: 2');
    const got = await answers(responding(hide()), [same, same, other, same], Array(4).fill(get('a.example')));
    for (const text of got) assert.doesNotMatch(text, /secret/);
    assert.deepEqual(
      got.map(text => /X-A: (\d)/.exec(text)?.[1]),
      ['1', '1', '2', '1'],
    );
  });

  test('equal answers to different hosts get each its own', async () => {
    const same = 'HTTP/1.1 302 Found\r\nLocation: http://internal.example:8080/x\r\nContent-Length: 0\r\n\r\n';
    const steps = responding(hide({ to: { ...path('request.host'), render: b => `https://${hostOf(b)}` } }));
    const got = await answers(steps, [same, same, same], [get('a.example'), get('b.example'), get('a.example')]);
    assert.deepEqual(
      got.map(text => /Location: (\S+)/.exec(text)?.[1]),
      ['https://a.example/x', 'https://b.example/x', 'https://a.example/x'],
    );
  });

  test('equal answers on different routes get each its own', async () => {
    const same = 'HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nok';
    const steps = responding(
      responseStep({ type: 'setHeaders', setHeaders: [setting('X-Fixed', literal('yes'))] }),
      responseStep(
        { type: 'removeHeaders', removeHeaders: ['x-a'] },
        { when: { source: '', reads: new Set(), evaluate: b => pathOf(b) === '/open/hidden' } },
      ),
    );
    const got = await answers(steps, [same, same, same], [get('a'), get('a', '/open/hidden'), get('a')]);
    assert.deepEqual(
      got.map(text => text.includes('X-A: 1')),
      [true, false, true],
    );
    for (const text of got) assert.match(text, /X-Fixed: yes/);
  });

  test('an error of the app is replaced by one that says nothing, with the id to ask about', async () => {
    const failing = 'HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\nsecret';
    const [first = '', second = ''] = await answers(responding(hide()), [failing, failing], Array(2).fill(get('a')));
    for (const text of [first, second]) {
      assert.match(text, /^HTTP\/1\.1 500 Internal Server Error\r\n/);
      assert.doesNotMatch(text, /secret|html|Oops/);
    }
    const idOf = (text: string): string | undefined => /"requestId":"([^"]+)"/.exec(text)?.[1];
    assert.ok(idOf(first));
    assert.notEqual(idOf(first), idOf(second));
  });

  const bodies = { mediaTypes: ['application/json'], maxBytes: 64, onOversize: 'Fail' } as const;
  const rewriting = (parts: Partial<typeof bodies | { onOversize: 'Pass' }> = {}): WorldParts =>
    responding(hide({ bodies: { ...bodies, ...parts }, to: literal('https://a.example') }));
  const json = (body: string, more = ''): string =>
    `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`;

  test('hosts in bodies are rewritten, and the length with them', async () => {
    const [text = ''] = await answers(rewriting(), [json('{"next":"http://internal.example:8080/2"}')], [get('a')]);
    assert.match(text, /Content-Length: 30\r\n\r\n\{"next":"https:\/\/a\.example\/2"\}$/);
  });

  test('a body larger than maxBytes is 502 (Fail) or passes unchanged (Pass)', async () => {
    const large = `{"next":"http://internal.example:8080/2","${'x'.repeat(64)}":1}`;
    assert.match((await answers(rewriting(), [json(large)], [get('a')]))[0] ?? '', /^HTTP\/1\.1 502 /);
    const [passed = ''] = await answers(rewriting({ onOversize: 'Pass' }), [json(large)], [get('a')]);
    assert.ok(passed.endsWith(large));
  });

  test('an encoded body that would have to be rewritten is 502, and the app was asked for none', async () => {
    const encoded = json('xxxx', 'Content-Encoding: gzip\r\n');
    assert.match((await answers(rewriting(), [encoded], [get('a')]))[0] ?? '', /^HTTP\/1\.1 502 /);
    await play(undefined, rewriting(), async ({ world, app }) => {
      const text = 'GET /open HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nRange: bytes=0-1\r\n\r\n';
      const wire = openWire(world.port).send(text);
      const asked = await (await app.connection(0)).take(/\r\n\r\n/);
      assert.match(asked, /\r\nAccept-Encoding: identity\r\n/);
      assert.doesNotMatch(asked, /gzip|Range/i);
      wire.socket.destroy();
    });
  });
});

const requestOf = (bindings: Readonly<Record<string, unknown>>): { host: string; path: string } =>
  bindings['request'] as { host: string; path: string };
const hostOf = (bindings: Readonly<Record<string, unknown>>): string => requestOf(bindings).host;
const pathOf = (bindings: Readonly<Record<string, unknown>>): string => requestOf(bindings).path;
