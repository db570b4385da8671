import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SharedAccessSignatureSpec } from '../api/kinds/credential.ts';
import { computeSasToken } from './sas-token.ts';
import { HOST, KEY, openScene, secret, START } from './testing/header-kit.ts';

const KEY_TEXT = 'c2VjcmV0LWtleS1mb3ItdGVzdHM=';

/** Tokens that others have computed and published, each with where. */
const PUBLISHED = {
  // github.com/Papr-ai/parse-server-azure-push, test/sasToken.tests.js (Azure Notification Hubs)
  'a notification hub': [
    { resourceUri: 'endpoint/hub', keyName: 'keyName', key: 'keyVal', expiry: 1 },
    'SharedAccessSignature sr=endpoint%2Fhub&sig=EGsjmHg%2FOKM5bYk5pU7ZpN5ExQRuT3VCwXuCftrmUZw%3D&se=1&skn=keyName',
  ],
  // Rust client for Event Hubs after the .NET SDK’s SharedAccessSignature (fe2o3-amqp), test_build_signature; it writes the
  // same parts in another order.
  'an event hub by its AMQP address': [
    {
      resourceUri: 'amqps://fe2o3-amqp-example.servicebus.windows.net',
      keyName: 'RootManageSharedAccessKey',
      key: 'r9rdIglXNiIPN2Lgj/HyhgOuq+aGht0qH3n+/lYQhfo=',
      expiry: 1_667_344_375,
    },
    'SharedAccessSignature sr=amqps%3A%2F%2Ffe2o3-amqp-example.servicebus.windows.net&sig=WOVqJi%2B2fowHpCC2g3ztxEQrYAU173BGWrkVaPlvPj4%3D&se=1667344375&skn=RootManageSharedAccessKey',
  ],
  // The design’s reference on gateway semantics, section 2.7.
  'a queue': [
    {
      resourceUri: 'https://contoso.servicebus.windows.net/orders/messages',
      keyName: 'SendPolicy',
      key: KEY_TEXT,
      expiry: 1_700_000_060,
    },
    'SharedAccessSignature sr=https%3A%2F%2Fcontoso.servicebus.windows.net%2Forders%2Fmessages&sig=IcFk9VrsDednTg0W1JytR2DnFKuPakCloEAyhn8sIjs%3D&se=1700000060&skn=SendPolicy',
  ],
} as const;

describe('P11: tokens as others compute them', () => {
  for (const [name, [input, token]] of Object.entries(PUBLISHED)) {
    test(name, () => assert.equal(computeSasToken(input), token));
  }

  test('every character but the unreserved ones is percent-encoded, upper case, also those that JavaScript leaves', () => {
    const token = computeSasToken({ resourceUri: "sb://a/!'()*~ ü", keyName: 'a&b=c', key: 'k', expiry: 9 });
    assert.match(token, /^SharedAccessSignature sr=sb%3A%2F%2Fa%2F%21%27%28%29%2A~%20%C3%BC&sig=/);
    assert.match(token, /&se=9&skn=a%26b%3Dc$/);
  });
});

const SPEC: SharedAccessSignatureSpec = {
  resourceUri: { value: 'https://contoso.servicebus.windows.net/orders/messages' },
  keyName: { configMapKeyRef: { name: 'sb', key: 'name' } },
  key: secret('sb', 'primary'),
  secondaryKey: secret('sb', 'secondary'),
  activeKey: 'Primary',
  ttl: 60_000,
};
const open = (spec: Partial<SharedAccessSignatureSpec> = {}) => {
  const scene = openScene({ 'sb/name': 'SendPolicy', 'sb/primary': KEY_TEXT, 'sb/secondary': 'another' });
  scene.prepare({ sharedAccessSignature: { ...SPEC, ...spec } });
  return scene;
};
const tokenOf = (expiry: number, key = KEY_TEXT): string =>
  `Authorization: ${computeSasToken({ resourceUri: 'https://contoso.servicebus.windows.net/orders/messages', keyName: 'SendPolicy', key, expiry })}`;
const EXPIRY = START / 1000 + 60;

describe('sharedAccessSignature', () => {
  test('a token is used until a quarter of its lifetime is left, then another is computed', async () => {
    const scene = open();
    assert.equal(await scene.present(), tokenOf(EXPIRY));
    scene.now = START + 44_999;
    assert.equal(await scene.present(), tokenOf(EXPIRY));
    scene.now = START + 45_000;
    assert.equal(await scene.present(), tokenOf(EXPIRY + 45));
    assert.deepEqual(scene.view.status(), [
      { key: KEY, from: 'sharedAccessSignature', validUntil: (EXPIRY + 45) * 1000 },
    ]);
  });

  test('a new generation with the same content keeps its token, a new key makes another at once', async () => {
    const scene = open();
    const first = await scene.present();
    scene.now = START + 10_000;
    scene.prepare({ sharedAccessSignature: SPEC });
    assert.equal(await scene.present(), first);
    scene.secrets['sb/primary'] = 'rotated';
    scene.prepare({ sharedAccessSignature: SPEC });
    assert.equal(await scene.present(), tokenOf(EXPIRY + 10, 'rotated'));
  });

  test('activeKey: Secondary signs with the other key', async () => {
    assert.equal(await open({ activeKey: 'Secondary' }).present(), tokenOf(EXPIRY, 'another'));
  });

  test('a line break at the end of a Secret does not count, any other character does', async () => {
    const scene = open();
    for (const end of ['\n', '\r\n']) {
      scene.secrets['sb/primary'] = `${KEY_TEXT}${end}`;
      scene.prepare({ sharedAccessSignature: SPEC });
      assert.equal(await scene.present(), tokenOf(EXPIRY));
    }
    scene.secrets['sb/primary'] = `${KEY_TEXT} `;
    scene.prepare({ sharedAccessSignature: SPEC });
    assert.equal(await scene.present(), tokenOf(EXPIRY, `${KEY_TEXT} `));
  });

  test('a clock that is set back makes another token, so that none lives longer than its ttl', async () => {
    const scene = open();
    await scene.present();
    scene.now = START - 3_600_000;
    assert.equal(await scene.present(), tokenOf(EXPIRY - 3600));
  });

  for (const missing of ['sb/primary', 'sb/name']) {
    test(`without ${missing} nothing is presented, and the log and status say so once`, async () => {
      const scene = open();
      Reflect.deleteProperty(scene.secrets, missing);
      scene.prepare({ sharedAccessSignature: SPEC });
      scene.prepare({ sharedAccessSignature: SPEC });
      assert.equal(await scene.present(), undefined);
      assert.deepEqual(scene.view.status(), [{ key: KEY, from: 'sharedAccessSignature', problem: 'MISSING' }]);
      assert.deepEqual(scene.lines, [
        `a credential cannot be presented {"credential":"${KEY}","sort":"sharedAccessSignature","code":"MISSING"}`,
      ]);
    });
  }

  test('a Secret for some hosts is presented to no other host', async () => {
    const scene = open();
    scene.hosts['shop/sb'] = ['contoso.servicebus.windows.net', '*.queue.example:8443'];
    const at = (name: string, port: number | undefined = 443) => scene.present({}, { name, port });
    scene.prepare({ sharedAccessSignature: SPEC });
    assert.equal(await at('contoso.servicebus.windows.net'), tokenOf(EXPIRY));
    assert.equal(await at('a.queue.example', 8443), tokenOf(EXPIRY));
    for (const other of ['evil.example', 'x.contoso.servicebus.windows.net', 'localhost', 'a.b.queue.example'])
      assert.equal(await at(other, 8443), undefined, other);
    assert.equal(await at('a.queue.example', 443), undefined);
    assert.equal(await scene.present({}, HOST), undefined);
    assert.match(
      scene.lines[0] ?? '',
      /may not be presented to this host .*"secrets":\["shop\/sb"\],"host":"evil.example"/,
    );
    assert.equal(scene.lines.join().includes(KEY_TEXT), false);
  });
});
