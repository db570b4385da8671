import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DocumentProblem, readPolicyDocument } from './policy-document.ts';

const attribute = (source: string): string | undefined =>
  readPolicyDocument(source).children[0]?.attributes.get('condition');

test('an expression may hold quotes, &&, < and > as they are', () => {
  const expression = '@(a["x"] == null && b < 3 && c.As<JObject>()["d"] != "e")';
  assert.equal(attribute(`<policies><when condition="${expression}" /></policies>`), expression);
});

test('an expression whose quotes are escaped already reads the same', () => {
  const source = '<policies><when condition="@(a[&quot;x&quot;] == &quot;)&quot; &amp;&amp; b)" /></policies>';
  assert.equal(attribute(source), '@(a["x"] == ")" && b)');
});

test('brackets inside of strings and comments do not end an expression', () => {
  const expression = `@{ /* } */ var a = "}"; // }\n return @"""}"; }`;
  assert.equal(readPolicyDocument(`<policies><value>${expression}</value></policies>`).children[0]?.text, expression);
});

test('lines are those of the file', () => {
  const { children } = readPolicyDocument('<policies>\n\n<a b="@(x\n < y)" />\n<c/></policies>');
  assert.deepEqual(
    children.map(({ name, line }) => [name, line]),
    [
      ['a', 3],
      ['c', 5],
    ],
  );
});

test('an at sign in a comment or a text is no expression', () => {
  assert.equal(
    readPolicyDocument('<policies><!-- @( --><a>x@y.example</a></policies>').children[0]?.text,
    'x@y.example',
  );
});

for (const [what, source, line] of [
  ['an element that is not closed', '<policies>\n<inbound>\n</policies>', 3],
  ['no document at all', '', 1],
  ['an expression without an end', '<policies>\n<a b="@(x < y" /></policies>', 2],
] as const) {
  test(`${what} is refused with its line`, () => {
    assert.throws(
      () => readPolicyDocument(source),
      (error: unknown) => error instanceof DocumentProblem && error.line === line,
    );
  });
}

test('a document type, which may define entities, is refused with its line', () => {
  const bomb = '\n<!DOCTYPE p [<!ENTITY a "<ip-filter/>">]><policies><x>&a;</x></policies>';
  assert.throws(
    () => readPolicyDocument(bomb),
    (error: unknown) => error instanceof DocumentProblem && error.line === 2 && /document type/.test(error.message),
  );
});

test('three thousand elements inside of each other are refused, not a fault of ours', () => {
  const deep = `<policies>${'<choose>'.repeat(3000)}${'</choose>'.repeat(3000)}</policies>`;
  assert.throws(() => readPolicyDocument(deep), /nested more than 64 deep/);
});

test('a document larger than any gateway holds is refused', () => {
  assert.throws(() => readPolicyDocument(`<policies>${' '.repeat(2 ** 20)}</policies>`), /larger than 1Mi/);
});
