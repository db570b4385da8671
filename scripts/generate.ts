/**
 * Writes what is generated from src/api and src/policy: crds/*.yaml, the chart's copies and docs/reference/*.md. With --check nothing is written; every file
 * that is missing, differs or should not be there is named, and the exit code is 1.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { renderCrd } from '../src/api/crd.ts';
import { KINDS, type KindName } from '../src/api/kinds/index.ts';
import { renderExpressions } from '../src/policy/expression-reference.ts';
import { renderAdmissionTemplates } from './admission-templates.ts';
import { renderDashboard, renderRules } from './observability.ts';
import { pageName, renderIndex, renderReasons, renderReference } from '../src/api/reference.ts';

const ROOT = join(import.meta.dirname, '..');
const FOLDERS = ['crds', 'docs/reference', 'charts/sallyport/files/crds'];

const kinds = Object.keys(KINDS) as KindName[];

const generated = new Map<string, string>([
  ...kinds.map(kind => [`crds/${KINDS[kind].plural}.yaml`, renderYaml(kind)] as const),
  ...kinds.map(kind => [`charts/sallyport/files/crds/${KINDS[kind].plural}.yaml`, renderKept(kind)] as const),
  ['charts/sallyport/templates/_kinds.tpl', renderKinds()],
  ['charts/sallyport/templates/admission.yaml', renderAdmissionTemplates()],
  ['charts/sallyport/files/dashboard.json', renderDashboard()],
  [
    'charts/sallyport/files/rules.yaml',
    `# Written by \`npm run generate\` from scripts/observability.ts.\n${stringify(renderRules(), { lineWidth: 0 })}`,
  ],
  ...kinds.map(kind => [`docs/reference/${pageName(kind)}`, renderReference(kind)] as const),
  ['docs/reference/reasons.md', renderReasons()],
  ['docs/reference/expressions.md', renderExpressions()],
  ['docs/reference/README.md', renderIndex()],
]);

function renderYaml(kind: KindName): string {
  // YAML 1.1, as kubectl and Helm read it: a key `on` without quotes would be `true` to them.
  const text = stringify(renderCrd(kind), { lineWidth: 0, aliasDuplicateObjects: false, version: '1.1' });
  return `# Written by \`npm run generate\` from src/api; edit the schemas there.\n${text}`;
}

/** The chart's copy: Helm leaves it when the release goes, since every policy would go with it. */
function renderKept(kind: KindName): string {
  return renderYaml(kind).replace('metadata:\n', 'metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n');
}

function renderKinds(): string {
  return `{{/* Written by \`npm run generate\` from src/api. */}}\n{{- define "sallyport.kinds" -}}[${kinds.map(kind => KINDS[kind].plural).join(', ')}]{{- end -}}\n`;
}

function readExisting(path: string): string | undefined {
  try {
    return readFileSync(join(ROOT, path), 'utf8');
  } catch {
    return undefined;
  }
}

function listStray(): string[] {
  return FOLDERS.flatMap(folder => {
    try {
      return readdirSync(join(ROOT, folder)).map(name => `${folder}/${name}`);
    } catch {
      return [];
    }
  }).filter(path => !generated.has(path));
}

const changed = [...generated].filter(([path, text]) => readExisting(path) !== text);
const stray = listStray();

if (process.argv.includes('--check')) {
  for (const [path] of changed) console.error(`${path} differs from src/api: run npm run generate`);
  for (const path of stray) console.error(`${path} is not generated from anything: remove it`);
  process.exitCode = changed.length + stray.length > 0 ? 1 : 0;
} else {
  for (const folder of FOLDERS) mkdirSync(join(ROOT, folder), { recursive: true });
  for (const [path, text] of changed) writeFileSync(join(ROOT, path), text);
  for (const path of stray) rmSync(join(ROOT, path), { recursive: true });
  console.log(`${generated.size} files, ${changed.length} changed, ${stray.length} removed`);
}
