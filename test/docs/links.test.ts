import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const pages = globSync(['*.md', 'docs/**/*.md'], { cwd: root });

test('every relative link of the documentation leads to a file', () => {
  const broken = pages.flatMap(page => {
    const links = readFileSync(join(root, page), 'utf8').matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g);
    return [...links]
      .map(([, link = '']) => link)
      .filter(link => !existsSync(join(root, dirname(page), link)))
      .map(link => `${page}: ${link}`);
  });
  assert.ok(pages.length > 8);
  assert.deepEqual(broken, []);
});

test('the documentation names no command that does not exist', () => {
  const commands = new Set([
    'sidecar',
    'check',
    'explain',
    'status',
    'drain',
    'log-level',
    'demo',
    'COMMAND',
    '--help',
  ]);
  const unknown = ['README.md', 'CONTRIBUTING.md', ...pages.filter(page => page.includes('guide'))].flatMap(page =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/npx sallyport ([\w-]+)/g)]
      .map(([, command = '']) => command)
      .filter(command => !commands.has(command))
      .map(command => `${page}: ${command}`),
  );
  assert.deepEqual(unknown, []);
});
