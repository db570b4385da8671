import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { collectManifests } from './read-manifests.ts';
import { parseManifests, type FileContent } from './manifests.ts';

const parse = (text: string): FileContent => parseManifests('a.yaml', text, { defaultNamespace: 'shop' });

const linesOf = (text: string): string[] =>
  parse(text).violations.map(
    ({ severity, position, object, field, problem, fix }) =>
      `${severity} ${position?.line ?? 0} ${object} ${field}: ${problem}, ${fix}`,
  );

describe('manifests', () => {
  it('are read with the line of each field', () => {
    const [entry] = parse(`# a comment
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata:
  name: a
spec:
  request:
  - name: first
    removeHeaders: [x-a]
  - {name: second,
     authorize: {allow: [
       {expression: "true"}]}}
`).entries;
    assert.equal(entry?.sort, 'object');
    const lineOf = (field: string): number | undefined => entry.object.locate?.(field)?.line;
    assert.deepEqual(
      [
        '',
        'kind',
        'spec.request',
        'spec.request[0]',
        'spec.request[0].removeHeaders[0]',
        'spec.request[1].authorize.allow[0].expression',
      ].map(lineOf),
      [2, 3, 7, 8, 9, 12],
    );
    assert.deepEqual(
      ['spec.request[0].nothing', 'spec.request[9].x', 'spec.none.x', 'other'].map(lineOf),
      [8, 7, 6, 2],
    );
    assert.equal(entry.object.locate?.('')?.file, 'a.yaml');
  });

  it('keep positions of several documents, lists and aliases apart', () => {
    const { entries } = parse(`apiVersion: v1
kind: List
items:
- apiVersion: sallyport.dev/v1alpha1
  kind: AuthPolicy
  metadata: {name: one}
  spec: {}
- apiVersion: sallyport.dev/v1alpha1
  kind: AuthPolicy
  metadata: &shared {name: two}
  spec: {mode: Audit}
---
# nothing
---
{"apiVersion": "sallyport.dev/v1alpha1", "kind": "AuthPolicy", "metadata": {"name": "three"},
 "spec": {"mode": "Audit"}}
`);
    const found = entries.map(entry => [
      entry.id,
      entry.sort === 'object' ? entry.object.locate?.('spec.mode')?.line : 0,
    ]);
    assert.deepEqual(found, [
      ['AuthPolicy shop/one', 7],
      ['AuthPolicy shop/two', 11],
      ['AuthPolicy shop/three', 16],
    ]);
  });

  it('take Secrets and ConfigMaps as bytes, plain text before encoded', () => {
    const { material, violations } = collectManifests([
      {
        name: 'a.yaml',
        text: `apiVersion: v1
kind: Secret
metadata: {name: s, namespace: shop}
data: {a: aGVsbG8=, b: "aGVs\\nbG8="}
stringData: {a: world}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c, namespace: shop}
data: {a: wörld, __proto__: x}
binaryData: {b: AP8=}
`,
      },
    ]);
    assert.deepEqual(violations, []);
    const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('latin1');
    assert.equal(text(material.secret('shop/s')?.get('a')), 'world');
    assert.equal(text(material.secret('shop/s')?.get('b')), 'hello');
    assert.equal(text(material.configMap('shop/c')?.get('a')), 'w\u00c3\u00b6rld');
    assert.equal(text(material.configMap('shop/c')?.get('b')), '\u0000\u00ff');
    assert.equal(text(material.configMap('shop/c')?.get('__proto__')), 'x');
    assert.equal(material.secret('shop/c'), undefined);
  });

  it('tell the labels of namespaces', () => {
    const { namespaces } = collectManifests([
      { name: 'a', text: 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {a: b}}\n' },
    ]);
    assert.deepEqual({ ...namespaces.get('shop') }, { a: 'b' });
  });

  it('leave other objects alone, and say so of other products’ policies', () => {
    assert.deepEqual(linesOf('apiVersion: apps/v1\nkind: Deployment\nspec: {anything: [1]}\n'), []);
    assert.deepEqual(linesOf('apiVersion: kuadrant.io/v1\nkind: AuthPolicy\nmetadata: {name: a}\n'), [
      'warning 1 AuthPolicy apiVersion: is of another group, so this AuthPolicy is ignored, write sallyport.dev/v1alpha1 if it is meant for Sallyport',
    ]);
  });

  it('do not take a misspelt group for another product', () => {
    const content = parse('apiVersion: salyport.dev/v1alpha1\nkind: AuthPolicy\nmetadata: {name: a}\n');
    assert.equal(content.readable, false);
    assert.equal(content.violations[0]?.severity, 'error');
  });

  it('have the same hash in another order and another file, and another hash for another content', () => {
    const one = 'apiVersion: sallyport.dev/v1alpha1\nkind: AuthPolicy\nmetadata: {name: one}\nspec: {mode: Audit}\n';
    const secret = 'apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: v}\n';
    const hash = (...texts: string[]): string =>
      collectManifests(texts.map((text, i) => ({ name: `${i}`, text }))).hash;
    assert.equal(hash(one, secret), hash(`${secret}---\n# moved\n${one}`));
    assert.notEqual(hash(one, secret), hash(one, secret.replace('k: v', 'k: w')));
    assert.notEqual(hash(one, secret), hash(one.replace('Audit', 'Enforce'), secret));
  });

  const broken: Readonly<Record<string, readonly [text: string, line: string]>> = {
    'a tab': ['a:\n\tb: 1\n', 'error 2  : a tab stands in the indentation, indent with spaces'],
    'a field twice': ['a: 1\nb: 2\na: 3\n', 'error 3  : the same field is written twice, remove one of them'],
    'a field twice in JSON': ['{"a": 1,\n "a": 2}', 'error 2  : the same field is written twice, remove one of them'],
    'uneven indentation': [
      'a:\n  b: 1\n c: 2\n',
      'error 3  : the indentation does not fit the lines around it, give members of one object the same indentation',
    ],
    'a second colon': [
      'a: b: c\n',
      'error 1  : a second ": " stands on the line, or the line after it is indented less or more than its neighbours, put text that holds ": " in quotes, or indent the lines alike',
    ],
    'an open quote': [
      'a: "x\n',
      'error 2  : a closing quote, a bracket or a ":" is missing, look at this line and the one before it',
    ],
    'a reserved character': [
      'a: @x\n',
      'error 1  : text starts with a character that YAML keeps for itself, put the text in quotes',
    ],
    'an unknown tag': ['a: !secret x\n', 'error 1  : a tag (!name) is not known here, remove it'],
    'an unknown alias': [
      'a: 1\nb: *x\n',
      'error 2  : the alias *x has no anchor before it, write text with * in quotes',
    ],
    'a key that is no text': [
      '? {a: 1}\n: 2\n',
      'error 1  : a field’s name is not text, write a name, in quotes if need be',
    ],
    'an unknown directive': [
      '%FOO x\n---\na: 1\n',
      'error 1  : a directive (%NAME) is not known here, remove the line',
    ],
    'aliases that multiply': [
      'a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c]\n',
      'error 1  : aliases multiply the content too much, write the content out',
    ],
    'endless depth': ['['.repeat(50_000), 'error 1  : lists or objects are nested too deeply, write it flatter'],
  };
  for (const [what, [text, line]] of Object.entries(broken)) {
    it(`cannot be read with ${what}`, () => {
      assert.deepEqual(linesOf(text), [line]);
      assert.equal(parse(text).readable, false);
    });
  }

  it('never quote what stands around a mistake, since it may be a secret', () => {
    const secret = 'hunter2hunter2';
    const texts = [
      `kind: Secret\ndata: {password: "${secret}}\n`,
      `kind: Secret\nstringData:\n  password: ${secret}: x\n`,
      `kind: Secret\nstringData:\n  password: "\\q${secret}"\n`,
      `apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {password: ${secret}!}\n`,
      `apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: ${secret}\n`,
      `apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {password: [${secret}]}\n`,
      `apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {password: 12, x: ${secret}}\n`,
    ];
    for (const text of texts) {
      const { violations } = parse(text);
      assert.ok(violations.length > 0, text);
      assert.ok(!JSON.stringify(violations).includes(secret), text);
    }
  });

  it('never throw, whatever the text', () => {
    const piece = fc.constantFrom(
      'apiVersion: v1',
      'kind: Secret',
      '\n',
      '\n---\n',
      ': ',
      '- ',
      '{',
      '}',
      '[',
      '"',
      '&a ',
      '*a',
      '\t',
      '  ',
      'data',
      '|',
      '%',
      '!x ',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece).map(parts => parts.join('')),
        ),
        text => void parse(text),
      ),
    );
  });
});
