/** The reference pages, rendered from the same description that the parser walks. Pure: Markdown out. */
import { CONDITIONS, CONDITIONS_OF, STATUS_OF, type StatusField } from './conditions.ts';
import { formatDuration } from './duration.ts';
import { memberPath } from './field-path.ts';
import { KINDS, type KindName } from './kinds/index.ts';
import { API_VERSION } from './object.ts';
import { escapeMarkdown, joinBlocks, renderTable } from './markdown.ts';
import { formatQuantity } from './quantity.ts';
import { REASONS } from './reasons.ts';
import { narrow, type AnySchema, type Field, type ObjectSchema, type Presence } from './schema.ts';
import { listWords } from './words.ts';

const NOTICE = '<!-- Written by `npm run generate` from src/api; edit the descriptions there. -->';

/** The page of one kind. */
export function renderReference(kind: KindName): string {
  const { plural, scope, shortName } = KINDS[kind];
  const spec = narrow(KINDS[kind].spec);
  const short = shortName === undefined ? '' : ` (\`${shortName}\`)`;
  return joinBlocks([
    `# ${kind}`,
    NOTICE,
    spec.description ?? '',
    `\`apiVersion: ${API_VERSION}\`, \`kind: ${kind}\`; ${scope === 'Cluster' ? 'cluster-scoped' : 'namespaced'}; \`kubectl get ${plural}\`${short}.`,
    describeReferences(scope === 'Cluster'),
    ...renderTables(spec, scope === 'Cluster'),
    ...renderStatus(kind),
  ]);
}

/** All reasons of denials, by status. */
export function renderReasons(): string {
  const rows = Object.entries(REASONS).map(([name, { status, title, explanation }]) => [
    String(status),
    `\`${name}\``,
    title,
    explanation,
  ]);
  return joinBlocks([
    '# Reasons of denials',
    NOTICE,
    'Every request that is not served ends with one of these. Logs, metrics, `explain` and, unless `errors.includeReason` is false, the answer itself name it; a policy’s `errors.overrides` may send another status or message.',
    renderTable(['Status', 'Reason', 'Title', 'When it happens'], rows),
  ]);
}

/** The page that links the others. */
export function renderIndex(): string {
  const rows = (Object.keys(KINDS) as KindName[]).map(kind => {
    const { shortName, spec } = KINDS[kind];
    return [
      `[\`${kind}\`](${pageName(kind)})`,
      shortName === undefined ? '' : `\`${shortName}\``,
      spec.description ?? '',
    ];
  });
  return joinBlocks([
    '# Reference',
    NOTICE,
    `The custom resources of \`${API_VERSION}\`, each with its fields. The same descriptions stand in \`kubectl explain\`.`,
    renderTable(['Kind', 'Short name', 'What it is'], rows),
    '[Reasons of denials](reasons.md) lists every way in which a request can be refused. [Expressions and templates](expressions.md) tells what they may read and call at each place, and how durations and quantities are written.',
  ]);
}

/** The file name of a kind's page. */
export const pageName = (kind: KindName): string => `${kind.replace(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase()}.md`;

const describeReferences = (clusterScoped: boolean): string =>
  clusterScoped
    ? 'References to other objects are written `namespace/name`, and key references carry `namespace`.'
    : 'References are names of objects in the same namespace.';

interface Section {
  readonly path: string;
  readonly schema: ObjectSchema<unknown>;
}

/** One table for `spec`, one for each shape of objects beneath it; shapes that occur again are linked. */
function renderTables(spec: AnySchema, clusterScoped: boolean): string[] {
  const sections = spec.type === 'object' ? findSections({ path: 'spec', schema: spec }, new Map()) : [];
  const links: Links = new Map(sections.map(({ path, schema }) => [schema.fields, path]));
  return sections.flatMap(({ path, schema }) => {
    // Elsewhere than in a cluster policy the field is refused, so the page does not offer it.
    const shown = Object.entries(schema.fields).filter(
      ([name]) => clusterScoped || schema.holds !== 'keyRef' || name !== 'namespace',
    );
    const rows = shown.map(([name, field]) => renderRow(name, field, links));
    return [
      `## \`${path}\``,
      path === 'spec' ? '' : escapeMarkdown(schema.description ?? ''),
      renderTable(['Field', 'Type', 'Default', 'Description'], rows),
      ...renderRules(schema),
    ];
  });
}

/** By the members of a shape, where its table stands. */
type Links = ReadonlyMap<unknown, string>;

/** Depth first, each shape once. */
function findSections(section: Section, seen: Map<unknown, string>): Section[] {
  const { path, schema } = section;
  if (seen.has(schema.fields) || Object.keys(schema.fields).length === 0) return [];
  seen.set(schema.fields, path);
  const below = Object.entries(schema.fields).flatMap(([name, field]) => {
    const { at, schema: inner } = unwrap(narrow(field.schema), memberPath(path, name));
    return inner.type === 'object' ? findSections({ path: at, schema: inner }, seen) : [];
  });
  return [section, ...below];
}

/** GitHub's anchors: lower case, punctuation away. */
const anchor = (path: string): string => path.toLowerCase().replace(/[^a-z0-9_-]/g, '');

/** Through lists and maps to what they hold. */
function unwrap(schema: AnySchema, at: string): { at: string; schema: AnySchema } {
  if (schema.type === 'list') return unwrap(narrow(schema.items), `${at}[]`);
  if (schema.type === 'map') return unwrap(narrow(schema.values), `${at}.<name>`);
  return { at, schema };
}

function renderRow(name: string, { schema, presence, ...field }: Field<unknown, Presence>, links: Links): string[] {
  const member = narrow(schema);
  const { example } = member;
  const description = escapeMarkdown(member.description ?? '');
  const shown = example === undefined ? description : `${description} Example: \`${JSON.stringify(example)}\``;
  return [
    `\`${name}\``,
    describeType(member, links),
    presence === 'required' ? '**required**' : describeDefault(field.default),
    shown,
  ];
}

const describeDefault = (value: unknown): string => (value === undefined ? '' : `\`${JSON.stringify(value)}\``);

function describeType(schema: AnySchema, links: Links): string {
  switch (schema.type) {
    case 'string':
      return describeText(schema.holds);
    case 'integer':
      return `integer, ${schema.minimum}–${schema.maximum}`;
    case 'boolean':
      return schema.only === true ? '`true`' : 'boolean';
    case 'enum':
      return schema.values.length > 16 ? '[reason](reasons.md)' : schema.values.map(value => `\`${value}\``).join(', ');
    case 'duration':
      return `[duration](expressions.md#durations-and-quantities), ${formatDuration(schema.minimumMs)}–${formatDuration(schema.maximumMs)}`;
    case 'quantity':
      return `[bytes](expressions.md#durations-and-quantities), ${formatQuantity(schema.minimumBytes)}–${formatQuantity(schema.maximumBytes)}`;
    case 'intOrString':
      return 'integer or name';
    case 'list':
      return `list of ${describeType(narrow(schema.items), links)}, at most ${schema.maxItems}`;
    case 'map':
      return `names to ${describeType(narrow(schema.values), links)}, at most ${schema.maxProperties}`;
    case 'object': {
      const path = links.get(schema.fields);
      return path === undefined ? '`{}`' : `[object](#${anchor(path)})`;
    }
    case 'json':
      return 'object of any form';
  }
}

const TEXTS: Readonly<Record<string, string>> = {
  cel: '[CEL expression](expressions.md)',
  template: '[template](expressions.md#templates)',
  url: 'URL',
  cidr: 'address range',
  addressRange: 'address or range',
  signedPayload: 'text with ${body}, ${timestamp}, ${id}',
  headerName: 'header name',
  settableHeader: 'header name',
  reference: 'object name',
  pathTemplate: 'path',
  time: 'time (RFC 3339)',
};
const describeText = (holds: string | undefined): string => (holds === undefined ? 'text' : (TEXTS[holds] ?? 'text'));

function renderRules(schema: ObjectSchema<unknown>): string[] {
  const code = (names: readonly string[]): string =>
    listWords(
      names.map(name => `\`${name}\``),
      'and',
    );
  const lines = [
    ...(schema.exactlyOneOf ?? []).map(names => `- Exactly one of ${code(names)}.`),
    ...(schema.atMostOneOf ?? []).map(names => `- At most one of ${code(names)}.`),
    ...(schema.atLeastOneOf ?? []).map(names => `- At least one of ${code(names)}.`),
    ...(schema.rules ?? []).map(({ problem, fix }) => `- Refused: ${escapeMarkdown(`${problem} (${fix})`)}.`),
  ];
  return lines.length === 0 ? [] : [lines.join('\n')];
}

function renderStatus(kind: KindName): string[] {
  const conditions = CONDITIONS_OF[kind].map(type => {
    const { meaning, reasons } = CONDITIONS[type];
    return [`\`${type}\``, meaning, reasons.map(reason => `\`${reason}\``).join(', ')];
  });
  const fields = Object.entries(STATUS_OF[kind]).flatMap(([name, field]) => listStatusFields(name, field));
  return [
    '## `status`',
    fields.length === 0 ? '' : renderTable(['Field', 'Type', 'Description'], fields),
    renderTable(['Condition', 'True means', 'Reasons'], conditions),
  ];
}

function listStatusFields(path: string, field: StatusField): string[][] {
  const row = [`\`${path}\``, field.type, escapeMarkdown(field.description)];
  if (field.type !== 'object') return [row];
  return [
    row,
    ...Object.entries(field.fields).flatMap(([name, member]) => listStatusFields(`${path}.${name}`, member)),
  ];
}
