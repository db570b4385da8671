import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOpenEnvironment, NOTHING } from './cel-environment.ts';
import { compileExpression } from './cel.ts';
import { PRESENCE_EXAMPLES, renderExpressions } from './expression-reference.ts';
import { listFunctions } from './function-reference.ts';

const page = renderExpressions();

for (const { call, example } of listFunctions()) {
  if (example === undefined) continue;
  test(`the reference’s example of ${call} is true`, () => {
    const compiled = compileExpression(example, NOTHING, 'bool');
    assert.ok('evaluate' in compiled, JSON.stringify(compiled));
    assert.equal(compiled.evaluate({}), true);
  });
}

test('the reference’s examples of what may be absent compile', () => {
  const refused = PRESENCE_EXAMPLES.filter(
    example => 'problem' in compileExpression(example, createOpenEnvironment(false), 'bool'),
  );
  assert.deepEqual(refused, []);
});

test('the page shows every variable with its type, and where a service sees less', () => {
  assert.match(page, /^\| `cert\.sha1` \| `string` \| /m);
  assert.match(page, /^\| `request\.query` \| `map<string, list<string>>` \| /m);
  assert.match(page, /^\| `response\.status` \| `int` \| /m);
  assert.match(page, /^\| `steps\.<name>\.body` \| `map<string, dyn>` \| `deviceAuth` \| /m);
  const [, service = ''] = page.split('### In the request of a DeviceAuthService');
  assert.ok(!service.includes('| `jwt.'));
});

test('the page shows what each place makes of the same value', () => {
  const examples = [
    '`id=robot 7`',
    '`id=robot%207%2F%C3%A4;`',
    '`id=%"robot 7/%c3%a4"`',
    '`https://d.example/check/robot%207%2F%C3%A4`',
    '`device robot 7/ä`',
  ];
  for (const example of examples) assert.ok(page.includes(example), example);
});

test('no row of a table has more cells than its header', () => {
  const tables = page.match(/(?:^\|.*\n)+/gm) ?? [];
  assert.ok(tables.length >= 8);
  for (const table of tables) {
    const counts = table
      .trimEnd()
      .split('\n')
      .map(line => line.split(/(?<!\\)\|/).length);
    assert.deepEqual(new Set(counts).size, 1, table.slice(0, 80));
  }
});
