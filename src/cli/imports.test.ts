import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

/** Packages that a file imports at once, through every file that it imports at once; types are no imports. */
function listPackages(entry: string): ReadonlySet<string> {
  const packages = new Set<string>();
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const statement of readFileSync(file, 'utf8').matchAll(
      /^(?:import|export)\b(?! type\b)[^;]*?from '([^']+)';/gms,
    )) {
      const [, target = ''] = statement;
      if (target.startsWith('.')) visit(resolve(dirname(file), target));
      else packages.add(target);
    }
  };
  visit(fileURLToPath(new URL(entry, import.meta.url)));
  return packages;
}

/** Each costs memory in every pod, and none has a place on the data path of a cluster. */
const HEAVY = ['yaml', '@kubernetes/client-node', '@peculiar/x509', '@redis/client', '@rgrove/parse-xml'];

for (const entry of ['./sidecar.ts', './cluster.ts']) {
  test(`${entry} loads nothing heavy in a pod`, () => {
    const packages = listPackages(entry);
    assert.ok(packages.has('node:path'), 'the walk found imports');
    assert.deepEqual(
      HEAVY.filter(name => [...packages].some(found => found === name || found.startsWith(`${name}/`))),
      [],
    );
  });
}
