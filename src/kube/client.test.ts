import assert from 'node:assert/strict';
import { createServer } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { createAuthority } from '../demo/pki.ts';
import { SILENT } from '../telemetry/telemetry.ts';
import { createKubeClient, type KubeClient, type KubeClientDependencies } from './client.ts';
import { readInClusterConnection, type KubeConnection } from './connection.ts';
import { KubeError } from './kube-error.ts';
import { createSession } from './session.ts';
import { answerJson, createStatus, openScriptedServer, type Script } from './testing/scripted-server.ts';
import { openSilentLink } from './testing/silent-link.ts';
import { applyObject, deleteObject, readObject } from './writes.ts';

function openClient(
  context: TestContext,
  connection: KubeConnection,
  changes: Partial<KubeClientDependencies> = {},
): KubeClient {
  const client = createKubeClient(connection, { log: SILENT.log, clock: Date.now, random: () => 0.5, ...changes });
  context.after(() => client.close());
  return client;
}

async function open(
  context: TestContext,
  script: Script,
  changes: Partial<KubeConnection> = {},
  deps: Partial<KubeClientDependencies> = {},
) {
  const server = await openScriptedServer(context, script);
  return { server, client: openClient(context, { ...server.connection, ...changes }, deps) };
}

const expectError =
  (expected: Partial<KubeError>) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof KubeError, String(error));
    for (const [name, value] of Object.entries(expected)) assert.deepEqual(error[name as keyof KubeError], value);
    return true;
  };

async function collect(lines: AsyncIterable<unknown>): Promise<unknown[]> {
  const collected: unknown[] = [];
  for await (const line of lines) collected.push(line);
  return collected;
}

const never = (): AbortSignal => new AbortController().signal;

describe('the client of the API server', { timeout: 20_000 }, () => {
  it('sends every request over one connection, with token, query and body', async context => {
    const { server, client } = await open(context, (_, answer) => answerJson(answer, 200, { ok: true }), {
      token: () => Promise.resolve('first'),
    });
    const answers = await Promise.all([
      client.request('GET', '/version'),
      client.request('POST', '/api/v1/namespaces', { query: { dryRun: 'All' }, body: { kind: 'Namespace' } }),
    ]);
    assert.deepEqual(answers, [{ ok: true }, { ok: true }]);
    assert.equal(server.sessions.length, 1);
    const post = server.calls.find(({ method }) => method === 'POST');
    assert.equal(post?.body, '{"kind":"Namespace"}');
    assert.equal(post.query.get('dryRun'), 'All');
    assert.equal(post.headers['authorization'], 'Bearer first');
    assert.equal(post.headers['content-type'], 'application/json');
  });

  it('keeps the path in front of /api that a gateway has', async context => {
    const { server } = await open(context, (_, answer) => answerJson(answer, 200, {}));
    const client = openClient(context, {
      ...server.connection,
      server: `${server.connection.server}/k8s/clusters/c-1/`,
    });
    await client.request('GET', '/version');
    assert.equal(server.calls[0]?.path, '/k8s/clusters/c-1/version');
  });

  it('reads a Status into reason, message and time to wait', async context => {
    const { client } = await open(context, ({ path }, answer) => {
      if (path === '/busy')
        answerJson(answer, 429, createStatus(429, 'TooManyRequests', 'slow down'), { 'retry-after': '7' });
      else if (path === '/later')
        answerJson(answer, 500, createStatus(500, 'ServerTimeout', 'x', { details: { retryAfterSeconds: 2 } }));
      else answer.writeHead(502).end('<html>secret</html>');
    });
    const [busy, later] = [
      { status: 429, reason: 'TooManyRequests', message: 'slow down', retryAfterMs: 7000 },
      { status: 500, retryAfterMs: 2000 },
    ];
    await assert.rejects(client.request('GET', '/busy'), expectError(busy));
    await assert.rejects(client.request('GET', '/later'), expectError(later));
    await assert.rejects(
      client.request('GET', '/page'),
      expectError({ status: 502, message: 'the API server answered 502' }),
    );
  });

  it('reads the token again after a 401, and asks once more only when it has changed', async context => {
    const tokens = ['old', 'new', 'new', 'new'];
    const { server, client } = await open(
      context,
      ({ headers, path }, answer) => {
        const isGood = headers['authorization'] === 'Bearer new' && path !== '/never';
        answerJson(answer, isGood ? 200 : 401, isGood ? {} : createStatus(401, 'Unauthorized', 'Unauthorized'));
      },
      { token: () => Promise.resolve(tokens.shift()) },
    );
    await client.request('GET', '/version');
    assert.equal(server.calls.length, 2);
    await assert.rejects(client.request('GET', '/never'), expectError({ status: 401, reason: 'Unauthorized' }));
    assert.equal(server.calls.length, 3);
  });

  it('opens a new connection after GOAWAY and lets the open stream end on the old one', async context => {
    let finish: () => void = () => undefined;
    const { server, client } = await open(context, ({ path }, answer) => {
      if (path !== '/watch') return answerJson(answer, 200, {});
      answer.writeHead(200);
      answer.write('{"n":1}\n');
      finish = () => void answer.end('{"n":2}\n');
    });
    const lines = client.stream('/watch', {}, never())[Symbol.asyncIterator]();
    assert.deepEqual((await lines.next()).value, { n: 1 });
    server.sessions[0]?.goaway(0);
    // Both frames travel in order, so this one is answered after the client has seen the GOAWAY.
    await new Promise<void>(resolve => server.sessions[0]?.ping(() => resolve()));
    await client.request('GET', '/version');
    assert.deepEqual(
      server.calls.map(({ session }) => session),
      [0, 1],
    );
    finish();
    assert.deepEqual((await lines.next()).value, { n: 2 });
    assert.equal((await lines.next()).done, true);
  });

  it('sends a request again that the server refused to start', async context => {
    let refusals = 1;
    const { server, client } = await open(context, (_, answer) => {
      if (refusals-- > 0) answer.stream.close(7);
      else answerJson(answer, 200, { ok: true });
    });
    assert.deepEqual(await client.request('POST', '/x', { body: {} }), { ok: true });
    assert.equal(server.calls.length, 2);
  });

  it('does not send a request again that may have been carried out', async context => {
    const { server, client } = await open(context, (_, answer) => answer.stream.close(2));
    await assert.rejects(
      client.request('POST', '/x', { body: {} }),
      expectError({ status: 0, reason: 'ConnectionLost' }),
    );
    assert.equal(server.calls.length, 1);
  });

  it('connects again after the server was killed', async context => {
    const { server, client } = await open(context, (_, answer) => answerJson(answer, 200, {}));
    await client.request('GET', '/version');
    await server.close();
    await assert.rejects(client.request('GET', '/version'), expectError({ status: 0 }));
    await openScriptedServer(context, (_, answer) => answerJson(answer, 200, { back: true }), { port: server.port });
    assert.deepEqual(await client.request('GET', '/version'), { back: true });
  });

  it('gives up a request without an answer, one without an end, and one that is aborted', async context => {
    const { client } = await open(context, ({ path }, answer) => {
      if (path === '/half') answer.writeHead(200).write('{"a":');
    });
    await assert.rejects(client.request('GET', '/silent', { timeoutMs: 30 }), expectError({ reason: 'Timeout' }));
    await assert.rejects(client.request('GET', '/half', { timeoutMs: 30 }), expectError({ reason: 'Timeout' }));
    await assert.rejects(
      client.request('GET', '/x', { signal: AbortSignal.abort() }),
      expectError({ reason: 'Closed' }),
    );
  });

  it('destroys a connection that no longer answers pings', async context => {
    const server = await openScriptedServer(context, () => undefined);
    const link = await openSilentLink(context, server.port);
    const connection = { ...server.connection, server: `https://127.0.0.1:${link.port}` };
    const client = openClient(context, connection, { pingEveryMs: 20, pingTimeoutMs: 40 });
    const refused = assert.rejects(client.request('GET', '/x'), expectError({ reason: 'ConnectionLost' }));
    await server.called(0);
    link.silence();
    await refused;
  });

  it('asks once more for what only reads when its answer was cut off, and never for a write', async context => {
    let cut = 2;
    const { client } = await open(context, (_, answer) => {
      if (cut-- <= 0) return answerJson(answer, 200, { ok: true });
      answer.writeHead(200, { 'content-type': 'application/json' });
      answer.write('{"o');
      setImmediate(() => answer.stream.close(2));
    });
    await assert.rejects(client.request('POST', '/api/v1/namespaces', { body: {} }), expectError({ status: 0 }));
    assert.deepEqual(await client.request('GET', '/version'), { ok: true });
  });

  it('yields the lines of a stream, however they are cut into frames', async context => {
    const { client } = await open(context, (_, answer) => {
      answer.writeHead(200);
      for (const part of ['{"a"', ':"ü"}\n{"a":2', '}\n\n{"a":3}\n']) answer.write(part);
      answer.end();
    });
    assert.deepEqual(await collect(client.stream('/w', { watch: '1' }, never())), [{ a: 'ü' }, { a: 2 }, { a: 3 }]);
  });

  const CUTS: Record<string, { script: Script; reason: string }> = {
    'ends within a line': {
      script: (_, answer) => answer.writeHead(200).end('{"a":1}\n{"a"'),
      reason: 'ConnectionLost',
    },
    'is reset': {
      script: (_, answer) => {
        answer.writeHead(200).write('{"a":1}\n');
        answer.stream.once('drain', () => answer.stream.close(8));
        setTimeout(() => answer.stream.close(8), 20);
      },
      reason: 'ConnectionLost',
    },
    'loses its connection': {
      script: (_, answer) => {
        answer.writeHead(200).write('{"a":1}\n');
        setTimeout(() => answer.stream.session?.destroy(), 20);
      },
      reason: 'ConnectionLost',
    },
    'holds what is no JSON': {
      script: (_, answer) => answer.writeHead(200).end('{"a":1}\nsecret\n'),
      reason: 'Protocol',
    },
    'has a line without end': {
      script: (_, answer) => answer.writeHead(200).end('{"a":1}\n"' + 'x'.repeat(2000)),
      reason: 'TooLarge',
    },
  };
  for (const [what, { script, reason }] of Object.entries(CUTS)) {
    it(`fails a stream that ${what}, after its whole lines`, async context => {
      const { client } = await open(context, script, {}, { maxLine: 1000 });
      const lines: unknown[] = [];
      await assert.rejects(
        async () => {
          for await (const line of client.stream('/w', {}, never())) lines.push(line);
        },
        error => {
          assert.doesNotMatch(String(error), /secret/);
          return expectError({ reason })(error);
        },
      );
      if (reason !== 'TooLarge') assert.deepEqual(lines, [{ a: 1 }]);
    });
  }

  it('refuses a server that its bundle does not vouch for', async context => {
    const { server } = await open(context, () => undefined);
    const client = openClient(context, { ...server.connection, ca: createAuthority({ name: 'other' }).certificatePem });
    await assert.rejects(
      client.request('GET', '/'),
      expectError({ reason: 'ConnectFailed', code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' }),
    );
    const empty = openClient(context, { ...server.connection, ca: '' });
    await assert.rejects(empty.request('GET', '/'), expectError({ reason: 'ConnectFailed' }));
    assert.equal(server.calls.length, 0);
  });

  it('refuses a server without HTTP/2 and one without TLS', async context => {
    const authority = createAuthority({ name: 'old' });
    const leaf = authority.issue({ subject: 'old', san: { ip: ['127.0.0.1'] }, usages: ['serverAuth'] });
    const old = createServer({ cert: leaf.certificatePem, key: leaf.keyPem });
    await new Promise<void>(resolve => old.listen(0, '127.0.0.1', resolve));
    context.after(() => old.close());
    const server = `https://127.0.0.1:${(old.address() as AddressInfo).port}`;
    const client = openClient(context, { server, ca: authority.certificatePem });
    await assert.rejects(client.request('GET', '/'), /does not speak HTTP\/2/);
    const plain = openClient(context, { server: 'http://127.0.0.1:1' });
    await assert.rejects(plain.request('GET', '/'), /only https is spoken/);
  });

  it('survives being closed in the moment in which it has connected', async context => {
    const server = await openScriptedServer(context, () => undefined);
    const uncaught: unknown[] = [];
    const note = (error: unknown): void => void uncaught.push(error);
    process.on('uncaughtException', note);
    context.after(() => process.off('uncaughtException', note));
    const session = createSession({ connection: server.connection });
    // Node tells of the connection in the next tick.
    await session.open().then(() => session.close());
    await new Promise(resolve => setImmediate(resolve));
    assert.deepEqual(uncaught, []);
  });

  it('applies, reads and deletes as the API server wants it', async context => {
    const { server, client } = await open(context, ({ method }, answer) => {
      if (method === 'PATCH') answerJson(answer, 200, { metadata: { name: 'x' } });
      else answerJson(answer, 404, createStatus(404, 'NotFound', 'not found'));
    });
    await applyObject(client, '/api/v1/namespaces/a/configmaps/x', { kind: 'ConfigMap' }, { fieldManager: 'me' });
    assert.deepEqual(Object.fromEntries(server.calls[0]?.query ?? []), { fieldManager: 'me', force: 'true' });
    assert.equal(server.calls[0]?.headers['content-type'], 'application/apply-patch+yaml');
    assert.equal(await readObject(client, '/api/v1/namespaces/a/configmaps/y'), undefined);
    assert.equal(await deleteObject(client, '/api/v1/namespaces/a/configmaps/y'), false);
  });

  it('fails at once when closed', async context => {
    const { client } = await open(context, () => undefined);
    await client.close();
    await assert.rejects(client.request('GET', '/'), expectError({ reason: 'Closed' }));
  });
});

describe('the connection of a pod', () => {
  const readFile = (path: string) => Promise.resolve(path.endsWith('token') ? 'abc\n' : 'PEM');

  it('comes from the environment and the files of the service account', async () => {
    const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
    const connection = readInClusterConnection({ env, readFile });
    assert.equal(connection.server, 'https://[fd00::1]:443');
    assert.equal(await connection.token?.(), 'abc');
  });

  it('is refused outside of a cluster, and a token file without a token is an error', async () => {
    assert.throws(() => readInClusterConnection({ env: {}, readFile }), /no pod of a cluster/);
    const env = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443' };
    const empty = readInClusterConnection({ env, readFile: () => Promise.resolve('\n'), tokenFile: '/t' });
    await assert.rejects(empty.token?.() ?? Promise.resolve(), /holds no token/);
  });
});
