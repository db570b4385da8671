import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { createAuthority } from '../../src/demo/pki.ts';
import { writeKubeconfig } from '../cluster/support/kubeconfig.ts';
import { openFleet, type Fleet } from '../support/fleet.ts';
import { runInMemory } from '../support/run-in-memory.ts';
import { PROGRAM } from '../support/sidecar.ts';

const GET = 'GET https://fleet.example.com/v1/devices/robot-7';
const POST = 'POST https://fleet.example.com/v1/devices/robot-7/telemetry';

async function makeFolder(t: Pick<TestContext, 'after'>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'explain-live-'));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

async function makeEvidence(folder: string, fleet: Fleet): Promise<readonly string[]> {
  const [certificate, body] = [join(folder, 'robot-7.pem'), join(folder, 'body.json')];
  await writeFile(certificate, fleet.material.devices['robot-7'].certificatePem);
  await writeFile(body, JSON.stringify({ deviceId: 'robot-7', secret: 'canary-of-a-body' }));
  return ['--certificate', certificate, '--device-auth', `200:${body}`];
}

suite('explain by a running sidecar', { timeout: 60_000 }, () => {
  test('judges by the generation in force, and neither counts, fetches nor asks anybody', async t => {
    const fleet = await openFleet(t);
    const folder = await makeFolder(t);
    const evidence = await makeEvidence(folder, fleet);
    const { adminSocket } = fleet.sidecar;
    const before = fleet.deviceAuth.asked.length;
    const socket = ['explain', '--admin-socket', adminSocket];
    const { code, stdout, stderr } = await runInMemory([...socket, '--request', POST, ...evidence]);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(
      stdout,
      /^Matched {2}Api shop\/fleet, operation telemetry \(\/v1\/devices\/\{deviceId\}\/telemetry\), port 8443$/m,
    );
    assert.match(stdout, /^Judged {3}by generation \d+ of the running sidecar$/m);
    assert.match(stdout, /^Verdict {2}Permit, if what was not checked holds; caller ClientCertificate$/m);
    assert.match(stdout, /rate limit .*: not counted/);
    assert.doesNotMatch(stdout, /canary/);
    assert.equal(fleet.deviceAuth.asked.length, before);

    const denied = await runInMemory([...socket, '--request', GET, '-o', 'json']);
    const told = JSON.parse(denied.stdout) as { verdict: string; reason: string; judgedBy: string };
    assert.deepEqual([denied.code, told.verdict, told.reason], [1, 'Deny', 'TokenNotPresent']);

    const missed = await runInMemory([...socket, '--request', 'GET https://fleet.example.com/v1/nothing']);
    assert.match(
      missed.stdout,
      /^Matched {2}nothing: no operation of shop\/fleet .* has GET \/v1\/nothing at fleet\.example\.com$/m,
    );
  });

  test('refuses what is no question, and repeats nothing of it', async t => {
    const fleet = await openFleet(t);
    for (const question of ['{"request": "canary"}', '{}', '{"request": "GET https://a/", "headers": ["canary"]}']) {
      const io = { stdin: () => Promise.resolve(question) };
      const words = ['explain', '--admin-socket', fleet.sidecar.adminSocket, '--question', '-'];
      const { code, stdout, stderr } = await runInMemory(words, io);
      assert.deepEqual([code, stdout], [69, '']);
      assert.match(stderr, /^sallyport explain: the sidecar does not explain: .*must be/);
      assert.doesNotMatch(stderr, /canary/);
    }
  });

  test('asks the sidecar of a pod through an exec, the evidence on standard input alone', async t => {
    const fleet = await openFleet(t);
    const folder = await makeFolder(t);
    const evidence = await makeEvidence(folder, fleet);
    const api = await openExecServer(t, folder);
    const pod = [
      'explain',
      '--pod',
      'shop/fleet-1',
      '--kubeconfig',
      api.kubeconfig,
      '--admin-socket',
      fleet.sidecar.adminSocket,
    ];
    const { code, stdout, stderr } = await runInMemory([...pod, '--request', POST, ...evidence]);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /^Judged {3}by generation \d+ of the running sidecar$/m);
    const [asked] = api.asked;
    assert.equal(asked?.pathname, '/api/v1/namespaces/shop/pods/fleet-1/exec');
    assert.equal(asked.searchParams.get('container'), 'sallyport');
    assert.deepEqual(asked.searchParams.getAll('command').slice(0, 3), ['sallyport', 'explain', '--admin-socket']);
    assert.doesNotMatch(asked.search, /CERTIFICATE|canary|telemetry/);

    const lost = await runInMemory([...pod.slice(0, -1), join(folder, 'nobody.sock'), '--request', GET]);
    assert.equal(lost.code, 69);
    assert.match(lost.stderr, /^sallyport explain: pod fleet-1 gave no answer: sallyport: there is no admin socket at/);
  });
});

interface Server {
  on(event: 'connection', listener: (socket: Socket, request: { readonly url: string }) => void): void;
}
interface Socket {
  on(event: 'message', listener: (data: Buffer) => void): void;
  send(data: Buffer): void;
  close(): void;
}
/** What the client library brings; it has no types. */
const WEBSOCKETS: string = 'ws';
type ServerClass = new (options: object) => Server;

/** Speaks v5.channel.k8s.io as the API server does, and runs the command here: channel, then bytes; 255 and a channel ends it. */
async function openExecServer(t: Pick<TestContext, 'after'>, folder: string) {
  const authority = createAuthority({ name: 'cluster' });
  const leaf = authority.issue({ subject: 'api', usages: ['serverAuth'], san: { ip: ['127.0.0.1'] } });
  const client = authority.issue({ subject: 'me' });
  const server = createServer({ cert: leaf.chainPem, key: leaf.keyPem });
  const { WebSocketServer } = (await import(WEBSOCKETS)) as { readonly WebSocketServer: ServerClass };
  const asked: URL[] = [];
  new WebSocketServer({ server, handleProtocols: () => 'v5.channel.k8s.io' }).on('connection', (socket, request) => {
    const url = new URL(request.url, 'https://api');
    asked.push(url);
    const [, ...words] = url.searchParams.getAll('command');
    const child = spawn(process.execPath, [PROGRAM, ...words], { env: {} });
    const pass = (channel: number) => (data: Buffer) => socket.send(Buffer.concat([Buffer.of(channel), data]));
    child.stdout.on('data', pass(1));
    child.stderr.on('data', pass(2));
    socket.on('message', data => {
      if (data[0] === 255) child.stdin.end();
      else child.stdin.write(data.subarray(1));
    });
    child.on('close', code => {
      const status = code === 0 ? { status: 'Success' } : { status: 'Failure', message: `exit code ${code}` };
      pass(3)(Buffer.from(JSON.stringify(status)));
      socket.close();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const kubeconfig = writeKubeconfig({
    ...{ file: join(folder, 'kubeconfig'), server: `https://127.0.0.1:${port}`, ca: authority.certificatePem },
    client: { certificate: client.certificatePem, key: client.keyPem },
  });
  return { kubeconfig, asked };
}
