import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PresentedHeader } from '../credentials/credentials.ts';
import { literal, setting, step } from '../decision/testing/fakes.ts';
import type { CredentialAnswers } from './generation.ts';
import { BEARER, OPEN, play, type WorldParts } from './testing/world.ts';
import { echoHeads, openWire, type Wire } from './testing/wire.ts';
import { source } from '../decision/testing/fakes.ts';
import { token } from '../decision/testing/fakes.ts';

const SAS = 'SharedAccessSignature sr=q&sig=c2lnbmF0dXJl%3D&se=1&skn=Send';

const presenting = (present: CredentialAnswers['present'] | PresentedHeader, parts: WorldParts = {}): WorldParts => ({
  ...parts,
  pipeline: { headerCredential: 'shop/queue', hidesAuthorization: true, ...parts.pipeline },
  credentials: { present: typeof present === 'function' ? present : () => present },
});

/** What the app got, or the refusal. */
async function ask(parts: WorldParts, lines: readonly string[] = [], target = 'GET /open'): Promise<string> {
  let got = '';
  await play(echoHeads, parts, async ({ world }) => {
    const wire = openWire(world.port).send([`${target} HTTP/1.1`, 'Host: a.example', ...lines, '', ''].join('\r\n'));
    const { status, body } = await wire.takeAnswer();
    got = `${status} ${body}`;
    wire.socket.destroy();
  });
  return got;
}
const linesOf = (head: string, name: string): readonly string[] =>
  head.split('\r\n').filter(line => line.toLowerCase().startsWith(`${name}:`));

describe('a header that is presented to the app', () => {
  test('stands instead of the client’s Authorization', async () => {
    const head = await ask(presenting({ name: 'Authorization', value: SAS }), ['Authorization: Bearer client']);
    assert.deepEqual(linesOf(head, 'authorization'), [`Authorization: ${SAS}`]);
    assert.doesNotMatch(head, /client/);
  });

  test('stands instead of the client’s header in any spelling', async () => {
    const sent = ['X-Api-Key: forged', 'x_api_key: forged', 'X.Api.Key: forged', 'Authorization: Bearer forged'];
    for (const name of ['X-Api-Key', 'X_Api_Key']) {
      const head = await ask(presenting({ name, value: 'ours-and-only-ours' }), sent);
      assert.doesNotMatch(head, /forged/);
      assert.ok(head.includes(`\r\n${name}: ours-and-only-ours\r\n`), head);
    }
  });

  test('has the last word over setHeaders, which may set others', async () => {
    const set = step({
      type: 'setHeaders',
      setHeaders: [setting('Authorization', literal('policy')), setting('x-tier', literal('gold'))],
    });
    const head = await ask(presenting({ name: 'Authorization', value: SAS }, { routes: [['/', [OPEN, set]]] }));
    assert.deepEqual(linesOf(head, 'authorization'), [`Authorization: ${SAS}`]);
    assert.deepEqual(linesOf(head, 'x-tier'), ['x-tier: gold']);
  });

  test('is waited for', async () => {
    const { promise, resolve } = Promise.withResolvers<PresentedHeader>();
    const asked = ask(
      presenting(() => {
        setImmediate(() => resolve({ name: 'Authorization', value: 'Bearer late' }));
        return promise;
      }),
    );
    assert.deepEqual(linesOf(await asked, 'authorization'), ['Authorization: Bearer late']);
  });

  test('that cannot be had is 503 CredentialUnavailable, and nothing reaches the app', async () => {
    const never: readonly CredentialAnswers['present'][] = [
      () => undefined,
      () => Promise.resolve(undefined),
      () => Promise.reject(new Error('unforeseen')),
    ];
    for (const present of never) {
      await play(echoHeads, presenting(present), async ({ app, world }) => {
        const wire = openWire(world.port).send('POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc');
        const { status, body } = await wire.takeAnswer();
        assert.match(`${status} ${body}`, /^503 .*"CredentialUnavailable"/);
        assert.equal(app.wires.length, 0);
        wire.socket.destroy();
      });
    }
  });

  test('is asked for the caller, the operation and the app’s host', async () => {
    const asked: unknown[] = [];
    const present: CredentialAnswers['present'] = (key, host, { caller, api, operation }) => {
      asked.push({ key, host, caller, api, operation });
      return { name: 'Authorization', value: SAS };
    };
    const evidence = source({ token: () => token() });
    await ask(presenting(present, { evidence }), ['Authorization: Bearer good'], 'GET /private');
    assert.deepEqual(asked, [
      {
        key: 'shop/queue',
        host: { name: 'localhost', port: undefined },
        caller: { kind: 'Jwt', id: 'alice', issuer: 'https://login.example.com/', certificateSha256: undefined },
        api: 'shop/fleet',
        operation: 'telemetry',
      },
    ]);
  });

  test('cannot be sent as a trailer by a client', async () => {
    let got = '';
    const app = (wire: Wire): void => {
      void wire.take(/0\r\n[^]*\r\n\r\n/).then(text => {
        got = text;
        wire.send('HTTP/1.1 204 No Content\r\n\r\n');
      });
    };
    await play(app, presenting({ name: 'X-Api-Key', value: 'ours-and-only-ours' }), async ({ world }) => {
      const wire = openWire(world.port).send(
        'POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX_Api_Key: forged\r\nX-Sum: 1\r\n\r\n',
      );
      await wire.take(/204/);
      wire.socket.destroy();
    });
    assert.match(got, /X-Sum: 1/);
    assert.doesNotMatch(got, /forged/);
  });
});

describe('the client’s Authorization', () => {
  const forwarding: WorldParts = { evidence: source({ token: () => token() }) };

  test('stays where no credential is presented and the app is next door', async () => {
    assert.match(await ask({}, ['Authorization: Basic YTpi']), /Authorization: Basic YTpi/);
  });

  test('goes where the back end is elsewhere, whether or not something is presented', async () => {
    const head = await ask({ pipeline: { hidesAuthorization: true } }, ['Authorization: Basic YTpi']);
    assert.deepEqual(linesOf(head, 'authorization'), []);
  });

  test('stays beside a credential in another header if a jwt step says forwardToken', async () => {
    const parts = presenting({ name: 'X-Api-Key', value: 'ours-and-only-ours' }, forwarding);
    const kept = { ...parts, pipeline: { headerCredential: 'shop/queue' }, routes: [['/', [BEARER]]] } as const;
    const head = await ask(kept, ['Authorization: Bearer good']);
    assert.deepEqual(linesOf(head, 'authorization'), ['Authorization: Bearer good']);
    assert.deepEqual(linesOf(head, 'x-api-key'), ['X-Api-Key: ours-and-only-ours']);
  });
});

describe('what was presented does not come back', () => {
  const answering =
    (lines: readonly string[], trailers = '') =>
    (wire: Wire): void => {
      void wire.take(/\r\n\r\n/).then(() => {
        const head = ['HTTP/1.1 200 OK', ...lines, 'Transfer-Encoding: chunked'].join('\r\n');
        wire.send(`${head}\r\n\r\n2\r\nok\r\n0\r\n${trailers}\r\n`);
      });
    };
  async function answered(value: string, lines: readonly string[], trailers = ''): Promise<string> {
    let got = '';
    await play(answering(lines, trailers), presenting({ name: 'Authorization', value }), async ({ world }) => {
      const wire = openWire(world.port).send('GET /open HTTP/1.1\r\nHost: a\r\n\r\n');
      got = await wire.take(/0\r\n[^]*?\r\n\r\n|0\r\n\r\n/);
      wire.socket.destroy();
    });
    return got;
  }

  test('lines that hold it go, whatever their name and escaping', async () => {
    const got = await answered(SAS, [
      `Authorization: ${SAS}`,
      `X-Debug: got ${SAS}`,
      `X-Debug: fine`,
      `Set-Cookie: auth=${encodeURIComponent(SAS.slice(22))}; Path=/`,
      'X-Kept: 1',
    ]);
    assert.doesNotMatch(got, /sig=c2ln|sig%3Dc2ln|Authorization|X-Debug/);
    assert.match(got, /X-Kept: 1/);
  });

  test('a short one does not blank out ordinary words', async () => {
    const got = await answered('Key 1', ['X-Version: 1.2', 'X-Echo: Key 1', 'X-Bare: 1']);
    assert.match(got, /X-Version: 1\.2/);
    assert.doesNotMatch(got, /X-Echo|X-Bare/);
  });

  test('a trailer of its name goes, and one that holds it', async () => {
    const got = await answered(SAS, ['X-Kept: 1'], `Authorization: ${SAS}\r\nX-Echo: ${SAS}\r\nX-Sum: 2\r\n`);
    assert.doesNotMatch(got, /sig=c2ln/);
    assert.match(got, /X-Sum: 2/);
  });

  test('a 401 of the app is told to the credential, other answers are not', async () => {
    for (const [status, times] of [
      [401, 1],
      [403, 0],
      [200, 0],
    ] as const) {
      const refused: string[] = [];
      const parts = presenting({ name: 'Authorization', value: SAS });
      const credentials = { ...parts.credentials, refused: (key: string) => void refused.push(key) };
      const app = (wire: Wire): void =>
        void wire.take(/\r\n\r\n/).then(() => wire.send(`HTTP/1.1 ${status} X\r\nContent-Length: 0\r\n\r\n`));
      await play(app, { ...parts, credentials }, async ({ world }) => {
        const wire = openWire(world.port).send('GET /open HTTP/1.1\r\nHost: a\r\n\r\n');
        assert.equal((await wire.takeAnswer()).status, status);
        wire.socket.destroy();
      });
      assert.deepEqual(refused, Array(times).fill('shop/queue'));
    }
  });
});
