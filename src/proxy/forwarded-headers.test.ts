import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { literal, read, setting, step, template } from '../decision/testing/fakes.ts';
import { OPEN, play, type WorldParts } from './testing/world.ts';
import { echoHeads, openWire } from './testing/wire.ts';

/** What the app got for a request with these header lines. */
async function forwarded(lines: readonly string[], parts: WorldParts = {}): Promise<string> {
  let got = '';
  await play(echoHeads, parts, async ({ world }) => {
    const text = ['GET /open HTTP/1.1', 'Host: a.example:8443', ...lines, '', ''].join('\r\n');
    const wire = openWire(world.port).send(text);
    const { status, body } = await wire.takeAnswer();
    assert.equal(status, 200, body);
    got = body;
    wire.socket.destroy();
  });
  return got;
}
const TRUSTED: WorldParts = { plan: { trustedPeers: [{ cidr: '127.0.0.0/8' }] } };
const count = (head: string, name: string): number => head.split(new RegExp(`\r\n${name}:`, 'i')).length - 1;

describe('headers of a stranger', () => {
  const REMOVED = [
    'X-Forwarded-For: 6.6.6.6',
    'X-Forwarded-Anything: 6',
    'X_Forwarded_For: 6.6.6.6',
    'Forwarded: for=6.6.6.6',
    'X-Real-IP: 6.6.6.6',
    'X-Request-Id: forged',
    'X-Forwarded-Client-Cert: By=spiffe://forged',
    'Client-Cert: :forged:',
    'Client-Cert-Chain: :forged:',
    'X-Original-URL: /admin-forged',
    'X-Rewrite-URL: /admin-forged',
    'X-HTTP-Method-Override: DELETE-forged',
    'X-Method-Override: DELETE-forged',
    'X-HTTP-Method: DELETE-forged',
    'Proxy-Authorization: forged',
    'Keep-Alive: timeout=forged',
    'TE: forged',
    'Trailer: forged',
    'X-Device: forged',
    'X_DEVICE: forged',
    'x.device: forged',
    'X-SSL-Cert: forged',
  ];
  for (const line of REMOVED) {
    test(`${line} is removed`, async () => {
      const head = await forwarded([line], {
        snapshot: { reservedHeaders: new Set(['x-device']) },
        trust: { strippedHeaders: () => new Set(['x-ssl-cert']) },
      });
      assert.doesNotMatch(head, /6\.6\.6\.6|forged|: 6\r\n/);
    });
  }

  test('what Connection names is removed, before ours are added', async () => {
    const head = await forwarded(['Connection: X-Secret, X-Forwarded-For', 'X-Secret: forged']);
    assert.doesNotMatch(head, /forged/);
    assert.match(head, /X-Forwarded-For: 127\.0\.0\.1\r\n/);
  });

  test('Host goes to the app unchanged, and ours are added once', async () => {
    const head = await forwarded(['X-Forwarded-Host: forged', 'X-Forwarded-Proto: forged']);
    assert.match(head, /\r\nHost: a\.example:8443\r\n/);
    for (const line of ['X-Forwarded-For: 127.0.0.1', 'X-Forwarded-Proto: http', 'X-Forwarded-Host: a.example:8443']) {
      assert.ok(head.includes(`\r\n${line}\r\n`), line);
    }
    for (const name of ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-request-id', 'traceparent']) {
      assert.equal(count(head, name), 1, name);
    }
  });

  test('names of Object.prototype are ordinary headers', async () => {
    const head = await forwarded(['__proto__: a', 'constructor: b', 'hasOwnProperty: c']);
    for (const line of ['__proto__: a', 'constructor: b', 'hasOwnProperty: c']) assert.ok(head.includes(line));
  });

  test('a policy sets what it reserves; the value of the client is gone in every spelling', async () => {
    const sets = step({ type: 'setHeaders', setHeaders: [setting('X-Device', literal('robot-7'))] });
    const head = await forwarded(['X-Device: forged', 'X_Device: forged'], {
      routes: [['/', [OPEN, sets]]],
      snapshot: { reservedHeaders: new Set(['x-device']) },
    });
    assert.match(head, /\r\nX-Device: robot-7\r\n/);
    assert.doesNotMatch(head, /forged/);
  });

  test('request ids are unique', async () => {
    await play(echoHeads, {}, async ({ world }) => {
      const seen = new Set<string>();
      const wire = openWire(world.port);
      for (let i = 0; i < 50; i += 1) {
        const { body } = await wire.send('GET /open HTTP/1.1\r\nHost: a\r\n\r\n').takeAnswer();
        seen.add(/X-Request-Id: (\S+)/.exec(body)?.[1] ?? '');
      }
      assert.equal(seen.size, 50);
      assert.equal(seen.has(''), false);
      wire.socket.destroy();
    });
  });
});

describe('traceparent', () => {
  const GOOD = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  test('is continued', async () => {
    const head = await forwarded([`traceparent: ${GOOD}`, 'tracestate: a=b']);
    assert.ok(head.includes(`\r\ntraceparent: ${GOOD}\r\n`));
    assert.match(head, /tracestate: a=b/);
  });
  test('is made where there is none', async () => {
    assert.match(await forwarded([]), /\r\ntraceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-01\r\n/);
  });
  for (const bad of ['00-forged', `${GOOD}, ${GOOD}`, GOOD.replace(/0af7\w+/, '0'.repeat(32))]) {
    test(`is replaced where it is malformed: ${bad}`, async () => {
      const head = await forwarded([`traceparent: ${bad}`, 'tracestate: a=b']);
      assert.equal(count(head, 'traceparent'), 1);
      assert.match(head, /\r\ntraceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-01\r\n/);
      assert.doesNotMatch(head, /tracestate|forged/);
    });
  }
});

describe('headers of a trusted peer', () => {
  test('pass, and the list of addresses grows', async () => {
    const head = await forwarded(
      [
        'X-Forwarded-For: 203.0.113.9',
        'X-Forwarded-For: 10.0.0.1',
        'X-Forwarded-Proto: https',
        'X-Forwarded-Host: www.example.com',
        'X-Request-Id: abc-123',
        'X-Real-IP: 203.0.113.9',
      ],
      TRUSTED,
    );
    for (const line of [
      'X-Forwarded-For: 203.0.113.9, 10.0.0.1, 127.0.0.1',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Host: www.example.com',
      'X-Request-Id: abc-123',
      'X-Real-IP: 203.0.113.9',
    ]) {
      assert.ok(head.includes(`\r\n${line}\r\n`), line);
    }
    for (const name of ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-request-id']) {
      assert.equal(count(head, name), 1, name);
    }
  });

  test('a malformed request id is replaced', async () => {
    const head = await forwarded(['X-Request-Id: a b<script>'], TRUSTED);
    assert.equal(count(head, 'x-request-id'), 1);
    assert.doesNotMatch(head, /script/);
  });

  test('method overrides and what policies set are removed all the same', async () => {
    const head = await forwarded(['X-HTTP-Method-Override: forged', 'X-Original-URL: forged', 'X-Device: forged'], {
      ...TRUSTED,
      snapshot: { reservedHeaders: new Set(['x-device']) },
    });
    assert.doesNotMatch(head, /forged/);
  });

  test('a forwarded certificate passes only from a peer that may forward it', async () => {
    const stripped = (names: readonly string[]): WorldParts => ({
      ...TRUSTED,
      trust: { strippedHeaders: () => new Set(names) },
    });
    assert.doesNotMatch(await forwarded(['Client-Cert: :abc:'], stripped(['client-cert'])), /client-cert/i);
    assert.match(await forwarded(['Client-Cert: :abc:'], stripped([])), /\r\nClient-Cert: :abc:\r\n/);
  });
});

describe('source.ip', () => {
  const CASES: readonly (readonly [string, readonly string[], number, boolean, string])[] = [
    ['the peer, whatever strangers say', ['X-Forwarded-For: 203.0.113.9'], 1, false, '127.0.0.1'],
    ['the last address of a trusted peer', ['X-Forwarded-For: 6.6.6.6, 203.0.113.9'], 1, true, '203.0.113.9'],
    ['the last but one with two hops', ['X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.1.1.1'], 2, true, '203.0.113.9'],
    ['over several lines', ['X-Forwarded-For: 6.6.6.6', 'X-Forwarded-For: 203.0.113.9'], 1, true, '203.0.113.9'],
    ['the peer when the list is too short', ['X-Forwarded-For: 203.0.113.9'], 2, true, '127.0.0.1'],
    ['the peer when the list holds something else', ['X-Forwarded-For: unknown'], 1, true, '127.0.0.1'],
    ['IPv4-mapped is IPv4', ['X-Forwarded-For: ::ffff:203.0.113.9'], 1, true, '203.0.113.9'],
    ['a port is left out', ['X-Forwarded-For: [2001:db8::1]:443'], 1, true, '2001:db8::1'],
  ];
  for (const [sentence, lines, trustedHops, trusted, expected] of CASES) {
    test(sentence, async () => {
      let seen = '';
      const notes = step({
        type: 'rateLimit',
        rateLimit: {
          counter: 'c',
          calls: 1,
          periodMs: 1000,
          key: template(bindings => read(bindings, 'source.ip')),
          maxKeys: 1,
          headers: false,
          scope: 'Pod',
        },
      });
      await forwarded(lines, {
        routes: [['/', [OPEN, notes]]],
        plan: {
          clientAddress: { from: 'ForwardedFor', trustedHops },
          ...(trusted ? { trustedPeers: [{ cidr: '127.0.0.0/8' }] } : {}),
        },
        evidence: {
          rate: request => {
            seen = request.key;
            return { admitted: true, limit: 10, remaining: 1, retryAfter: 0, reset: 0 };
          },
        },
      });
      assert.equal(seen, expected);
    });
  }
});
