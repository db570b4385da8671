/** What a guide builds is whole: `check` finds nothing in it, and its own test passes. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { readOrders } from '../support/orders.ts';
import { runInMemory } from '../support/run-in-memory.ts';

function readBlocks(page: string): readonly string[] {
  const text = readFileSync(new URL(`../../docs/guide/${page}`, import.meta.url), 'utf8');
  return Array.from(text.matchAll(/^```yaml\n([\s\S]*?)^```/gm), ([, block = '']) => block);
}

/** Without those that show a part alone. */
const readManifests = (page: string): readonly string[] =>
  readBlocks(page).filter(block => /^apiVersion:/m.test(block));

const readObjects = (texts: readonly string[]): readonly Record<string, unknown>[] =>
  texts.flatMap(text => parseAllDocuments(text).map(document => document.toJS() as Record<string, unknown>));

/** What `check` says of the manifests of a page. */
async function checkPage(t: TestContext, page: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-guide-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [i, block] of readManifests(page).entries()) writeFileSync(join(folder, `${i}.yaml`), block);
  const { code, stdout, stderr } = await runInMemory(['check', folder]);
  assert.deepEqual([stdout, code], ['', 0]);
  return stderr;
}

const PAGES: Readonly<Record<string, RegExp>> = {
  'policies.md': /checked(?:, \d+ more read)?: no problems; 7 cases of 1 test: all pass/,
  'webhooks.md': /checked(?:, \d+ more read)?: no problems; 5 cases of 1 test: all pass/,
  'limits.md': /checked(?:, \d+ more read)?: no problems$/m,
};
for (const [page, said] of Object.entries(PAGES)) {
  test(`the manifests of ${page} belong together, and the test of the page passes`, async t =>
    assert.match(await checkPage(t, page), said));
}

test('the manifests of the guide to the queue are those of examples/orders, but for the rotation of its key', async () => {
  const name = ({ kind, metadata }: Record<string, unknown>): string =>
    `${String(kind)} ${(metadata as { name: string }).name}`;
  const example = new Map(readObjects(Object.values(await readOrders())).map(object => [name(object), object]));
  const other = readObjects(readBlocks('queue-behind-sas.md')).filter(object => {
    try {
      assert.deepEqual(object, example.get(name(object)));
      return false;
    } catch {
      return true;
    }
  });
  assert.deepEqual(other.map(name), ['BackendCredential queue-sas']);
});
