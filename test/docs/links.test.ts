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

test('docs/dependencies.md lists the dependencies of package.json, each with its version', () => {
  const read = (name: string): string => readFileSync(join(root, name), 'utf8');
  const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, string>>;
  const page = read('docs/dependencies.md');
  const atRunTime = Object.entries({ ...manifest['dependencies'], ...manifest['optionalDependencies'] });
  const [, runTime = '', development = ''] = page.split(/^## .*$/m);
  const listed = [...runTime.matchAll(/^\| \[([^\]]+)\]\([^)]*\) ([\d.]+)/gm)].flatMap(([, names = '', version = '']) =>
    names.split(', ').map(name => `${name} ${version}`),
  );
  assert.deepEqual(listed.sort(), atRunTime.map(([name, version]) => `${name} ${version}`).sort());
  const tools = [...development.matchAll(/^\| ([@a-z][^|]*?) +\|/gm)].flatMap(([, names = '']) => names.split(', '));
  assert.deepEqual(tools.sort(), Object.keys(manifest['devDependencies'] ?? {}).sort());
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
    'convert',
    'init',
    'inject',
    'controller',
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
