import assert from 'node:assert/strict';
import { connect as connectHttp2, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { connect as connectTls } from 'node:tls';
import { describe, test, type TestContext } from 'node:test';
import { createAuthority } from '../demo/pki.ts';
import { createLineReader, encodeLine } from '../material/lines.ts';
import { BOUNDS, PROTOCOL, type FromController, type MaterialMessage } from '../material/protocol.ts';
import { SILENT } from '../telemetry/telemetry.ts';
import { createAcknowledgementRegistry, type AcknowledgementRegistry } from './acknowledgement-registry.ts';
import type { Authentication } from './bearer.ts';
import { createMaterialHub, type MaterialHub } from './material-hub.ts';
import { createMaterialService, type MaterialService, type MaterialServiceOptions } from './material-service.ts';
import { makePod } from './testing/scene.ts';

const authority = createAuthority({ name: 'test' });
const leaf = authority.issue({ subject: 'controller', usages: ['serverAuth'], san: { ip: ['127.0.0.1'] } });
const pods = new Map(['one', 'two'].map(name => [name, makePod(name)]));
const HELLO = encodeLine({ type: 'hello', version: '0.1.0', protocol: PROTOCOL });
const message = (hash: string): MaterialMessage => ({
  ...{ type: 'material', hash, namespaceLabels: {}, objects: {}, secrets: {}, configMaps: {}, held: [] },
});

interface Scene {
  readonly service: MaterialService;
  readonly registry: AcknowledgementRegistry;
  readonly hub: MaterialHub;
  readonly port: number;
  material: MaterialMessage;
  /** Tokens are names of pods here; who they belong to is the API server’s to say (test/cluster). */
  open(path: string, token?: string, method?: string): Promise<Exchange>;
}

interface Exchange {
  readonly status: number;
  readonly stream: ClientHttp2Stream;
  /** The next line of the answer; undefined: it ended. */
  next(): Promise<FromController | undefined>;
  /** The whole answer. */
  rest(): Promise<unknown>;
}

async function openScene(context: TestContext, changes: Partial<MaterialServiceOptions> = {}): Promise<Scene> {
  const registry = createAcknowledgementRegistry({ clock: Date.now });
  const hub = createMaterialHub({
    describe: () => ({ material: scene.material, readyPods: 2 }),
    onFault: (_, error) => assert.fail(String(error)),
  });
  const service = createMaterialService({
    tls: { current: () => ({ certificate: leaf.chainPem, key: leaf.keyPem }), onChange: () => () => undefined },
    ...{ host: '127.0.0.1', port: 0, hub, registry, ...SILENT, random: () => 0 },
    authenticator: { authenticate: header => Promise.resolve(judge(header)) },
    own: { namespace: 'sallyport-system', serviceAccount: 'sallyport-controller' },
    findPod: (_, name) => Promise.resolve(pods.get(name)),
    isEntitled: () => true,
    issue: csr => (csr === 'good' ? { certificate: 'c', ca: 'a', notAfter: 1, spiffeId: 's' } : { problem: 'bad csr' }),
    isReady: () => true,
    ...changes,
  });
  const { port } = await service.start();
  const session: ClientHttp2Session = connectHttp2(`https://127.0.0.1:${port}`, { ca: authority.certificatePem });
  session.on('error', () => undefined);
  context.after(async () => {
    session.destroy();
    await service.stop();
  });
  const scene: Scene = {
    ...{ service, registry, hub, port },
    material: message('first'),
    open: (path, token = 'one', method = 'POST') => exchange(session, path, token, method),
  };
  return scene;
}

function judge(header: string | undefined): Authentication {
  const name = /^Bearer (\w+)$/.exec(header ?? '')?.[1];
  if (name === undefined) return { failure: 'Refused', problem: 'there is no bearer token' };
  if (name === 'away') return { failure: 'Undecided', problem: 'the API server is away' };
  if (name === 'controller') {
    return { bearer: { namespace: 'sallyport-system', serviceAccount: 'sallyport-controller' } };
  }
  const bearer = { namespace: 'shop', serviceAccount: 'fleet' };
  return { bearer: name === 'unbound' ? bearer : { ...bearer, pod: { name, uid: `uid-${name}` } } };
}

async function exchange(session: ClientHttp2Session, path: string, token: string, method: string): Promise<Exchange> {
  const stream = session.request(
    { ':method': method, ':path': path, authorization: `Bearer ${token}` },
    { endStream: method === 'GET' },
  );
  stream.on('error', () => undefined);
  const reader = createLineReader(BOUNDS.toSidecar);
  const lines: string[] = [];
  let ended = false;
  let wake = (): void => undefined;
  stream.on('data', (chunk: Uint8Array) => {
    lines.push(...reader.read(chunk));
    wake();
  });
  stream.once('close', () => {
    ended = true;
    wake();
  });
  // A body that is small and needs no answer first is sent by the caller.
  const status = await new Promise<number>((resolve, reject) => {
    stream.once('response', headers => resolve(headers[':status'] ?? 0));
    stream.once('close', () => reject(new Error('closed without an answer')));
    if (path === '/v1/certificate') stream.end(token === 'two' ? 'x'.repeat(20_000) : JSON.stringify({ csr: 'good' }));
  });
  return {
    ...{ status, stream },
    async next() {
      while (lines.length === 0 && !ended) await new Promise<void>(resolve => (wake = resolve));
      const line = lines.shift();
      return line === undefined ? undefined : (JSON.parse(line) as FromController);
    },
    async rest() {
      while (!ended) await new Promise<void>(resolve => (wake = resolve));
      // Answers that are refusals have no line feed.
      return lines;
    },
  };
}

async function greet(scene: Scene, token = 'one'): Promise<Exchange> {
  const open = await scene.open('/v1/material', token);
  open.stream.write(HELLO);
  assert.deepEqual(await open.next(), { type: 'workload', readyPods: 2 });
  assert.equal((await open.next())?.type, 'material');
  return open;
}

const endOf = async (open: Exchange): Promise<FromController | undefined> => {
  for (let line = await open.next(); line !== undefined; line = await open.next()) if (line.type === 'bye') return line;
  return undefined;
};

const acknowledge = (hash: string, generation: number) =>
  encodeLine({
    ...{
      type: 'acknowledge',
      hash,
      full: true,
      gone: [],
      issuers: [],
      certificates: [],
      appExposed: [],
      wouldDeny: [],
    },
    objects: [{ kind: 'AuthPolicy', namespace: 'shop', name: 'p', uid: 'u', generation, state: 'InForce' }],
  });

describe('the material service', { timeout: 20_000 }, () => {
  test('sends what there is after the first line, and what changes', async context => {
    const scene = await openScene(context);
    const open = await greet(scene);
    scene.material = message('second');
    scene.hub.refresh(new Set(['elsewhere']));
    scene.hub.refresh(new Set(['shop']));
    scene.hub.refresh();
    scene.material = message('third');
    scene.hub.refresh();
    const hashes = [await open.next(), await open.next()].map(line => line?.type === 'material' && line.hash);
    assert.deepEqual(hashes, ['second', 'third']);
    assert.equal(scene.service.streams(), 1);
  });

  test('believes acknowledgements of what it sent on this stream', async context => {
    const scene = await openScene(context);
    const open = await greet(scene);
    const generation = () => scene.registry.states().get('uid-one')?.objects.get('AuthPolicy shop/p')?.generation;
    const told = new Promise<void>(resolve => {
      scene.registry.subscribe(() => resolve());
    });
    open.stream.write(acknowledge('foreign', 8));
    open.stream.write(acknowledge('first', 7));
    await told;
    assert.equal(generation(), 7);
  });

  const misuses: Readonly<Record<string, readonly string[]>> = {
    'a first line that is no hello': [encodeLine({ type: 'pong' })],
    'another protocol': [encodeLine({ type: 'hello', version: '9', protocol: 99 })],
    'a second hello': [HELLO, HELLO],
    'a line that is no JSON': [HELLO, '{\n'],
    'a line that is no message': [HELLO, '[]\n'],
    'a message before the first': [encodeLine({ type: 'sing' })],
    'an acknowledgement with a wrong state': [HELLO, acknowledge('first', 1).replace('InForce', 'Fine')],
    'an acknowledgement of a negative generation': [HELLO, acknowledge('first', -1)],
    'a line without an end': [HELLO, 'x'.repeat(BOUNDS.toController)],
    'more objects than a pod can have': [
      HELLO,
      ...Array.from({ length: 21 }, (_, i) => {
        const objects = Array.from({ length: 1000 }, (__, j) => ({
          ...{ kind: 'AuthPolicy', namespace: 'shop', name: `p-${i}-${j}`, uid: 'u', generation: 1, state: 'InForce' },
        }));
        const line = JSON.parse(acknowledge('first', 1)) as object;
        return encodeLine({ ...line, full: i === 0, objects });
      }),
    ],
  };
  for (const [name, lines] of Object.entries(misuses)) {
    test(`ends a stream with ${name}`, async context => {
      const scene = await openScene(context);
      const open = await scene.open('/v1/material');
      for (const line of lines) open.stream.write(line);
      assert.deepEqual(await endOf(open), { type: 'bye', retryAfterMs: 60_000, reason: 'ProtocolError' });
    });
  }

  test('lets a newer sidecar say what this version does not know', async context => {
    const scene = await openScene(context);
    const open = await greet(scene);
    open.stream.write(encodeLine({ type: 'sing' }));
    scene.material = message('second');
    scene.hub.refresh();
    assert.equal((await open.next())?.type, 'material');
  });

  test('ends a stream that says nothing', async context => {
    const timings = { pingMs: 10_000, silenceMs: 10_000, streamMs: 10_000, helloMs: 20 };
    const scene = await openScene(context, { timings });
    assert.equal((await endOf(await scene.open('/v1/material')))?.type, 'bye');
  });

  test('pings, and cuts a stream that does not answer', async context => {
    const timings = { pingMs: 20, silenceMs: 150, streamMs: 10_000, helloMs: 1000 };
    const scene = await openScene(context, { timings });
    const open = await greet(scene);
    assert.deepEqual(await open.next(), { type: 'ping' });
    assert.equal(await endOf(open), undefined);
    assert.equal(scene.service.streams(), 0);
  });

  test('ends a stream whose pod no longer carries our sidecar', async context => {
    const timings = { pingMs: 20, silenceMs: 10_000, streamMs: 10_000, helloMs: 1000 };
    const scene = await openScene(context, { timings, isEntitled: () => false });
    assert.equal(await endOf(await greet(scene)), undefined);
  });

  test('ends a stream that grew old, so that it may find another replica', async context => {
    const timings = { pingMs: 10_000, silenceMs: 10_000, streamMs: 50, helloMs: 1000 };
    const scene = await openScene(context, { timings });
    assert.deepEqual(await endOf(await greet(scene)), { type: 'bye', retryAfterMs: 1, reason: 'Rebalance' });
  });

  test('keeps one stream of a pod: the newest', async context => {
    const scene = await openScene(context);
    const first = await greet(scene);
    const second = await greet(scene);
    assert.deepEqual(await endOf(first), { type: 'bye', retryAfterMs: 30_000, reason: 'Replaced' });
    scene.material = message('second');
    scene.hub.refresh();
    assert.equal((await second.next())?.type, 'material');
    assert.equal(scene.service.streams(), 1);
  });

  test('takes no more streams than it may, but a new one of a pod that has one', async context => {
    const scene = await openScene(context, { maxStreams: 1 });
    await greet(scene);
    assert.equal((await scene.open('/v1/material', 'two')).status, 429);
    assert.equal((await scene.open('/v1/material', 'one')).status, 200);
  });

  test('gives a sidecar that lags the newest material, not all that it missed', async context => {
    const scene = await openScene(context);
    const open = await greet(scene);
    open.stream.pause();
    const large = 'x'.repeat(200_000);
    for (let i = 1; i <= 50; i += 1) {
      scene.material = { ...message(`m${i}`), namespaceLabels: { large } };
      scene.hub.refresh();
    }
    open.stream.resume();
    const hashes: string[] = [];
    while (hashes.at(-1) !== 'm50') {
      const line = await open.next();
      if (line?.type === 'material') hashes.push(line.hash);
    }
    assert.ok(hashes.length < 10, `${hashes.length} of 50 were sent`);
  });

  test('says when to come back when it stops', async context => {
    const scene = await openScene(context);
    const open = await greet(scene);
    const stopped = scene.service.stop();
    assert.deepEqual(await endOf(open), { type: 'bye', retryAfterMs: 100, reason: 'Stopping' });
    await stopped;
  });

  const refusals: Readonly<Record<string, readonly [path: string, token: string, method: string, status: number]>> = {
    'another path': ['/v1/secrets', 'one', 'POST', 404],
    'another method': ['/v1/material', 'one', 'GET', 404],
    'no token': ['/v1/material', '', 'POST', 401],
    'a token that is bound to no pod': ['/v1/material', 'unbound', 'POST', 401],
    'a token of a pod that is gone': ['/v1/material', 'three', 'POST', 403],
    'an API server that cannot say': ['/v1/material', 'away', 'POST', 503],
    'a body that is too large': ['/v1/certificate', 'two', 'POST', 400],
    'acknowledgements for a pod': ['/v1/acknowledgements', 'one', 'GET', 403],
  };
  for (const [name, [path, token, method, status]] of Object.entries(refusals)) {
    test(`answers ${status} to ${name}`, async context => {
      const scene = await openScene(context);
      assert.equal((await scene.open(path, token, method)).status, status);
    });
  }

  test('answers nobody before it has read everything', async context => {
    const scene = await openScene(context, { isReady: () => false });
    assert.equal((await scene.open('/v1/material')).status, 503);
  });

  test('gives certificates', async context => {
    const scene = await openScene(context);
    assert.equal((await scene.open('/v1/certificate')).status, 200);
  });

  test('tells other replicas what its pods enforce, and what changes', async context => {
    const scene = await openScene(context);
    const open = await greet(scene);
    const ear = await scene.open('/v1/acknowledgements', 'controller', 'GET');
    const hear = async (): Promise<unknown> => {
      const line = (await ear.next()) as unknown as { full: boolean; states: { uid: string; open: boolean }[] };
      return [line.full, line.states.map(({ uid, open: isOpen }) => [uid, isOpen])];
    };
    assert.deepEqual(await hear(), [true, []]);
    open.stream.write(acknowledge('first', 7));
    assert.deepEqual(await hear(), [false, [['uid-one', true]]]);
    open.stream.close();
    assert.deepEqual(await hear(), [false, [['uid-one', false]]]);
  });

  test('speaks TLS 1.3 and HTTP/2, and nothing else', async context => {
    const { port } = await openScene(context);
    const ca = authority.certificatePem;
    const outcome = (options: object): Promise<string> =>
      new Promise(resolve => {
        const socket = connectTls({ host: '127.0.0.1', port, ca, ...options });
        socket.once('error', () => resolve('refused'));
        socket.once('close', () => resolve('refused'));
        socket.once('data', () => resolve('answered'));
        socket.once('secureConnect', () => socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
      });
    assert.equal(await outcome({ maxVersion: 'TLSv1.2', ALPNProtocols: ['h2'] }), 'refused');
    assert.equal(await outcome({ ALPNProtocols: ['http/1.1'] }), 'refused');
  });
});
