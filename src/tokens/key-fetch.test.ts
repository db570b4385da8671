/** Keys fetched from real servers that misbehave. */
import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { createFetcher } from '../outbound/fetcher.ts';
import { fetchKeys, KeyFetchError } from './key-fetch.ts';
import { createSigningKey, ISSUER } from './testing/token-kit.ts';

const key = createSigningKey('ES256', 'a');

async function fetchFrom(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const fetcher = createFetcher();
  t.after(async () => {
    await fetcher.close();
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`;
  try {
    const { list } = await fetchKeys(fetcher, { kind: 'jwks', url, trust: 'systemRoots', issuer: ISSUER });
    return `${list.keys.length} keys`;
  } catch (error) {
    assert.ok(error instanceof KeyFetchError);
    assert.ok(!error.message.includes('canary'));
    return error.code;
  }
}

test('a key set is fetched over HTTP', async t => {
  assert.equal(await fetchFrom(t, (_, response) => response.end(JSON.stringify({ keys: [key.jwk] }))), '1 keys');
});

for (const [sentence, [code, listener]] of Object.entries<[string, RequestListener]>({
  'a redirect to the metadata service': [
    'REDIRECT',
    (_, response) => response.writeHead(302, { location: 'http://169.254.169.254/canary' }).end(),
  ],
  'a redirect to another port': [
    'REDIRECT',
    (_, response) => response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end(),
  ],
  'a body of 100 MB': [
    'TOO_LARGE',
    (_, response) => {
      const piece = Buffer.alloc(64 * 1024, ' ');
      let left = 1600;
      const write = (): void => {
        while (left-- > 0 && response.write(piece));
      };
      response.on('drain', write);
      write();
    },
  ],
  'a body that is no JSON': ['NOT_JSON', (_, response) => response.end('canary')],
  'a status of 404': ['HTTP_404', (_, response) => response.writeHead(404).end('canary')],
  'arrays nested a hundred thousand deep': [
    'NOT_JSON',
    (_, response) => response.end('['.repeat(100_000) + ']'.repeat(100_000)),
  ],
  'a connection that breaks off': [
    'PROTOCOL',
    (_, response) => response.writeHead(200, { 'content-length': 9 }).write('{', () => response.destroy()),
  ],
})) {
  test(`a key set is not taken from ${sentence}`, async t => {
    assert.equal(await fetchFrom(t, listener), code);
  });
}
