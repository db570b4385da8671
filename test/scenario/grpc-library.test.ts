/** A gRPC library on both sides of a running sidecar: calls of every kind, metadata, deadlines, cancellation, sizes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { createDemoMaterial } from '../../src/demo/material.ts';
import { collect, GrpcApp, GrpcClient } from '../support/grpc.ts';
import * as made from '../support/manifests.ts';
import { type Sidecar, startSidecar } from '../support/sidecar.ts';
import { until } from '../support/until.ts';

const BINARY = Buffer.from(Array.from({ length: 256 }, (_, at) => at));
const METADATA = { 'x-head': 'one', 'x-head-bin': BINARY, 'x-end': 'two', 'x-end-bin': BINARY };
const texts = (messages: readonly Buffer[]): string[] => messages.map(message => message.toString());

interface Setting {
  readonly app: GrpcApp;
  readonly manifests: readonly made.Manifest[];
  readonly ca?: string;
}

const OPEN = made.authPolicy('open', { request: [made.OPEN] });

const plaintext = (): Setting => ({ app: new GrpcApp(), manifests: [made.api('fleet'), OPEN] });

function secured(): Setting {
  const { servers, corp, appCa } = createDemoMaterial();
  const trust = made.fromConfigMap('app-ca');
  const manifests = [
    made.tlsSecret('fleet-tls', servers.public),
    made.configMap('app-ca', { 'ca.crt': appCa.certificatePem }),
    made.api('fleet', {
      hosts: ['fleet.example.com'],
      tls: { certificate: { secretName: 'fleet-tls' } },
      app: { scheme: 'https', serverName: 'fleet.shop.svc', trust },
    }),
    OPEN,
  ];
  return { app: new GrpcApp(servers.app), manifests, ca: corp.certificatePem };
}

for (const [sentence, set] of [
  ['by prior knowledge', plaintext],
  ['over TLS with ALPN', secured],
] as const) {
  describe(`grpc-js to grpc-js ${sentence}`, () => {
    const { app, manifests, ca } = set();
    let sidecar: Sidecar;
    let client: GrpcClient;
    before(async () => {
      await app.start();
      sidecar = await startSidecar({ manifests: { 'all.yaml': manifests }, app: app.port });
      client = new GrpcClient(sidecar.port, ca);
    });
    after(async () => {
      client.close();
      await sidecar.close();
      app.stop();
    });

    test('unary: message and metadata, text and binary, pass both ways', async () => {
      const answer = await client.unary('order', { metadata: METADATA });
      assert.deepEqual([answer.status.code, texts(answer.messages)], [status.OK, ['order']]);
      assert.deepEqual(answer.head?.get('x-head'), ['one']);
      assert.deepEqual(answer.head.get('x-head-bin'), [BINARY]);
      assert.deepEqual(answer.status.metadata.get('x-end'), ['two']);
      assert.deepEqual(answer.status.metadata.get('x-end-bin'), [BINARY]);
      assert.deepEqual(app.last.metadata.get('x-head-bin'), [BINARY]);
      assert.equal(app.last.getHost(), 'fleet.example.com');
    });
    test('server streaming: all messages in order, then the trailers', async () => {
      const answer = await collect(client.down('1000', { metadata: METADATA }));
      assert.equal(answer.status.code, status.OK);
      assert.deepEqual(
        texts(answer.messages),
        Array.from({ length: 1000 }, (_, at) => String(at + 1)),
      );
      assert.deepEqual(answer.status.metadata.get('x-end-bin'), [BINARY]);
    });
    test('client streaming: one answer behind many messages', async () => {
      const [call, answer] = client.up();
      for (let at = 0; at < 100; at++) call.write(Buffer.alloc(1000));
      call.end();
      assert.deepEqual(texts((await answer).messages), ['100000']);
      assert.equal((await answer).status.code, status.OK);
    });
    test('bidirectional: each message comes back before the next is sent', async () => {
      const call = client.both();
      const answer = collect(call);
      for (const text of ['a', 'b', '', 'c']) {
        call.write(Buffer.from(text));
        const [message] = (await once(call, 'data')) as [Buffer];
        assert.equal(message.toString(), text);
      }
      call.end();
      assert.equal((await answer).status.code, status.OK);
    });
    test('an error of the app’s own passes unchanged: code, details and metadata', async () => {
      const { status: told, messages } = await client.unary('x', { metadata: { 'x-do': 'fail' } });
      assert.deepEqual([told.code, told.details], [status.FAILED_PRECONDITION, 'no robot “7”: 100 %']);
      assert.deepEqual(told.metadata.get('x-detail-bin'), [Buffer.from([0, 255, 10, 13])]);
      assert.equal(messages.length, 0);
    });
    test('a method that the app does not have is the app’s own UNIMPLEMENTED', async () => {
      const { status: told } = await client.unary('x', {}, '/fleet.Echo/None');
      assert.equal(told.code, status.UNIMPLEMENTED);
      assert.match(told.details, /None/);
    });
    test('a deadline: the client gives up in time, and the app’s call is cancelled', async () => {
      const asked = app.calls.length;
      const answer = client.unary('x', { metadata: { 'x-do': 'wait' }, deadline: 300 });
      const call = await until('the call to be with the app', () => app.calls.at(asked));
      assert.ok(Number(call.getDeadline()) <= Date.now() + 300, 'grpc-timeout passes');
      assert.equal((await answer).status.code, status.DEADLINE_EXCEEDED);
      await until('the call to be cancelled', () => call.cancelled);
    });
    for (const [kind, open] of [
      ['a stream of the server', () => client.down('1', { metadata: { 'x-do': 'wait' } })],
      ['a stream both ways', () => client.both()],
    ] as const) {
      test(`${kind} that the client cancels is cancelled at the app`, async () => {
        const asked = app.calls.length;
        const call = open();
        const answer = collect(call);
        const atApp = await until('the call to be with the app', () => app.calls.at(asked));
        call.cancel();
        assert.equal((await answer).status.code, status.CANCELLED);
        await until('the call to be cancelled', () => atApp.cancelled);
      });
    }
    test('messages of 5 MiB pass both ways', async () => {
      const large = Buffer.alloc(5 * 1024 * 1024, 'sallyport');
      const { status: told, messages } = await client.unary(large);
      assert.deepEqual([told.code, messages[0]?.equals(large)], [status.OK, true]);
    });
    test('500 calls at once, some of them large, each get their own answer', async () => {
      const calls = Array.from({ length: 500 }, (_, at) => client.unary(`${at}.${'x'.repeat((at % 10) * 10_000)}`));
      for (const [at, answer] of (await Promise.all(calls)).entries()) {
        assert.equal(answer.status.code, status.OK, answer.status.details);
        assert.equal(texts(answer.messages)[0]?.split('.')[0], String(at));
      }
    });
  });
}
