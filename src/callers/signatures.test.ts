/** P10 against what the vendors publish, each by its own preset, and the general form against openssl's words. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { hmacSignatureStep, type HmacSignatureStep } from '../api/kinds/caller-steps.ts';
import { findIdBound, keepsBound, parsePayload } from '../api/signed-payload.ts';
import { parseValue } from '../api/value.ts';
import type { Violation } from '../api/violation.ts';
import { readSignature } from '../decision/signature-header.ts';
import { fields, request } from '../decision/testing/fakes.ts';
import { createKeyHash } from '../limits/key-hash.ts';
import type { Material } from '../material/material.ts';
import { readScheme } from '../policy/signature-schemes.ts';
import type { CompiledSignature } from '../policy/steps.ts';
import { createReplays } from './replays.ts';
import { readSharedKey } from './signature-keys.ts';
import { createSignatures } from './signatures.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const keysOf = (texts: readonly (string | undefined)[]): Material => ({
  secret: key => {
    const text = texts[Number(key.replace('shop/k', ''))];
    return text === undefined ? undefined : new Map([['key', bytes(text)]]);
  },
  configMap: () => undefined,
});

function compile(
  spec: Partial<Record<keyof HmacSignatureStep, unknown>>,
  keys: number,
  memory?: string,
): CompiledSignature {
  const scene = { object: '', clusterScoped: false, violations: [], locate: undefined };
  const refs = Array.from({ length: keys }, (_, at) => ({ secretKeyRef: { name: `k${at}`, key: 'key' } }));
  const step = parseValue(hmacSignatureStep, { ...spec, keys: refs }, '', scene) as HmacSignatureStep;
  assert.deepEqual(scene.violations, []);
  const scheme = readScheme(step);
  assert.ok(scheme !== undefined);
  return {
    scheme,
    id: 'policy/hook',
    keys: refs.map(({ secretKeyRef }) => ({ secret: `shop/${secretKeyRef.name}`, dataKey: 'key' })),
    toleranceMs: step.tolerance,
    maxBody: step.maxBody,
    ...(memory === undefined ? {} : { memory }),
  };
}

interface Message {
  readonly spec: Partial<Record<keyof HmacSignatureStep, unknown>>;
  readonly keys: readonly (string | undefined)[];
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
  /** Seconds. */
  readonly now: number;
  readonly memory?: string;
}

const replays = () => createReplays(createKeyHash(new Uint8Array(8)));

function verify({ spec, keys, headers, body, now, memory }: Message, remembered = replays()): string {
  const step = compile(spec, keys.length, memory);
  const stated = readSignature(request([], { headers: fields(headers) }), step, now * 1000);
  if ('reason' in stated) return stated.reason;
  const asked = { type: 'signature', step, again: false, ...stated } as const;
  const answer = createSignatures(keysOf(keys), remembered).verify(asked, bytes(body), now * 1000, new Set());
  return answer.state === 'valid' ? (answer.seen ? 'SignatureReplayed' : 'valid') : answer.reason;
}

/** docs.github.com, "Validating webhook deliveries", "Testing the webhook payload validation". */
const GITHUB: Message = {
  spec: { preset: 'GitHub' },
  keys: ["It's a Secret to Everybody"],
  headers: [['X-Hub-Signature-256', 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17']],
  body: 'Hello, World!',
  now: 1_700_000_000,
};
/** github.com/stripe/stripe-dotnet, src/StripeTests: EventUtilityTest.cs and Resources/event_test_signature.json. */
const STRIPE: Message = {
  spec: { preset: 'Stripe' },
  keys: ['webhook_secret'],
  headers: [
    [
      'Stripe-Signature',
      't=1533204620,v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7,v0=63f3a72374a733066c4be69ed7f8e5ac85c22c9f0a6a612ab9a025a9e4ee7eef',
    ],
  ],
  body: `{
  "id": "evt_123",
  "object": "event",
  "account": "acct_123",
  "api_version": "2017-05-25",
  "created": 1533204620,
  "data": {
    "object": {
      "id": "cus_123",
      "object": "customer",
      "created": 123456789,
      "email": "test@stripe.com",
      "livemode": false,
      "metadata": {}
    }
  },
  "livemode": false,
  "pending_webhooks": 1,
  "request": {
    "id": "req_123",
    "idempotency_key": "idempotency-key-123"
  },
  "type": "customer.created"
}
`,
  now: 1_533_204_720,
};
/** docs.slack.dev/authentication/verifying-requests-from-slack, the worked example. */
const SLACK: Message = {
  spec: { preset: 'Slack' },
  keys: ['8f742231b10e8888abcd99yyyzzz85a5'],
  headers: [
    ['X-Slack-Request-Timestamp', '1531420618'],
    ['X-Slack-Signature', 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503'],
  ],
  body: 'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c',
  now: 1_531_420_700,
};
/** github.com/standard-webhooks/standard-webhooks, the test vector of its libraries. */
const STANDARD: Message = {
  spec: { preset: 'StandardWebhooks' },
  keys: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
  headers: [
    ['webhook-id', 'msg_p5jXN8AQM9LWM0D4loKWxJek'],
    ['webhook-timestamp', '1614265330'],
    ['webhook-signature', 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='],
  ],
  body: '{"test": 2432232314}',
  now: 1_614_265_330,
};
const VENDORS = { GitHub: GITHUB, Stripe: STRIPE, Slack: SLACK, StandardWebhooks: STANDARD };

const alter = (message: Message, name: string, change: (value: string) => string): Message => ({
  ...message,
  headers: message.headers.map(([key, value]) => [key, key === name ? change(value) : value]),
});
const [STRIPE_HEADER, SLACK_HEADER, STANDARD_HEADER] = ['Stripe-Signature', 'X-Slack-Signature', 'webhook-signature'];

for (const [vendor, message] of Object.entries(VENDORS)) {
  suite(`P10: ${vendor}`, () => {
    const signed = message.headers.find(([, value]) => /[0-9a-f]{64}|=$/.test(value))?.[0] ?? '';
    const cases: Readonly<Record<string, readonly [told: string, message: Message]>> = {
      'the published message': ['valid', message],
      'another body': ['SignatureInvalid', { ...message, body: `${message.body} ` }],
      'another key': ['SignatureInvalid', { ...message, keys: ['b3RoZXI='] }],
      'the right key is the second': ['valid', { ...message, keys: ['b3RoZXI=', ...message.keys] }],
      'the right key ends with a line break': ['valid', { ...message, keys: [`${message.keys[0] ?? ''}\n`] }],
      'a key is missing and another signed': ['valid', { ...message, keys: [undefined, ...message.keys] }],
      'S6: a key is missing and no other signed': ['KeysUnavailable', { ...message, keys: ['b3RoZXI=', undefined] }],
      'no signature': [
        'SignatureNotPresent',
        { ...message, headers: message.headers.filter(([name]) => name !== signed) },
      ],
      'an empty signature': ['SignatureNotPresent', alter(message, signed, () => '')],
      'the signature twice': [
        'DuplicateCredential',
        { ...message, headers: [...message.headers, ...message.headers.filter(([name]) => name === signed)] },
      ],
      'something else in its header': ['SignatureInvalid', alter(message, signed, () => 'hello')],
      'one digit is missing': [
        'SignatureInvalid',
        alter(message, signed, value => value.replace(/[0-9a-zA-Z]([,=]|$)/g, '$1')),
      ],
    };
    for (const [what, [told, each]] of Object.entries(cases))
      test(`${what}: ${told}`, () => assert.equal(verify(each), told));
    if (vendor === 'GitHub') return;
    test('300 s later and earlier are the last good seconds', () => {
      const at = Number(/15\d{8}|16\d{8}/.exec(message.headers.map(([, value]) => value).join(' '))?.[0]);
      assert.deepEqual(
        [-301, -300, 300, 301].map(offset => verify({ ...message, now: at + offset })),
        ['SignatureExpired', 'valid', 'valid', 'SignatureExpired'],
      );
    });
  });
}

suite('P10: forms', () => {
  const cases: Readonly<Record<string, readonly [told: string, message: Message]>> = {
    'GitHub: hex digits have no case': [
      'valid',
      alter(GITHUB, 'X-Hub-Signature-256', value => value.toUpperCase().replace('SHA256', 'sha256')),
    ],
    'GitHub: the prefix is part of it': [
      'SignatureInvalid',
      alter(GITHUB, 'X-Hub-Signature-256', value => value.slice(7)),
    ],
    'GitHub: SHA-1 is another header and another scheme': [
      'SignatureInvalid',
      alter(GITHUB, 'X-Hub-Signature-256', value => value.replace('sha256', 'sha1')),
    ],
    'Stripe: any v1 may be the right one': [
      'valid',
      alter(STRIPE, STRIPE_HEADER, value => value.replace(',v1=', `,v1=${'0'.repeat(64)},v1=`)),
    ],
    'Stripe: spaces between pairs': ['valid', alter(STRIPE, STRIPE_HEADER, value => value.replaceAll(',', ', '))],
    'Stripe: v0 is no signature': [
      'SignatureInvalid',
      alter(STRIPE, STRIPE_HEADER, value => value.replace('v1=', 'v2=')),
    ],
    'Stripe: the right signature as v0': [
      'SignatureInvalid',
      alter(STRIPE, STRIPE_HEADER, value => value.replace(/,v0=.*/, '').replace('v1=', 'v0=')),
    ],
    'Stripe: another time than the signed one': [
      'SignatureInvalid',
      alter(STRIPE, STRIPE_HEADER, value => value.replace('t=1533204620', 't=1533204621')),
    ],
    'Stripe: two times': ['SignatureInvalid', alter(STRIPE, STRIPE_HEADER, value => `t=1533204720,${value}`)],
    'Stripe: no time': ['SignatureInvalid', alter(STRIPE, STRIPE_HEADER, value => value.replace(/^t=\d+,/, ''))],
    'Stripe: t is no number': [
      'SignatureInvalid',
      alter(STRIPE, STRIPE_HEADER, value => value.replace(/^t=\d+/, 't=1e9')),
    ],
    'Stripe: the 17th signature is not looked at': [
      'SignatureInvalid',
      alter(STRIPE, STRIPE_HEADER, value => value.replace(',v1=', `${`,v1=${'0'.repeat(64)}`.repeat(16)},v1=`)),
    ],
    'Slack: v1 is another version': [
      'SignatureInvalid',
      alter(SLACK, SLACK_HEADER, value => value.replace('v0=', 'v1=')),
    ],
    'Slack: no time': ['SignatureInvalid', { ...SLACK, headers: SLACK.headers.slice(1) }],
    'Slack: another time': ['SignatureInvalid', alter(SLACK, 'X-Slack-Request-Timestamp', () => '1531420619')],
    'Slack: two times': [
      'DuplicateCredential',
      { ...SLACK, headers: [...SLACK.headers, ['x-slack-request-timestamp', '1531420618']] },
    ],
    'Standard Webhooks: several, separated by spaces': [
      'valid',
      alter(STANDARD, STANDARD_HEADER, value => `v1,${'A'.repeat(43)}= ${value} v1a,xyz`),
    ],
    'Standard Webhooks: another version of the right one': [
      'SignatureInvalid',
      alter(STANDARD, STANDARD_HEADER, value => value.replace('v1,', 'v1a,')),
    ],
    'Standard Webhooks: another id': ['SignatureInvalid', alter(STANDARD, 'webhook-id', () => 'msg_other')],
    'Standard Webhooks: no id': ['SignatureInvalid', { ...STANDARD, headers: STANDARD.headers.slice(1) }],
    'Standard Webhooks: the key without its prefix': [
      'valid',
      { ...STANDARD, keys: ['MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'] },
    ],
    'Standard Webhooks: a key that is no Base64': ['KeysUnavailable', { ...STANDARD, keys: ['whsec_*'] }],
  };
  for (const [what, [told, message]] of Object.entries(cases))
    test(`${what}: ${told}`, () => assert.equal(verify(message), told));
});

suite('P10: the general form', () => {
  const base = { now: 1_700_000_000, body: '{"a":1}' };
  const mac = (algorithm: string, key: string | Buffer, text: string) =>
    createHmac(algorithm, key).update(text).digest();
  const cases: Readonly<Record<string, Message>> = {
    'the body in hex': {
      ...base,
      spec: { header: 'X-Signature' },
      keys: ['k'],
      headers: [['X-Signature', mac('sha256', 'k', base.body).toString('hex')]],
    },
    'time and body, Base64, SHA-512, a key in hex': {
      ...base,
      spec: {
        header: 'X-Sig',
        prefix: 'v1:',
        encoding: 'Base64',
        algorithm: 'SHA512',
        keyEncoding: 'Hex',
        payload: '${timestamp}.${body}',
        timestampHeader: 'X-Time',
      },
      keys: ['00ff10'],
      headers: [
        ['X-Time', '1700000000'],
        ['X-Sig', `v1:${mac('sha512', Buffer.from('00ff10', 'hex'), `1700000000.${base.body}`).toString('base64')}`],
      ],
    },
    'id, literals and SHA-1, a key in Base64': {
      ...base,
      spec: {
        header: 'X-Sig',
        algorithm: 'SHA1',
        keyEncoding: 'Base64',
        payload: '$${x}:${id}:$:${body}',
        idHeader: 'X-Id',
      },
      keys: ['AAECAw=='],
      headers: [
        ['X-Id', 'ü'],
        [
          'X-Sig',
          createHmac('sha1', Buffer.from([0, 1, 2, 3]))
            .update('${x}:')
            .update('ü', 'latin1')
            .update(`:$:${base.body}`)
            .digest('hex'),
        ],
      ],
    },
    'a body that is not text': {
      ...base,
      body: '\u0000\ud83d\ude00',
      spec: { header: 'X-Signature', payload: '${body}' },
      keys: ['schlüssel'],
      headers: [['X-Signature', mac('sha256', 'schlüssel', '\u0000\ud83d\ude00').toString('hex')]],
    },
    'no body': {
      ...base,
      body: '',
      spec: { header: 'X-S' },
      keys: ['k'],
      headers: [['X-S', mac('sha256', 'k', '').toString('hex')]],
    },
  };
  for (const [what, message] of Object.entries(cases)) {
    test(what, () => {
      assert.equal(verify(message), 'valid');
      assert.equal(verify({ ...message, body: `${message.body}.` }), 'SignatureInvalid');
    });
  }
});

const macOf = (text: string, key: string | Buffer = 'k'): Buffer => createHmac('sha256', key).update(text).digest();
const general = (
  payload: string,
  headers: Readonly<Record<string, string>>,
  body: string,
  signed: string,
): Message => ({
  spec: {
    header: 'X-Sig',
    payload,
    ...(payload.includes('${timestamp}') ? { timestampHeader: 'X-Ts' } : {}),
    ...(payload.includes('${id}') ? { idHeader: 'X-Id' } : {}),
  },
  keys: ['k'],
  headers: [...Object.entries(headers), ['X-Sig', macOf(signed).toString('hex')]],
  body,
  now: 1_700_000_000,
});
const standard = (id: string, time: string, body: string, signed: string): Message => ({
  ...STANDARD,
  headers: [
    ['webhook-id', id],
    ['webhook-timestamp', time],
    [
      'webhook-signature',
      `v1,${macOf(signed, Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64')).toString('base64')}`,
    ],
  ],
  body,
});

suite('P10: one signature is good for one message', () => {
  const now = '1700000000';
  const [dotted, mine] = ['${timestamp}.${id}.${body}', `${now}.id2.x.payload`];
  const trailing = `payload.${now}`;
  const old = `m4.1514265330.1614265330.payload`;
  const cases: Readonly<Record<string, readonly [told: string, message: Message]>> = {
    'the time behind the body, a literal between them': [
      'valid',
      general('${body}.${timestamp}', { 'X-Ts': now }, 'payload', trailing),
    ],
    'a body with that literal': ['valid', general('${body}.${timestamp}', { 'X-Ts': now }, 'a.1.2', `a.1.2.${now}`)],
    'leading zeros of the time': [
      'SignatureInvalid',
      general('${body}.${timestamp}', { 'X-Ts': `00${now}` }, 'payload', `payload.00${now}`),
    ],
    'the very id that was signed': ['valid', general(dotted, { 'X-Ts': now, 'X-Id': 'id2' }, 'x.payload', mine)],
    'an id that takes in a part of the body': [
      'SignatureInvalid',
      general(dotted, { 'X-Ts': now, 'X-Id': 'id2.x' }, 'payload', mine),
    ],
    'an id behind the body that takes in a part of it': [
      'SignatureInvalid',
      general('${body}.${id}', { 'X-Id': 'b.id' }, 'a', 'a.b.id'),
    ],
    'an id whose end overlaps a longer literal': [
      'SignatureInvalid',
      general('${id}aa${body}', { 'X-Id': 'xa' }, 'b', 'xaaab'),
    ],
    'an id with the bytes of a literal beyond ASCII': [
      'SignatureInvalid',
      general('${id}ü${body}', { 'X-Id': 'x\u00c3\u00bcy' }, 'b', 'xüyüb'),
    ],
    'an id may hold another literal': [
      'valid',
      general('${id}:${timestamp}.${body}', { 'X-Ts': now, 'X-Id': 'a.b' }, 'b', `a.b:${now}.b`),
    ],
    'Standard Webhooks: what was signed': ['valid', standard('m4', '1614265330', 'a.b', 'm4.1614265330.a.b')],
    'Standard Webhooks: an expired time hides in the id': [
      'SignatureInvalid',
      standard('m4.1514265330', '1614265330', 'payload', old),
    ],
    'Stripe: leading zeros of the time': [
      'SignatureInvalid',
      alter(STRIPE, STRIPE_HEADER, value => value.replace('t=', 't=0')),
    ],
  };
  for (const [what, [told, message]] of Object.entries(cases))
    test(`${what}: ${told}`, () => assert.equal(verify(message), told));

  const refused: Readonly<Record<string, RegExp>> = {
    '${body}${timestamp}':
      /^payload: holds \$\{body\}\$\{timestamp\}: .* put a literal between them, such as \$\{body\}\.\$\{timestamp\}/,
    '${id}${body}': /^payload: holds \$\{id\}\$\{body\}: /,
    '${timestamp}${id}.${body}': /^payload: holds \$\{timestamp\}\$\{id\}: /,
    '${body}.${id}${timestamp}': /^payload: holds \$\{id\}\$\{timestamp\}: /,
    '${timestamp}0:${body}': /^payload: has a digit beside \$\{timestamp\}: /,
    '${body}:1${timestamp}': /^payload: has a digit beside \$\{timestamp\}: /,
    '${id}.${id}.${body}': /^payload: holds \$\{id\} twice, write it once$/,
  };
  for (const [payload, told] of Object.entries(refused)) {
    test(`${payload} is refused at load`, () => {
      const violations: Violation[] = [];
      const scene = { object: '', clusterScoped: false, violations, locate: undefined };
      const { spec } = general(payload, {}, '', '');
      parseValue(hmacSignatureStep, { ...spec, keys: [{ secretKeyRef: { name: 'k', key: 'k' } }] }, '', scene);
      assert.equal(violations.length, 1);
      assert.match(violations.map(({ field, problem, fix }) => `${field}: ${problem}, ${fix}`).join(), told);
    });
  }

  test('the signed texts of two messages differ, whatever their parts', () => {
    const payloads = [
      dotted,
      '${body}.${timestamp}',
      '${id}ab${body}',
      '${timestamp}-${body}ba${id}',
      'a${id}::${body}',
    ];
    const part = fc.string({ unit: fc.constantFrom('a', 'b', '.', ':', '1'), maxLength: 5 });
    const time = fc.integer({ min: 1, max: 200 }).map(String);
    const message = fc.record({ id: part.filter(text => text !== ''), time, body: part });
    fc.assert(
      fc.property(fc.constantFrom(...payloads), message, message, (payload, one, other) => {
        const parts = parsePayload(payload);
        assert.ok(typeof parts !== 'string');
        const bound = findIdBound(parts);
        const read = ({ id, time: at, body }: typeof one) => {
          const values = { id, timestamp: at, body };
          const used = parts.filter(each => typeof each !== 'string').map(({ hole }) => values[hole]);
          const text = parts.map(each => (typeof each === 'string' ? each : values[each.hole])).join('');
          return { used, text, good: bound === undefined || keepsBound(id, bound) };
        };
        const [a, b] = [read(one), read(other)];
        if (a.good && b.good && a.text === b.text) assert.deepEqual(a.used, b.used);
      }),
      { numRuns: 200 },
    );
  });
});

suite('P10: replays', () => {
  test('are remembered for twice the tolerance, per step', () => {
    const remembered = replays();
    const once = { ...GITHUB, memory: 'one' };
    const at = (seconds: number, memory = 'one') => verify({ ...once, memory, now: GITHUB.now + seconds }, remembered);
    assert.deepEqual(
      [at(0), at(0), at(599), at(0, 'two'), at(600), at(601)],
      ['valid', 'SignatureReplayed', 'SignatureReplayed', 'valid', 'valid', 'SignatureReplayed'],
    );
  });
  test('another writing of the same signature is the same message', () => {
    const remembered = replays();
    assert.equal(verify({ ...GITHUB, memory: 'one' }, remembered), 'valid');
    const upper = alter(GITHUB, 'X-Hub-Signature-256', value =>
      value.replace(/[a-f]+(?=.{0,60}$)/g, digits => digits.toUpperCase()),
    );
    assert.equal(verify({ ...upper, memory: 'one' }, remembered), 'SignatureReplayed');
  });
  test('a message that is refused is not remembered', () => {
    const remembered = replays();
    assert.equal(verify({ ...GITHUB, keys: ['other'], memory: 'one' }, remembered), 'SignatureInvalid');
    assert.equal(verify({ ...GITHUB, memory: 'one' }, remembered), 'valid');
  });
  test('are forgotten with their step', () => {
    const remembered = replays();
    verify({ ...GITHUB, memory: 'one' }, remembered);
    remembered.keep(new Set(['two']));
    assert.equal(verify({ ...GITHUB, memory: 'one' }, remembered), 'valid');
  });
});

suite('M7: an open stream', () => {
  const step = compile({ preset: 'GitHub' }, 2);
  const asked = { type: 'signature', step, again: true, signatures: [], timestamp: '', id: '' } as const;
  const proofs = new Set<string>();
  const signatures = createSignatures(keysOf(['old', 'new']), replays());
  const stated = { signatures: [createHmac('sha256', 'old').update('x').digest('hex')], timestamp: '', id: '' };
  assert.equal(signatures.verify({ ...asked, ...stated, again: false }, bytes('x'), 0, proofs).state, 'valid');
  const again = (keys: readonly (string | undefined)[]): string => {
    const answer = createSignatures(keysOf(keys), replays()).verifyAgain(asked, proofs);
    return answer.state === 'valid' ? 'valid' : answer.reason;
  };
  test('holds as long as the key by which it was verified is there', () => {
    assert.deepEqual([again(['old', 'new']), again(['new', 'old'])], ['valid', 'valid']);
  });
  test('ends with that key', () => assert.equal(again(['new', 'newer']), 'SignatureInvalid'));
  test('cannot be decided while a key is missing', () => assert.equal(again(['new', undefined]), 'KeysUnavailable'));
});

test('keys are read as they are written, and nothing else passes for one', () => {
  const read = (text: string, encoding: 'Text' | 'Hex' | 'Base64' | 'WebhookSecret') => {
    const key = readSharedKey(bytes(text), encoding);
    return typeof key === 'string' ? key : key.key.export().toString('hex');
  };
  assert.deepEqual(
    [
      read(' k\r\n', 'Text'),
      read('k\n\n', 'Text'),
      read('0aFF\n', 'Hex'),
      read('Cv8=', 'Base64'),
      read('Cv8', 'Base64'),
      read('whsec_Cv8=', 'WebhookSecret'),
    ],
    ['206b', '6b0a', '0aff', '0aff', '0aff', '0aff'],
  );
  assert.deepEqual(
    [
      read('', 'Text'),
      read('\n', 'Text'),
      read('whsec_', 'WebhookSecret'),
      read('abc', 'Hex'),
      read('xx', 'Hex'),
      read('Cv8=x', 'Base64'),
      read('C', 'Base64'),
      read('Cv-_', 'Base64'),
    ],
    ['EMPTY', 'EMPTY', 'EMPTY', 'NOT_HEX', 'NOT_HEX', 'NOT_BASE64', 'NOT_BASE64', 'NOT_BASE64'],
  );
});

test('whatever stands in the header, nothing throws and nothing passes', () => {
  const value = fc.oneof(
    fc.string({ unit: 'binary-ascii' }),
    fc.stringMatching(/^(t=\d{0,4}|v1[=,]|sha256=|[0-9a-f=, ]){0,40}$/),
  );
  fc.assert(
    fc.property(value, fc.constantFrom(...Object.values(VENDORS)), (text, message) => {
      const headers = message.headers.map(([name, old]): [string, string] => [
        name,
        /[0-9a-f]{64}|=$/.test(old) ? text : old,
      ]);
      assert.notEqual(verify({ ...message, headers }), 'valid');
    }),
    { numRuns: 200 },
  );
});
