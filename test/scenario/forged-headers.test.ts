/** No client can send what only the sidecar may say: identity in any spelling that a back end folds, and who forwarded it. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Answer, openPlain } from '../support/connection.ts';
import { DEVICE, type Fleet, openFleet, TELEMETRY } from '../support/fleet.ts';
import * as made from '../support/manifests.ts';
import { folded, RecordingApp } from '../support/servers.ts';
import { type Sidecar, startSidecar } from '../support/sidecar.ts';

type Line = readonly [name: string, value: string];

const CONTEXT = 'x-request-context-data';
const FORGED = 'deviceId=robot-1;certificateThumbprint=00;';

const spell = (name: string): string[] => [
  name,
  name.toUpperCase(),
  name.replace(/^x/, 'X').replaceAll(/-(.)/g, (_, letter: string) => `-${letter.toUpperCase()}`),
  name.replaceAll('-', '_'),
  name.replaceAll('-', '_').toUpperCase(),
  name.replaceAll('-', '.'),
  name.replace('-', '_').replace(/-([^-]*)$/, '.$1'),
];

/** Everything that a client may try with one header. */
const forge = (name: string, value: string): Readonly<Record<string, readonly Line[]>> => ({
  ...Object.fromEntries(spell(name).map(spelling => [spelling, [[spelling, value]]])),
  'twice, in two spellings': [
    [name, value],
    [name.replaceAll('-', '_'), value],
  ],
  'empty and full': [
    [name, ''],
    [name, value],
  ],
  'named by Connection': [
    ['Connection', name],
    [name, value],
  ],
  'named by Connection in another spelling': [
    ['Connection', name.replaceAll('-', '_')],
    [name, value],
  ],
});

describe('identity headers', () => {
  let fleet: Fleet;
  const ends: (() => unknown)[] = [];
  before(async () => {
    fleet = await openFleet(
      { after: end => void ends.unshift(end as () => unknown) },
      {
        files: () => ({
          // A route for everybody, whose own policy writes none of these headers.
          '50-open.yaml': [
            made.api('status', {
              hosts: ['fleet.example.com'],
              basePath: '/status',
              tls: { mode: 'Terminate', certificate: { secretName: 'fleet-tls' }, minVersion: '1.2' },
              app: {
                scheme: 'https',
                credential: 'mesh',
                serverName: 'fleet.shop.svc',
                trust: made.fromConfigMap('app-ca'),
              },
            }),
            made.authPolicy('status', { ...made.onApi('status'), request: [made.OPEN] }),
          ],
        }),
      },
    );
  });
  after(async () => {
    for (const end of ends) await end();
  });

  const routes = {
    'a web client’s': async (headers: readonly Line[]) =>
      fleet.ask({ path: DEVICE, token: await fleet.webToken(), headers }),
    'a device’s': (headers: readonly Line[]) =>
      fleet.ask({ method: 'POST', path: TELEMETRY, headers, body: '{}' }, 'robot-7'),
    'an anonymous client’s': (headers: readonly Line[]) => fleet.ask({ path: '/status/now', headers }),
  } satisfies Record<string, (headers: readonly Line[]) => Promise<Answer>>;
  const truth = (): Record<keyof typeof routes, Readonly<Record<string, string[]>>> => ({
    'a web client’s': { [CONTEXT]: [], 'x-client-id': ['web-portal'] },
    'a device’s': {
      [CONTEXT]: [`certificateThumbprint=${fleet.material.devices['robot-7'].sha1};deviceId=robot-7;`],
      'x-client-id': [],
    },
    'an anonymous client’s': { [CONTEXT]: [], 'x-client-id': [] },
  });

  for (const [whose, ask] of Object.entries(routes) as [keyof typeof routes, (typeof routes)['a device’s']][]) {
    for (const [name, value] of [
      [CONTEXT, FORGED],
      ['x-client-id', 'admin'],
    ] as const) {
      test(`the app never sees ${whose} own ${name}, however it is sent`, async () => {
        for (const [how, headers] of Object.entries(forge(name, value))) {
          const answer = await ask(headers);
          assert.equal(answer.status, 200, how);
          const { lines } = fleet.app.last;
          for (const [header, expected] of Object.entries(truth()[whose])) {
            assert.deepEqual(folded(lines, header), expected, `${header} when sent ${how}`);
          }
          assert.equal(JSON.stringify(lines).includes(value), false, how);
        }
      });
    }
  }

  test('the app never sees them in trailers', async () => {
    for (const [how, headers] of Object.entries({ ...forge(CONTEXT, FORGED), ...forge('x-client-id', 'admin') })) {
      const connection = await fleet.connect(fleet.tls('robot-7'));
      const trailers = headers
        .filter(([name]) => name !== 'Connection')
        .map(([name, value]) => `${name}: ${value}\r\n`);
      connection.send(
        `POST ${TELEMETRY} HTTP/1.1\r\nHost: fleet.example.com\r\nTransfer-Encoding: chunked\r\n\r\n` +
          `2\r\n{}\r\n0\r\nX-Checksum: 42\r\n${trailers.join('')}\r\n`,
      );
      const answer = await connection.readAnswer();
      assert.equal(answer.status, 200, how);
      const { lines, trailers: seen } = fleet.app.last;
      assert.deepEqual(folded(lines, CONTEXT), truth()['a device’s'][CONTEXT], how);
      assert.deepEqual(folded(seen, CONTEXT), [], how);
      assert.deepEqual(folded(seen, 'x-client-id'), [], how);
      assert.deepEqual(folded(seen, 'x-checksum'), ['42'], 'other trailers pass');
      connection.close();
    }
  });

  test('a header whose name only resembles them passes', async () => {
    await fleet.ask({
      path: '/status/now',
      headers: [
        ['X-Request-Context-Data-Version', '2'],
        ['X-Client-Identity', 'a'],
      ],
    });
    assert.deepEqual(folded(fleet.app.last.lines, 'x-request-context-data-version'), ['2']);
    assert.deepEqual(folded(fleet.app.last.lines, 'x-client-identity'), ['a']);
  });

  test('Connection cannot take away what the sidecar adds', async () => {
    const headers: Line[] = [['Connection', 'keep-alive, x-client-id, X-Request-Context-Data, X-Forwarded-For, Host']];
    const answer = await fleet.ask({ path: DEVICE, token: await fleet.webToken(), headers });
    if (answer.status === 400) return; // refused is as good
    const { lines } = fleet.app.last;
    assert.deepEqual(folded(lines, 'x-client-id'), ['web-portal']);
    assert.deepEqual(folded(lines, 'x-forwarded-for'), ['127.0.0.1']);
    assert.deepEqual(folded(lines, 'host'), ['fleet.example.com']);
    assert.deepEqual(
      folded(lines, 'connection').filter(value => value.includes('client')),
      [],
    );
  });

  test('a device’s certificate in a header is nobody’s identity', async () => {
    const { certificatePem, der } = fleet.material.devices['robot-7'];
    const base64 = Buffer.from(der).toString('base64');
    for (const [name, value] of [
      ['Client-Cert', `:${base64}:`],
      ['X-Forwarded-Client-Cert', `Hash=00;Cert="${encodeURIComponent(certificatePem)}"`],
      ['X-SSL-Cert', encodeURIComponent(certificatePem)],
    ] as const) {
      const answer = await fleet.ask({ method: 'POST', path: TELEMETRY, headers: [[name, value]], body: '{}' });
      assert.deepEqual([answer.status, answer.reason], [401, 'TokenNotPresent'], name);
    }
  });
});

/** What strangers may not say, and what a peer that is trusted by its address may. */
const FORWARDED: readonly Line[] = [
  ['X-Forwarded-For', '203.0.113.9'],
  ['X-Forwarded-Proto', 'https'],
  ['X-Forwarded-Host', 'admin.example.com'],
  ['X-Forwarded-Port', '443'],
  ['X-Forwarded-Prefix', '/admin'],
  ['Forwarded', 'for=203.0.113.9;proto=https'],
  ['X-Real-IP', '203.0.113.9'],
  ['X-Request-Id', 'chosen-by-the-client'],
];
const CERTIFICATES: readonly Line[] = [
  ['X-Forwarded-Client-Cert', 'Hash=00;Subject="CN=robot-7"'],
  ['Client-Cert', ':AAAA:'],
  ['Client-Cert-Chain', ':AAAA:'],
];
const NEVER: readonly Line[] = [
  ['X-Original-URL', '/admin'],
  ['X-Original-Method', 'DELETE'],
  ['X-Rewrite-URL', '/admin'],
  ['X-HTTP-Method', 'DELETE'],
  ['X-HTTP-Method-Override', 'DELETE'],
  ['X-Method-Override', 'DELETE'],
  ['Proxy-Authorization', 'Basic YTpi'],
  ['TE', 'trailers'],
  ['Keep-Alive', 'timeout=5'],
  ['Proxy-Connection', 'keep-alive'],
];

describe('what was forwarded', () => {
  const ends: (() => unknown)[] = [];
  let app: RecordingApp;
  let strict: Sidecar;
  let trusting: Sidecar;
  const start = (peers: readonly made.Spec[]): Promise<Sidecar> =>
    startSidecar({
      manifests: {
        'all.yaml': [made.api('fleet', { trustedPeers: peers }), made.authPolicy('open', { request: [made.OPEN] })],
      },
      app: app.port,
    });
  before(async () => {
    app = await new RecordingApp().start();
    ends.unshift(() => app.stop());
    [strict, trusting] = await Promise.all([start([]), start([{ cidr: '127.0.0.0/8' }])]);
    ends.unshift(() => Promise.all([strict.close(), trusting.close()]));
  });
  after(async () => {
    for (const end of ends) await end();
  });
  const ask = async (sidecar: Sidecar, headers: readonly Line[]): Promise<Answer> => {
    const connection = await openPlain(sidecar.port);
    try {
      return await connection.ask({ path: '/', headers });
    } finally {
      connection.close();
    }
  };
  const respell = ([name, value]: Line): Line[] => spell(name.toLowerCase()).map(spelling => [spelling, value]);

  test('strangers cannot say who sent a request, from where and by which certificate', async () => {
    for (const line of [...FORWARDED, ...CERTIFICATES]) {
      for (const spelling of respell(line)) {
        const answer = await ask(strict, [spelling]);
        assert.equal(answer.status, 200, spelling[0]);
        assert.equal(
          app.last.lines.some(([, value]) => value === line[1]),
          false,
          spelling[0],
        );
      }
    }
  });

  test('the app gets the sidecar’s own word instead', async () => {
    const answer = await ask(strict, FORWARDED);
    const { lines } = app.last;
    assert.deepEqual(folded(lines, 'x-forwarded-for'), ['127.0.0.1']);
    assert.deepEqual(folded(lines, 'x-forwarded-proto'), ['http']);
    assert.deepEqual(folded(lines, 'x-forwarded-host'), ['fleet.example.com']);
    const [requestId] = folded(lines, 'x-request-id');
    assert.match(requestId ?? '', /^[\w-]{8,}$/);
    assert.notEqual(requestId, 'chosen-by-the-client');
    assert.equal(answer.status, 200);
  });

  test('nobody at all can choose another method, path or connection behind the sidecar', async () => {
    for (const sidecar of [strict, trusting]) {
      for (const line of NEVER) {
        for (const spelling of respell(line)) {
          // Only the exact hop-by-hop names mean anything to anybody.
          if (['proxy-authorization', 'te', 'keep-alive', 'proxy-connection'].includes(line[0].toLowerCase())) {
            if (/[_.]/.test(spelling[0])) continue;
          }
          const answer = await ask(sidecar, [spelling]);
          assert.equal(answer.status, 200, spelling[0]);
          assert.deepEqual(folded(app.last.lines, line[0]), [], spelling[0]);
        }
      }
    }
  });

  test('a trusted peer is believed about the client, but not about certificates', async () => {
    await ask(trusting, [...FORWARDED, ...CERTIFICATES]);
    const { lines } = app.last;
    assert.deepEqual(folded(lines, 'x-forwarded-for'), ['203.0.113.9, 127.0.0.1']);
    assert.deepEqual(folded(lines, 'x-forwarded-proto'), ['https']);
    assert.deepEqual(folded(lines, 'x-request-id'), ['chosen-by-the-client']);
    assert.deepEqual(folded(lines, 'x-real-ip'), ['203.0.113.9']);
    for (const [name] of CERTIFICATES) assert.deepEqual(folded(lines, name), [], name);
  });
});
