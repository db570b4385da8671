import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KubeError } from '../kube/kube-error.ts';
import { answerJson, openScriptedServer, type Script } from '../kube/testing/scripted-server.ts';
import { askForCertificate } from './certificate-client.ts';

const ANSWER = { certificate: 'pem', ca: 'pem', notAfter: 7, spiffeId: 'spiffe://x/ns/shop/sa/default' };

for (const [sentence, script, expected] of [
  ['the certificate of a good answer', (_, answer) => answerJson(answer, 200, ANSWER), ANSWER],
  [
    'why it was refused, and when to come back',
    (_, answer) => answerJson(answer, 429, { reason: 'TooManyStreams', problem: 'too many' }, { 'retry-after': '9' }),
    { status: 429, reason: 'TooManyStreams', message: 'the controller answered 429: too many', retryAfterMs: 9000 },
  ],
  [
    'that a refusal is of another form',
    (_, answer) => void answer.writeHead(502).end('<html>'),
    { status: 502, message: 'the controller answered 502' },
  ],
  ['that the answer holds no certificate', (_, answer) => answerJson(answer, 200, {}), { reason: 'Protocol' }],
  ['that the answer is no JSON', (_, answer) => void answer.writeHead(200).end('canary'), { reason: 'Protocol' }],
] as const satisfies readonly (readonly [string, Script, object])[]) {
  test(`asking for a certificate tells ${sentence}`, async context => {
    const server = await openScriptedServer(context, script);
    const connection = { ...server.connection, token: () => Promise.resolve('bound') };
    const told: object = await askForCertificate(connection, { csr: 'pem', credential: 'shop/mesh' }, Date.now).catch(
      (error: unknown) => {
        assert.ok(error instanceof KubeError);
        assert.doesNotMatch(error.message, /canary/);
        return Object.fromEntries(Object.keys(expected).map(name => [name, error[name as keyof KubeError]]));
      },
    );
    assert.deepEqual(told, expected);
    const [call] = server.calls;
    assert.deepEqual(
      [call?.method, call?.path, call?.headers['authorization']],
      ['POST', '/v1/certificate', 'Bearer bound'],
    );
    assert.deepEqual(JSON.parse(call?.body ?? ''), { csr: 'pem', credential: 'shop/mesh' });
  });
}
