import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { canonicalPath } from './path.ts';

const AMBIGUOUS = 'AmbiguousPath';
const MALFORMED = 'MalformedRequest';

const ACCEPTED: Record<string, [given: string, canonical: string]> = {
  root: ['/', '/'],
  'a plain path': ['/devices/42/telemetry', '/devices/42/telemetry'],
  'a trailing slash': ['/a/', '/a/'],
  'every character that needs no escape': ["/-._~!$&'()*+,=:@", "/-._~!$&'()*+,=:@"],
  'case of the path': ['/Admin', '/Admin'],
  'dots that are no dot segment': ['/...', '/...'],
  'a hidden file': ['/.well-known/x', '/.well-known/x'],
  'a dot at the end of a segment': ['/a./b..', '/a./b..'],
  'a dot segment': ['/a/./b', '/a/b'],
  'a dot segment at the end': ['/a/.', '/a/'],
  'a dot segment at the start': ['/./a', '/a'],
  'only a dot segment': ['/.', '/'],
  'a double dot segment': ['/a/../b', '/b'],
  'a double dot segment at the end': ['/a/b/..', '/a/'],
  'up to the root': ['/a/..', '/'],
  'several double dot segments': ['/a/b/../../c', '/c'],
  'mixed dot segments': ['/a/./b/.././c', '/a/c'],
  'escaped dots': ['/a/%2e/b', '/a/b'],
  'escaped double dots': ['/a/%2e%2e/b', '/b'],
  'half escaped double dots': ['/a/.%2E/b', '/b'],
  'half escaped double dots the other way round': ['/a/%2E./b', '/b'],
  'escaped letters': ['/%61dmin', '/admin'],
  'escaped digits and marks': ['/%30%2D%5F%7E', '/0-_~'],
  'lower-case hex': ['/%c3%a9', '/%C3%A9'],
  'an escaped space': ['/a%20b', '/a%20b'],
  'an escaped question mark and hash': ['/what%3f%23', '/what%3F%23'],
  'an escaped plus, which is not a plus everywhere': ['/a%2bb', '/a%2Bb'],
  'an escaped percent sign at the end': ['/100%25', '/100%25'],
  'an escaped percent sign before no escape': ['/100%25-off', '/100%25-off'],
  'the longest UTF-8 character': ['/%f4%8f%bf%bf', '/%F4%8F%BF%BF'],
  'visible characters that a path does not hold': ['/a|b"c<d>[e]^`{f}', '/a%7Cb%22c%3Cd%3E%5Be%5D%5E%60%7Bf%7D'],
};

suite('canonical form of', () => {
  for (const [sentence, [given, canonical]] of Object.entries(ACCEPTED)) {
    test(sentence, () => {
      assert.deepEqual(canonicalPath(given), { path: canonical });
      assert.deepEqual(canonicalPath(canonical), { path: canonical }, 'is its own');
    });
  }
});

const REFUSED: Record<string, [reason: string, ...paths: string[]]> = {
  'an empty path': [MALFORMED, ''],
  'no slash in front': [MALFORMED, 'a', '*', '?', '%2fa', 'http://a/', '\\a'],
  'a control character': [MALFORMED, '/\0', '/\t', '/a\r\n', '/\x1f', '/\x7f'],
  'a space': [MALFORMED, '/a b'],
  'a byte from 0x80': [MALFORMED, '/\x80', '/caf\xe9', '/\xc0\xaf'],
  'a character above one byte': [MALFORMED, '/\u0100', '/\u{1f600}'],
  'a broken escape': [MALFORMED, '/%', '/%2', '/%zz', '/%u002f', '/%2g', '/a%', '/% 2f', '/%0x2f'],
  'an escaped slash': [AMBIGUOUS, '/a%2fb', '/a%2Fb', '/..%2fadmin', '/a%2f..%2fb', '/%2f'],
  'a backslash': [AMBIGUOUS, '/a\\b', '/..\\admin', '/\\..\\'],
  'an escaped backslash': [AMBIGUOUS, '/a%5cb', '/a%5Cb', '/..%5c'],
  'an escaped NUL': [AMBIGUOUS, '/%00', '/admin%00', '/a%00.html'],
  'an escaped control character': [AMBIGUOUS, '/%0d%0a', '/%09', '/%1b', '/%7f', '/%c2%80', '/%c2%9f'],
  'an empty segment': [AMBIGUOUS, '//', '//a', '/a//b', '/a//', '/a/.//b', '///', '/a/..//b'],
  'an empty segment seen after decoding': [AMBIGUOUS, '/a/%2e//b', '//%61'],
  'a path parameter': [AMBIGUOUS, '/a;x=y', '/a;/b', '/;', '/..;/admin', '/a/.;/b', '/a/..;x=y/b'],
  'an escaped semicolon': [AMBIGUOUS, '/a%3bx=y', '/..%3B/admin'],
  'a fragment': [AMBIGUOUS, '/admin#', '/a#b', '/#/../admin'],
  'a climb above the root': [
    AMBIGUOUS,
    '/..',
    '/../',
    '/../admin',
    '/a/../../b',
    '/%2e%2e/b',
    '/./..',
    '/a/b/../../..',
  ],
  'a double escape': [AMBIGUOUS, '/%252e%252e/', '/%252f', '/%25%32%66', '/%255c', '/%2541', '/%25252f', '/%25u002f'],
  'an overlong slash': [AMBIGUOUS, '/%c0%af', '/%e0%80%af', '/%f0%80%80%af', '/%c1%9c', '/%c0%ae%c0%ae/'],
  'a broken UTF-8 sequence': [AMBIGUOUS, '/%80', '/%ff', '/%fe', '/%c3', '/%c3a', '/%c3%28', '/%e2%82', '/%e2%28%a1'],
  'a UTF-8 sequence half escaped': [AMBIGUOUS, '/%c3\xa9', '/%e2%82x'],
  'a surrogate': [AMBIGUOUS, '/%ed%a0%80', '/%ed%bf%bf'],
  'a code point above U+10FFFF': [AMBIGUOUS, '/%f4%90%80%80', '/%f5%80%80%80', '/%f8%88%80%80%80'],
};

suite('refused path:', () => {
  for (const [sentence, [reason, ...paths]] of Object.entries(REFUSED)) {
    test(`${sentence} → ${reason}`, () => {
      for (const path of paths) assert.deepEqual(canonicalPath(path), { reason }, JSON.stringify(path));
    });
  }
});

/**
 * After Istio's normalisation matrix: ways to write the path of a protected resource. Each is either the protected path
 * itself, so that its policy is found, or refused; none is a third path that a back end might still resolve to it.
 */
test('no spelling of a protected path is another path', () => {
  const slashes = [
    '/',
    '//',
    '/./',
    '/%2e/',
    '/x/../',
    '/x/%2e%2E/',
    '/x/.%2e/',
    '/..;/',
    '/;/',
    '/%2f',
    '%2f',
    '\\',
    '/\\',
    '%5c',
    '/x/..;/',
    '/x;a/../',
  ];
  const names = [
    'admin',
    '%61dmin',
    'admi%6e',
    '%61%64%6D%69%6e',
    '%2561dmin',
    'admin;x',
    'admin%00',
    'admin%3bx',
    '\u0430dmin',
    'admin#',
    '%c1%a1dmin',
  ];
  const tails = [
    '/key',
    '//key',
    '/./key',
    '/key/.',
    '/key/',
    '/x/../key',
    '%2fkey',
    '/%6bey',
    '/key;',
    '/key#',
    '/key%00',
    '\\key',
  ];
  for (const slash of slashes) {
    for (const name of names) {
      for (const tail of tails) {
        const given = slash + name + tail;
        const { path } = canonicalPath(given.startsWith('/') ? given : `/x${given}`);
        const isProtected = path === '/admin/key' || path === '/admin/key/';
        assert.ok(path === undefined || isProtected, `${given} became ${path}`);
      }
    }
  }
});
