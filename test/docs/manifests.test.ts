/** Every YAML block of the guides is what Sallyport takes: whole manifests, and fragments in the object they belong to. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { parseObject } from '../../src/api/parse.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

interface Block {
  readonly page: string;
  readonly line: number;
  readonly text: string;
}

const blocks: readonly Block[] = globSync('docs/guide/*.md', { cwd: root }).flatMap(page => {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(found => ({
    page,
    line: text.slice(0, found.index).split('\n').length + 1,
    text: found[1] ?? '',
  }));
});

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A list of steps stands in the request part, or in the response part where a comment above it says `# response`. */
function complete(value: unknown, text: string): unknown {
  if (!Array.isArray(value)) return value;
  const part = /^# response/m.test(text) ? 'response' : 'request';
  return { apiVersion: 'sallyport.dev/v1alpha1', kind: 'AuthPolicy', metadata: { name: 'x' }, spec: { [part]: value } };
}

function findProblems({ page, line, text }: Block): readonly string[] {
  return parseAllDocuments(text).flatMap(document => {
    if (document.errors.length > 0) return document.errors.map(error => `${page}:${line}: ${error.message}`);
    const value = complete(document.toJS(), text);
    if (!isRecord(value) || typeof value['apiVersion'] !== 'string') return [];
    if (!value['apiVersion'].startsWith('sallyport.dev/')) return [];
    return parseObject(value).violations.map(
      ({ field, problem, fix }) => `${page}:${line}: ${field}: ${problem}, ${fix}`,
    );
  });
}

test('the guides show manifests', () => assert.ok(blocks.length > 5));

for (const block of blocks) {
  test(`${block.page}:${block.line} is taken as it stands`, () => assert.deepEqual(findProblems(block), []));
}
