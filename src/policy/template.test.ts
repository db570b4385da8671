import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { createEnvironment, type Shape } from './cel-environment.ts';
import { percentDecode, percentEncode } from './encoding.ts';
import { ExpressionError } from './expression.ts';
import { compileDictionary, compilePairs, compileTemplate, type CompiledTemplate, type TextPlace } from './template.ts';
import type { Problem } from './cel-inspect.ts';

const environment = createEnvironment(
  new Map<string, Shape>([
    [
      'v',
      new Map([
        ['s', 'string'],
        ['n', 'int'],
        ['b', 'bool'],
      ]),
    ],
    ['d', 'map<string, dyn>'],
    ['l', 'list<string>'],
  ]),
);
const bindings = (s: string): Record<string, unknown> => ({ v: { s, n: 7n, b: true }, d: { x: 1.5, y: 2n }, l: ['a'] });

function accept(compiled: CompiledTemplate | Problem): CompiledTemplate {
  return 'problem' in compiled ? assert.fail(compiled.problem) : compiled;
}

const render = (source: string, place: TextPlace, s = 'a b/ü'): string =>
  accept(compileTemplate(source, place, environment)).render(bindings(s));

describe('E9: templates', () => {
  const texts: Readonly<Record<string, string>> = {
    'plain text': 'plain text',
    'x-${v.s}-y': 'x-a b/ü-y',
    '${v.s}${v.n}${v.b}': 'a b/ü7true',
    '$${v.s}': '${v.s}',
    'a$b $$ {c}': 'a$b $$ {c}',
    '$${a} ${v.n}': '${a} 7',
    "${'}' + v.s}": '}a b/ü',
    '${"{" + \'"\' + v.s}': '{"a b/ü',
    "${{'k': v.n}['k']}": '7',
    "${'''}'''}": '}',
    "${r'\\d'}": '\\d',
    "${'\\''}": "'",
    '${d.y}': '2',
    '': '',
  };
  for (const [source, expected] of Object.entries(texts)) {
    test(JSON.stringify(source), () => assert.equal(render(source, 'text'), expected));
  }

  const refusals: Readonly<Record<string, string>> = {
    'x ${v.s': 'holds a ${ without its }, close it, or write $${ for a literal ${',
    "x ${'}": 'holds a ${ without its }, close it, or write $${ for a literal ${',
    'x ${v.z}': 'in ${…} reads v.z, which does not exist here, use one of s, n and b',
    'x ${l}':
      'in ${…} holds a value of type list, but only string, int and bool may stand in a template, convert it with string(…) or join(…)',
    'x ${}': 'in ${…} is empty, write an expression',
  };
  for (const [source, expected] of Object.entries(refusals)) {
    test(`refused: ${source}`, () => {
      const compiled = compileTemplate(source, 'text', environment);
      assert.ok('problem' in compiled);
      assert.equal(`${compiled.problem}, ${compiled.fix}`.replace('list<string>', 'list'), expected);
    });
  }

  test('a template without holes is literal and reads nothing', () => {
    const template = accept(compileTemplate('x $${y}', 'header', environment));
    assert.equal(template.literal, 'x ${y}');
    assert.equal(template.reads.size, 0);
  });

  test('a template with holes is not literal and says what it reads', () => {
    const template = accept(compileTemplate('${v.s}${d.y}', 'text', environment));
    assert.equal(template.literal, undefined);
    assert.deepEqual([...template.reads].sort(), ['d', 'v']);
  });

  test('query and path encode all but unreserved characters', () => {
    assert.equal(render('q=${v.s}', 'query', "a b&c=d/é!'()*~-._"), 'q=a%20b%26c%3Dd%2F%C3%A9%21%27%28%29%2A~-._');
    assert.equal(render('https://h/x/${v.s}/y', 'path', '../a?b#c'), 'https://h/x/..%2Fa%3Fb%23c/y');
  });

  test('a path value that makes a dot segment is refused', () => {
    assert.throws(() => render('https://h/x/${v.s}/y', 'path', '..'), ExpressionError);
    assert.throws(() => render('https://h/x/.${v.s}', 'path', '.'), ExpressionError);
    assert.equal(render('https://h/x/${v.s}', 'path', '...'), 'https://h/x/...');
  });

  for (const place of ['text', 'header', 'query', 'path'] as const) {
    test(`control characters are refused in ${place}`, () => {
      for (const bad of ['a\r\nb', 'a\u0000', '\u007f', '\u0085', 'a\u2028b', '\ud800']) {
        assert.throws(() => render('${v.s}', place, bad), ExpressionError, JSON.stringify(bad));
      }
    });
  }

  test('a header takes visible ASCII only', () => {
    assert.equal(render('Bearer ${v.s}', 'header', 'a b'), 'Bearer a b');
    assert.throws(() => render('${v.s}', 'header', 'ü'), ExpressionError);
    assert.ok('problem' in compileTemplate('grün', 'header', environment));
    assert.ok('problem' in compileTemplate('a\r\nb', 'header', environment));
  });

  test('a fraction, a list and a text that is too long are refused when rendered', () => {
    assert.throws(() => render('${d.x}', 'text'), ExpressionError);
    assert.throws(() => render('${v.s}', 'header', 'a'.repeat(20_000)), ExpressionError);
  });
});

describe('E9: pairs', () => {
  test('are in the keys’ byte order, percent-encoded, with a trailing semicolon', () => {
    const template = accept(compilePairs({ b: '${v.s}', Z: 'x;y', a: 'lit=${v.n}' }, environment));
    assert.equal(template.render(bindings('p;q=r')), 'Z=x%3By;a=lit%3D7;b=p%3Bq%3Dr;');
  });

  test('a client’s value cannot add a pair', () => {
    fc.assert(
      fc.property(fc.string(), value => {
        const template = accept(compilePairs({ id: '${v.s}' }, environment));
        try {
          assert.match(template.render(bindings(value)), /^id=[^;=\s]*;$/);
        } catch (error) {
          assert.ok(error instanceof ExpressionError);
        }
      }),
    );
  });

  test('keys that would break the form are refused', () => {
    for (const key of ['a=b', 'a;b', 'a b', '']) assert.ok('problem' in compilePairs({ [key]: 'x' }, environment), key);
  });
});

describe('E9: dictionary (RFC 9651)', () => {
  const write = (entries: Record<string, string>, s = 'x'): string =>
    accept(compileDictionary(entries, environment)).render(bindings(s));

  test('keeps the type of a value that is one hole', () => {
    assert.equal(write({ n: '${v.n}', b: '${v.b}', s: '${v.s}', lit: '7' }), 'b, lit="7", n=7, s="x"');
    assert.equal(write({ no: '${!v.b}' }), 'no=?0');
  });

  test('escapes strings, and writes others than ASCII as display strings', () => {
    assert.equal(write({ s: '${v.s}' }, 'a"b\\c'), 's="a\\"b\\\\c"');
    assert.equal(write({ s: '${v.s}' }, 'ü"%'), 's=%"%c3%bc%22%25"');
  });

  test('an int beyond 15 digits is refused', () => {
    assert.throws(() => write({ n: '${v.n + 1000000000000000}' }), ExpressionError);
  });

  test('keys are those of RFC 9651', () => {
    assert.ok(!('problem' in compileDictionary({ '*a_.-*1': 'x' }, environment)));
    for (const key of ['A', '1a', 'a b', '-a']) assert.ok('problem' in compileDictionary({ [key]: 'x' }, environment));
  });
});

describe('percent-encoding', () => {
  test('decodes to what was encoded, and holds unreserved characters only', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), text => {
        const encoded = percentEncode(text);
        assert.match(encoded, /^([A-Za-z0-9._~-]|%[0-9A-F]{2})*$/);
        assert.equal(percentDecode(encoded), text);
      }),
    );
  });
});
