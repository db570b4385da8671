import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { createAuthority } from '../demo/pki.ts';
import { writeProbePath, type ProbeReplay } from '../api/probe-replay.ts';
import { createProbeReplays, type ProbeTarget, type ReplayProbe } from './probe-replays.ts';

const TOKEN = 'a'.repeat(32);
const PATH = writeProbePath('app', 'liveness', TOKEN);
const LOCAL: ProbeTarget = { address: '127.0.0.1', podAddress: '127.0.0.1' };

async function listen(t: TestContext, server: Server): Promise<number> {
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => open.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

interface Opened {
  readonly replay: ReplayProbe;
  readonly seen: IncomingMessage[];
  readonly port: number;
}

async function openApp(t: TestContext, answer: RequestListener, probe: Partial<ProbeReplay> = {}): Promise<Opened> {
  const seen: IncomingMessage[] = [];
  const server = createHttpServer((request, response) => {
    seen.push(request);
    answer(request, response);
  });
  const port = await listen(t, server);
  return { seen, port, replay: createReplay({ kind: 'http', target: '/', port, ...probe }) };
}

function createReplay(probe: Partial<ProbeReplay> & Pick<ProbeReplay, 'kind' | 'port'>, target = LOCAL): ReplayProbe {
  return createProbeReplays({
    replays: [{ path: PATH, timeoutMs: 5000, ...probe }],
    find: () => target,
    monotonic: () => performance.now(),
  });
}

const ask = async (replay: ReplayProbe, agent = 'kube-probe/1.36'): Promise<number | undefined> =>
  (await replay(PATH, agent))?.status;

describe('an HTTP probe', () => {
  test('is sent as the kubelet sends it: method, target, headers, no body', async t => {
    const { replay, seen, port } = await openApp(t, (_, response) => response.end('fine'), {
      target: '/ready?deep=1',
      headers: [
        ['X-A', '1'],
        ['X-A', '2'],
      ],
    });
    assert.equal(await ask(replay), 200);
    const [request] = seen;
    assert.deepEqual([request?.method, request?.url], ['GET', '/ready?deep=1']);
    assert.deepEqual(request?.rawHeaders, [
      ...['Host', `127.0.0.1:${port}`],
      ...['User-Agent', 'kube-probe/1.36'],
      ...['Accept', '*/*'],
      ...['X-A', '1'],
      ...['X-A', '2'],
      ...['Connection', 'close'],
    ]);
  });

  test('carries the headers that it names instead of the usual ones', async t => {
    const { replay, seen } = await openApp(t, (_, response) => response.end(), {
      host: 'fleet.example.com',
      headers: [
        ['accept', ''],
        ['User-Agent', 'mine'],
      ],
    });
    await ask(replay);
    assert.deepEqual(seen[0]?.rawHeaders, ['Host', 'fleet.example.com', 'User-Agent', 'mine', 'Connection', 'close']);
  });

  test('passes on no user agent but the kubelet’s', async t => {
    const { replay, seen } = await openApp(t, (_, response) => response.end());
    await ask(replay, 'curl/8');
    assert.equal(seen[0]?.headers['user-agent'], 'kube-probe/1');
  });

  for (const status of [200, 204, 302, 404, 500, 503]) {
    test(`answers with the app’s status ${status}, and with nothing else of its answer`, async t => {
      const { replay } = await openApp(t, (_, response) => response.writeHead(status, { 'X-Secret': '1' }).end());
      assert.deepEqual(await replay(PATH, ''), { status, contentType: 'text/plain; charset=utf-8', body: '' });
    });
  }

  test('drops the app’s body, and reads no more than a little of it', async t => {
    const { replay } = await openApp(t, (_, response) => {
      response.on('error', () => undefined);
      const more = (): void => {
        if (!response.destroyed) response.write(Buffer.alloc(65_536), more);
      };
      more();
    });
    assert.equal((await replay(PATH, ''))?.body, '');
  });

  test('fails when the app breaks off', async t => {
    const { replay } = await openApp(t, (_, response) => {
      response.writeHead(200, { 'Content-Length': '10' });
      response.write('12345', () => response.destroy());
    });
    assert.equal(await ask(replay), 502);
  });

  test('fails when nothing listens', async () => {
    assert.equal(await ask(createReplay({ kind: 'http', port: 1, target: '/' })), 502);
  });

  test('times out when the app says nothing', async t => {
    const { replay } = await openApp(t, () => undefined, { timeoutMs: 50 });
    assert.equal(await ask(replay), 504);
  });
});

describe('a redirect', () => {
  const redirect =
    (location: string): RequestListener =>
    (request, response) =>
      request.url === '/' ? response.writeHead(302, { Location: location }).end() : response.writeHead(418).end();

  test('within the pod is followed, with the probe’s host', async t => {
    const { replay, seen } = await openApp(t, redirect('/login?x=1'), { host: 'fleet.example.com' });
    assert.equal(await ask(replay), 418);
    assert.deepEqual(
      seen.map(({ url, headers }) => [url, headers.host]),
      [
        ['/', 'fleet.example.com'],
        ['/login?x=1', 'fleet.example.com'],
      ],
    );
  });

  for (const location of [
    'http://other.example/x',
    'http://127.0.0.1:15191/readyz',
    'http://127.0.0.1:15190/',
    'ftp://127.0.0.1/',
  ]) {
    test(`to ${location} is passed on as it is`, async t => {
      const { replay, seen } = await openApp(t, redirect(location));
      assert.equal(await ask(replay), 302);
      assert.equal(seen.length, 1);
    });
  }

  test('without an end is a failure', async t => {
    const { replay, seen } = await openApp(t, (_, response) => response.writeHead(302, { Location: '/' }).end());
    assert.equal(await ask(replay), 502);
    assert.equal(seen.length, 10);
  });
});

describe('an HTTPS probe', () => {
  const authority = createAuthority({ name: 'nobody knows' });
  const { chainPem: cert, keyPem: key } = authority.issue({ subject: 'expired and elsewhere', usages: ['serverAuth'] });
  const client = authority.issue({ subject: 'sidecar', usages: ['clientAuth'] });
  const certificate = { certificate: client.chainPem, key: client.keyPem, sha256: '' };

  test('does not verify the app', async t => {
    const port = await listen(
      t,
      createHttpsServer({ cert, key }, (_, response) => response.writeHead(207).end()),
    );
    assert.equal(await ask(createReplay({ kind: 'http', scheme: 'HTTPS', port, target: '/' })), 207);
  });

  test('presents the credential of the Api of its port', async t => {
    const options = { cert, key, requestCert: true, ca: authority.certificatePem };
    const port = await listen(
      t,
      createHttpsServer(options, (_, response) => response.writeHead(207).end()),
    );
    const probe = { kind: 'http', scheme: 'HTTPS', port, target: '/' } as const;
    assert.equal(await ask(createReplay(probe, { ...LOCAL, certificate })), 207);
    assert.equal(await ask(createReplay(probe)), 502);
  });

  test('that is a hook gets no answer at all when the app gives none, since any status is success to the kubelet', async t => {
    const { port } = await openApp(t, (_, response) => response.destroy());
    for (const name of ['poststart', 'prestop'] as const) {
      const path = writeProbePath('app', name, TOKEN);
      const hook = createProbeReplays({
        replays: [{ path, kind: 'http', port, target: '/', timeoutMs: 5000 }],
        find: () => LOCAL,
        monotonic: () => performance.now(),
      });
      assert.equal((await hook(path, ''))?.status, 0);
    }
  });

  test('fails on a port that speaks plain text, but a hook asks again in plain text, as the kubelet does', async t => {
    const { port } = await openApp(t, (_, response) => response.writeHead(207).end());
    const probe = { kind: 'http', scheme: 'HTTPS', port, target: '/' } as const;
    assert.equal(await ask(createReplay(probe)), 502);
    const path = writeProbePath('app', 'prestop', TOKEN);
    const hook = createProbeReplays({
      replays: [{ ...probe, path, timeoutMs: 5000 }],
      find: () => LOCAL,
      monotonic: () => 0,
    });
    assert.equal((await hook(path, ''))?.status, 207);
  });
});

describe('a TCP probe', () => {
  test('succeeds when the app takes the connection, and fails when not', async t => {
    const port = await listen(
      t,
      createTcpServer(socket => socket.on('error', () => undefined)),
    );
    assert.equal(await ask(createReplay({ kind: 'tcp', port })), 200);
    assert.equal(await ask(createReplay({ kind: 'tcp', port: 1 })), 502);
  });
});

describe('a gRPC probe', () => {
  const serving = Buffer.from([0, 0, 0, 0, 2, 8, 1]);

  async function openGrpc(t: TestContext, answer: (stream: ServerHttp2Stream, message: Buffer) => void) {
    const server = createHttp2Server();
    server.on('stream', stream => {
      const chunks: Buffer[] = [];
      stream.on('error', () => undefined);
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => answer(stream, Buffer.concat(chunks)));
    });
    return listen(t, server);
  }
  const respond =
    (message: Buffer, status: string) =>
    (stream: ServerHttp2Stream): void => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status }));
      stream.end(message);
    };

  const answers: Readonly<Record<string, readonly [(stream: ServerHttp2Stream) => void, number]>> = {
    'is well when the service is SERVING': [respond(serving, '0'), 200],
    'is not when it is NOT_SERVING': [respond(Buffer.from([0, 0, 0, 0, 2, 8, 2]), '0'), 503],
    'is not when it is UNKNOWN': [respond(Buffer.alloc(5), '0'), 503],
    'fails when the call fails': [respond(Buffer.alloc(0), '12'), 502],
    'fails when the call fails at once': [
      stream => stream.respond({ ':status': 200, 'grpc-status': '5' }, { endStream: true }),
      502,
    ],
    'fails when the stream is reset': [stream => stream.close(2), 502],
  };
  for (const [sentence, [answer, status]] of Object.entries(answers)) {
    test(sentence, async t => {
      const port = await openGrpc(t, answer);
      assert.equal(await ask(createReplay({ kind: 'grpc', port })), status);
    });
  }

  test('asks for the service that it names', async t => {
    const messages: Buffer[] = [];
    const port = await openGrpc(t, (stream, message) => {
      messages.push(message);
      respond(serving, '0')(stream);
    });
    await ask(createReplay({ kind: 'grpc', port, service: 'a.B' }));
    assert.deepEqual(messages, [Buffer.from([0, 0, 0, 0, 5, 0x0a, 3, ...Buffer.from('a.B')])]);
  });

  test('fails when nothing listens, and times out when nothing is said', async t => {
    assert.equal(await ask(createReplay({ kind: 'grpc', port: 1 })), 502);
    const port = await listen(
      t,
      createTcpServer(socket => socket.on('error', () => undefined)),
    );
    assert.equal(await ask(createReplay({ kind: 'grpc', port, timeoutMs: 50 })), 504);
  });
});

describe('the door', () => {
  test('is found by its exact path alone', async t => {
    const { replay } = await openApp(t, (_, response) => response.end());
    assert.equal(replay(`${PATH.slice(0, -1)}b`, ''), undefined);
    assert.equal(replay(`${PATH}/`, ''), undefined);
    assert.equal(replay('/app-health/app/liveness/', ''), undefined);
    assert.equal((await replay(PATH, ''))?.status, 200);
  });

  test('opens five times a second at most', async t => {
    const { seen, port } = await openApp(t, (_, response) => response.end());
    let now = 0;
    const replays = [{ path: PATH, kind: 'http', port, target: '/', timeoutMs: 5000 }] as const;
    const replay = createProbeReplays({ replays, find: () => LOCAL, monotonic: () => now });
    const statuses = [];
    for (let i = 0; i < 7; i += 1) statuses.push(await ask(replay));
    assert.deepEqual(statuses, [200, 200, 200, 200, 200, 429, 429]);
    now = 1000;
    assert.equal(await ask(replay), 200);
    assert.equal(seen.length, 6);
  });

  test('lets four through at the same time at most', async t => {
    const { replay } = await openApp(t, () => undefined, { timeoutMs: 50 });
    const statuses = await Promise.all([1, 2, 3, 4, 5].map(() => ask(replay)));
    assert.deepEqual(statuses, [504, 504, 504, 504, 429]);
  });
});
