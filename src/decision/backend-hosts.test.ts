import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { createBackendHosts, mayNameBackend } from './backend-hosts.ts';
import { evaluateResponse, REWRITTEN_HEADERS } from './response.ts';
import { fields, judgeNow, literal, permitOf, responseStep, route, step } from './testing/fakes.ts';

/** What an Api with `app.url: http://back.internal:37503/base` knows its app by. */
const DEFAULT = [
  'back.internal:37503',
  'localhost:8080',
  '127.0.0.1:8080',
  'back.internal',
  'localhost',
  '127.0.0.1',
] as const;
const TO = 'https://pub.example';
const hosts = createBackendHosts(DEFAULT, TO);
const written = createBackendHosts(['http://back.internal:37503'], TO);

type Table = Record<string, readonly [string, string]>;
const check = (rewrite: (value: string) => string, table: Table): void => {
  for (const [name, [told, expected]] of Object.entries(table)) {
    test(name, () => assert.equal(rewrite(told), expected));
  }
};

suite('a URL that names the back end', () => {
  check(hosts.url, {
    'with its port': ['http://back.internal:37503/x', 'https://pub.example/x'],
    'without its port': ['http://back.internal/x', 'https://pub.example/x'],
    'with another port': ['http://back.internal:1/x', 'https://pub.example/x'],
    'with an empty port': ['http://back.internal:/x', 'https://pub.example/x'],
    'with zeros before the port': ['http://back.internal:037503', 'https://pub.example'],
    'with its host percent-encoded': ['http://back%2Einternal:37503/x%2E', 'https://pub.example/x%2E'],
    'with each letter percent-encoded': ['//%62%61ck%2einterna%6C/x', 'https://pub.example/x'],
    'with a user': ['http://user:secret@back.internal:37503/x', 'https://pub.example/x'],
    'with the dot of the root': ['http://back.internal.:37503/x', 'https://pub.example/x'],
    'with the dot of the root and no port': ['http://back.internal./x', 'https://pub.example/x'],
    'with a user, percent-encoded': ['/?next=http%3A%2F%2Fuser%40back.internal', '/?next=https%3A%2F%2Fpub.example'],
    'with backslashes': ['http:\\\\back.internal:37503\\x', 'https://pub.example\\x'],
    'with three slashes': ['http:///back.internal/x', 'https://pub.example/x'],
    'without a scheme': ['//back.internal:37503/x', 'https://pub.example/x'],
    'in another case': ['HTTPS://BACK.Internal', 'https://pub.example'],
    'within a query': ['/login?next=http://back.internal:37503/x', '/login?next=https://pub.example/x'],
    'within a query, percent-encoded': [
      '/login?next=http%3A%2F%2Fback.internal%3A37503%2Fx',
      '/login?next=https%3A%2F%2Fpub.example%2Fx',
    ],
    'within a query, without a scheme': ['/?next=%2f%2fback.internal%2fx', '/?next=%2f%2fpub.example%2fx'],
    'within a query, percent-encoded twice': [
      '/?next=http%253A%252F%252Fback.internal%253A37503%252Fx',
      '/?next=https%253A%252F%252Fpub.example%252Fx',
    ],
    'as a host in a query': ['/?host=back.internal&x=1', '/?host=pub.example&x=1'],
    'by localhost': ['http://localhost/x', 'https://pub.example/x'],
    'by an address': ['http://127.0.0.1:8080/x', 'https://pub.example/x'],
  });
});

suite('a URL that does not name the back end stays', () => {
  const same: Record<string, string> = {
    'a longer name before': 'http://notback.internal/x',
    'a hyphen before': 'http://not-back.internal/x',
    'a longer name after': 'http://back.internal.example/x',
    'a longer last label': 'http://back.internals/x',
    'a host below it': 'http://sub.back.internal/x',
    'a relative reference': '/x/y?z',
    'it is the user of another host': 'http://back@pub.example/x',
    'a native app that waits for its code (RFC 8252)': 'http://127.0.0.1:51004/callback?code=x',
    'another port of localhost': 'http://localhost:51004/',
  };
  for (const [name, value] of Object.entries(same)) test(name, () => assert.equal(hosts.url(value), value));
  test('another port than the one that is written', () => {
    for (const value of ['http://back.internal/x', 'http://back.internal:3750/', 'http://back.internal:375033/']) {
      assert.equal(written.url(value), value);
    }
  });
});

suite('an origin that is written with a scheme', () => {
  check(written.url, {
    'stands for every scheme': ['https://back.internal:37503/x', 'https://pub.example/x'],
    'stands for none': ['//back.internal:37503/x', 'https://pub.example/x'],
  });
  check(written.text, {
    'stands for its authority': ['back.internal:37503', 'pub.example'],
    'is found with the escaped slashes of JSON': [
      '{"u":"http:\\/\\/back.internal:37503\\/x"}',
      '{"u":"https:\\/\\/pub.example\\/x"}',
    ],
  });
});

suite('a body that names the back end', () => {
  check(hosts.text, {
    'without a port': ['{"u":"back.internal"}', '{"u":"pub.example"}'],
    'in another case': ['"BACK.INTERNAL:37503"', '"pub.example"'],
    'after an escaped line break': ['"a\\nback.internal\\n"', '"a\\npub.example\\n"'],
    'after an escaped quote': ['\\u0022back.internal\\u0022', '\\u0022pub.example\\u0022'],
    'with slashes as JSON may escape them': ['"http:\\u002f\\u002fback.internal"', '"https://pub.example"'],
    'at the end of a sentence': ['Ask back.internal.', 'Ask pub.example.'],
    'before a colon': ['back.internal: down', 'pub.example: down'],
    'by another scheme': ['ws://back.internal:37503/x', 'ws://pub.example/x'],
    'in HTML': ['<a href="//back.internal/x">', '<a href="//pub.example/x">'],
    'in HTML, with entities': ['&#47;&#47;back.internal&#47;', '&#47;&#47;pub.example&#47;'],
    'by localhost with its port': ['see localhost:8080', 'see pub.example'],
    'by localhost in a URL': ['http://localhost/', 'https://pub.example/'],
    'in a list for all hosts below': ['*.back.internal', '*.pub.example'],
  });
  const same = [
    'notback.internal back.internal.example sub.back.internal',
    'runs on localhost, version 127.0.0.1 of nothing',
    'localhost:80801 127.0.0.1:80',
    '%41back.internal %2Dback.internal',
  ];
  for (const value of same) test(`stays: ${value}`, () => assert.equal(hosts.text(value), value));

  test('has relative references where the client named no host', () => {
    const nowhere = createBackendHosts(DEFAULT, '');
    assert.equal(nowhere.url('http://back.internal/x'), '/x');
    assert.equal(nowhere.text('"//back.internal/x" "back.internal"'), '"/x" ""');
  });
  test('gets a port in the form that the place has', () => {
    const { text } = createBackendHosts(DEFAULT, 'https://pub.example:18443');
    assert.equal(text('http%3A%2F%2Fback.internal'), 'https%3A%2F%2Fpub.example%3A18443');
    assert.equal(text('http:\\/\\/back.internal back.internal'), 'https:\\/\\/pub.example:18443 pub.example:18443');
  });
});

suite('a cookie’s domain', () => {
  check(hosts.cookie, {
    'in quotes': ['a=b; Domain="back.internal"; Path=/', 'a=b; Domain=pub.example; Path=/'],
    'in quotes with a dot': ['a=b; domain=".back.internal"', 'a=b; Domain=pub.example'],
    'with the dot of the root': ['a=b; domain=back.internal.', 'a=b; Domain=pub.example'],
    'wider, in quotes': ['a=b; Domain="internal"; Secure', 'a=b; Secure'],
    'of others stays as it is': ['a=b; Domain="notback.internal"', 'a=b; Domain="notback.internal"'],
    'empty stays as it is': ['a=b; Domain=; Secure', 'a=b; Domain=; Secure'],
  });
});

suite('whatever the text', () => {
  const word = fc.stringMatching(/^[a-z0-9-]{1,6}$/);
  const text = fc.array(
    fc.oneof(
      fc.constantFrom('http://', '//', '\\/\\/', '%2F%2F', '@', '.', ':', '/', ' ', '"', '%', '\\', '-', '37503'),
      fc.constantFrom(...DEFAULT, 'BACK.internal', 'back', 'internal'),
      word,
    ),
    { maxLength: 12 },
  );

  test('a second time changes nothing', () => {
    fc.assert(
      fc.property(text, parts => {
        const once = hosts.text(parts.join(''));
        assert.equal(hosts.text(once), once);
      }),
    );
  });
  test('what stands around a name of its own stays', () => {
    fc.assert(
      fc.property(word, word, fc.constantFrom('"', ' ', '&', '(', '='), (before, after, sign) => {
        fc.pre(!mayNameBackend(DEFAULT, before + after));
        const around = (name: string): string => `${before}${sign}${name}${sign}${after}`;
        assert.equal(hosts.text(around('back.internal:37503')), around('pub.example'));
        assert.equal(hosts.text(`${before}back.internal`), `${before}back.internal`);
        assert.equal(hosts.text(`back.internal.${after}`), `back.internal.${after}`);
      }),
    );
  });
  test('a text that changes may name the back end, for any client', () => {
    fc.assert(
      fc.property(text, parts => {
        const value = parts.join('');
        assert.ok(hosts.text(value) === value || mayNameBackend(DEFAULT, value));
      }),
    );
  });
});

suite('headers in which hosts are rewritten', () => {
  const hide = responseStep({
    type: 'hideBackend',
    hideBackend: {
      removeHeaders: [],
      keepHeaders: [],
      removes: () => false,
      from: DEFAULT,
      to: literal(TO),
      errorBodies: 'Keep',
    },
  });
  const open = step({ type: 'anyOf', alternatives: [{ type: 'anonymous' }] });
  const after = (name: string, value: string): readonly string[] => {
    const permit = permitOf(judgeNow(route([open], { response: { steps: [hide], dynamic: true } })));
    const edits = evaluateResponse(permit, { status: 200, headers: fields([[name, value]]) });
    assert.ok(typeof edits !== 'string');
    return edits.headers.get(name.toLowerCase())?.values ?? [value];
  };
  const U = 'http://back.internal:37503/x';
  const P = 'https://pub.example/x';
  const table: [string, string, readonly string[]][] = [
    ['Content-Security-Policy', `default-src 'self' ${U} back.internal`, [`default-src 'self' ${P} pub.example`]],
    ['Content-Security-Policy-Report-Only', `report-uri ${U}`, [`report-uri ${P}`]],
    ['Link', `<${U}>; rel=x; anchor="${U}"`, [`<${P}>; rel=x; anchor="${P}"`]],
    ['Report-To', `{"endpoints":[{"url":"${U}"}]}`, [`{"endpoints":[{"url":"${P}"}]}`]],
    ['Reporting-Endpoints', `a="${U}"`, [`a="${P}"`]],
    ['Access-Control-Allow-Origin', 'http://back.internal:37503', ['https://pub.example']],
    ['SourceMap', U, [P]],
    ['X-SourceMap', U, [P]],
    ['URI', U, [P]],
    ['Content-Base', U, [P]],
    ['Alt-Svc', 'h2="back.internal:37503"; ma=60', []],
    ['Alt-Svc', 'h3=":443"', ['h3=":443"']],
    ['X-Other', U, [U]],
  ];
  for (const [name, told, expected] of table) {
    test(`${name}: ${told}`, () => assert.deepEqual(after(name, told), expected));
  }
  test('are known by name, so that no answer is remembered with another client’s host', () => {
    for (const [name, told, expected] of table) {
      const changes = expected[0] !== told;
      assert.equal(changes && !REWRITTEN_HEADERS.has(name.toLowerCase()), false, name);
    }
  });
});
