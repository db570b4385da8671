import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { certificate, origin, path, responseStep, step } from '../decision/testing/fakes.ts';
import type { RequestRecord } from '../telemetry/telemetry.ts';
import { deviceAuthority, issueServer, listenerTls, material, openSecureWire, tlsSecret } from './testing/secure.ts';
import { play, startWorld, type WorldParts } from './testing/world.ts';
import { echoHeads, openWire, type Wire } from './testing/wire.ts';

const headOf = (line: string): string => `${line}\r\nHost: a.example\r\nConnection: close\r\n\r\n`;

/** What one request leaves in the record, and the bytes of the body that the client got. */
async function record(request: string, parts: WorldParts = {}, behave: (wire: Wire) => void = echoHeads) {
  let found: { record: RequestRecord; body: number } | undefined;
  await play(behave, parts, async ({ world }) => {
    const got = await openWire(world.port).send(request).takeAll();
    const [first] = await world.recorded(1);
    assert.ok(first !== undefined);
    found = { record: first, body: got.length - got.indexOf('\r\n\r\n') - 4 };
  });
  assert.ok(found !== undefined);
  return found;
}

describe('bytes out are those of the body as sent', () => {
  const hiding: WorldParts = {
    pipeline: {
      response: {
        dynamic: true,
        steps: [
          responseStep({
            type: 'hideBackend',
            hideBackend: {
              removeHeaders: [],
              keepHeaders: [],
              removes: () => false,
              from: [],
              to: path('request.host'),
              errorBodies: 'Replace',
            },
          }),
        ],
      },
    },
  };
  const failing = (wire: Wire): void => {
    const answer = 'HTTP/1.1 500 Oops\r\nContent-Length: 6\r\n\r\nsecret';
    void wire.take(/\r\n\r\n/).then(() => wire.send(answer));
  };
  const CASES: Readonly<Record<string, readonly [request: string, parts?: WorldParts, app?: (wire: Wire) => void]>> = {
    'of a served answer': [headOf('GET /open HTTP/1.1')],
    'of a denial': [headOf('GET /closed HTTP/1.1')],
    'of a denial of HEAD, which has none': [headOf('HEAD /closed HTTP/1.1')],
    'of a head that is refused': [headOf('GET /a%2fb HTTP/1.1')],
    'of an error of the app that is replaced': [headOf('GET /open HTTP/1.1'), hiding, failing],
  };
  for (const [sentence, [request, parts, app]] of Object.entries(CASES)) {
    test(sentence, async () => {
      const { record: made, body } = await record(request, parts, app);
      assert.equal(made.bytesOut, body);
      assert.equal(body === 0, request.startsWith('HEAD'));
    });
  }
});

describe('a refused head is recorded with its method', () => {
  const CASES: Readonly<Record<string, readonly [request: string, method: string]>> = {
    'when its path is ambiguous': [headOf('GET /a%2fb HTTP/1.1'), 'GET'],
    'when its version is unknown': [headOf('PUT /a HTTP/1.9'), 'PUT'],
    'when its target is too long': [headOf(`POST /${'a'.repeat(20_000)} HTTP/1.1`), 'POST'],
    'when the method is never served': [headOf('TRACE /a HTTP/1.1'), 'TRACE'],
    'when a header line is broken': ['DELETE /a HTTP/1.1\r\nHost : a\r\n\r\n', 'DELETE'],
    'unless it broke off before': ['\u0016\u0003\u0001 /', ''],
  };
  for (const [sentence, [request, method]] of Object.entries(CASES)) {
    test(sentence, async () => assert.equal((await record(request)).record.method, method));
  }

  test('never with that of the request before on the same connection', () =>
    play(echoHeads, {}, async ({ world }) => {
      const wire = openWire(world.port).send('GET /open HTTP/1.1\r\nHost: a\r\n\r\n');
      await wire.takeAnswer();
      await wire.send('\u0000\r\n\r\n').takeAll();
      const records = await world.recorded(2);
      assert.deepEqual(
        records.map(({ method }) => method),
        ['GET', ''],
      );
    }));
});

test('policy and step are names: the policy with its namespace, the step alone', async () => {
  const gate = step(
    { type: 'requireHeader', requireHeader: { name: 'x-gate', ignoreCase: false } },
    { name: 'gate', origin: origin() },
  );
  const { record: made } = await record(headOf('GET /x HTTP/1.1'), { routes: [['/', [gate]]] });
  assert.deepEqual([made.policy, made.step], [origin().key, 'gate']);
  assert.match(made.policy ?? '', /^shop\//);
});

describe('a denial about a certificate names it', () => {
  const leaf = deviceAuthority.issue({ subject: 'robot-7' });
  const sha256 = createHash('sha256')
    .update(leaf.chainDer[0] ?? '')
    .digest('hex');
  const device = step({ type: 'clientCertificate', clientCertificate: certificate() }, { name: 'device' });
  const ask = async (trust: WorldParts['trust'], options: { cert?: string; key?: string }) => {
    const world = await startWorld(1, {
      material: material({ 'shop/fleet-tls': tlsSecret(issueServer('fleet.example.com')) }),
      plan: { tls: listenerTls({ clientTrusts: ['shop/devices'] }) },
      routes: [['/', [device]]],
      trust: { anchorsPem: () => [deviceAuthority.certificatePem], ...trust },
    });
    const wire = await openSecureWire(world.port, options);
    await wire.send('GET /x HTTP/1.1\r\nHost: fleet.example.com\r\n\r\n').takeAnswer();
    wire.socket.destroy();
    const [first] = await world.recorded(1);
    await world.stop();
    return [first?.reason, first?.certificateSha256];
  };
  const presenting = { cert: leaf.chainPem, key: leaf.keyPem };
  const REASONS = [
    'ClientCertificateRevoked',
    'ClientCertificateExpired',
    'ClientCertificateUntrusted',
    'ClientCertificatePurpose',
  ] as const;
  for (const reason of REASONS) {
    test(reason, async () => {
      const judgeRequest = () => ({ state: 'refused', reason }) as const;
      assert.deepEqual(await ask({ judgeRequest }, presenting), [reason, sha256]);
    });
  }

  test('the forwarded one where a trusted peer forwards, not the peer’s own', async () => {
    const forwarded = new TextEncoder().encode('another certificate');
    const judgeRequest = () => ({ state: 'refused', reason: 'ClientCertificateExpired' }) as const;
    const findPresented = () => ({ chain: [forwarded], from: 'header', memo: {} }) as const;
    const [, named] = await ask({ judgeRequest, findPresented }, presenting);
    assert.equal(named, createHash('sha256').update(forwarded).digest('hex'));
  });

  test('none where none was presented', async () => {
    assert.deepEqual(await ask({}, {}), ['ClientCertificateNotPresent', undefined]);
  });
});

test('an answer that the client does not stay for is recorded as cut off, one that left as a whole is not', () =>
  play(undefined, {}, async ({ world, app }) => {
    const wire = openWire(world.port).send('GET /open HTTP/1.1\r\nHost: a.example\r\n\r\n');
    const behind = await app.connection(0);
    await behind.take(/\r\n\r\n/);
    behind.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    await wire.takeAnswer();
    wire.send('GET /open HTTP/1.1\r\nHost: a.example\r\n\r\n');
    await behind.take(/\r\n\r\n/);
    behind.send('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok');
    await wire.take(/ok/);
    wire.socket.resetAndDestroy();
    const records = await world.recorded(2);
    assert.deepEqual(
      records.map(({ cut }) => cut),
      [undefined, true],
    );
  }));
