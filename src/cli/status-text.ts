/** A sidecar's status for people: single values first, then a table for each list. Shows members it has never heard of. */
import { readMembers } from './admin-client.ts';
import { type Cell, type Paint, renderTable } from './text.ts';

interface Style {
  readonly paint: Paint;
  readonly columns: number;
}

export function renderStatus(status: unknown, style: Style): string {
  const flat = flatten(readMembers(status));
  const width = Math.max(0, ...flat.filter(([, value]) => !Array.isArray(value)).map(([name]) => name.length));
  const single = flat
    .filter(([, value]) => !Array.isArray(value))
    .map(([name, value]) => `${style.paint('bold', name.padEnd(width))}  ${paintCell(name, value, style.paint)}\n`);
  const lists = flat.flatMap(([name, value]) => (Array.isArray(value) ? [renderList(name, value, style)] : []));
  return [single.join(''), ...lists].filter(part => part !== '').join('\n');
}

/** `{configuration: {hash: …}}` → `configuration hash`. */
function flatten(members: Readonly<Record<string, unknown>>, prefix = ''): [name: string, value: unknown][] {
  return Object.entries(members).flatMap(([name, value]) => {
    const words = `${prefix}${toWords(name)}`;
    const inner = Object.entries(readMembers(value));
    return inner.length === 0 ? [[words, value] as [string, unknown]] : flatten(Object.fromEntries(inner), `${words} `);
  });
}

function renderList(name: string, items: readonly unknown[], style: Style): string {
  if (items.length === 0) return '';
  const title = `${style.paint('bold', name)} (${items.length})\n`;
  const rows = items.map(item => new Map(flatten(readMembers(item))));
  if (rows.every(row => row.size === 0)) return title + items.map(item => `  ${show(name, item)}\n`).join('');
  const columns = [...new Set(rows.flatMap(row => [...row.keys()]))];
  const cells = rows.map(row =>
    columns.map(column => {
      const text = show(column, row.get(column));
      const colour = judge(column, row.get(column));
      return { text, ...(colour === undefined ? {} : { colour }) } satisfies Cell;
    }),
  );
  return (
    title +
    renderTable(
      columns.map(column => column.toUpperCase()),
      cells,
      style,
    )
  );
}

function paintCell(name: string, value: unknown, paint: Paint): string {
  const colour = judge(name, value);
  return colour === undefined ? show(name, value) : paint(colour, show(name, value));
}

function judge(name: string, value: unknown): Cell['colour'] {
  if (/^(ready|available|accepted)$/.test(name)) return value === true ? 'green' : 'red';
  if (/^(stale|draining|overloaded)$/.test(name)) return value === true ? 'yellow' : undefined;
  return /error|problem/.test(name) && value !== '' && value !== 0 && value !== undefined ? 'yellow' : undefined;
}

function show(name: string, value: unknown): string {
  if (value === undefined || value === null || value === '') return '-';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number') return showNumber(name, value);
  if (typeof value === 'string') return showText(value);
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map(item => show(name, item)).join('; ');
  return flatten(readMembers(value))
    .map(([inner, one]) => `${inner} ${show(inner, one)}`)
    .join(' ');
}

/** What the sidecar says may hold text of manifests: nothing in it may steer the terminal. */
function showText(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, '�');
}

/** Times as dates, ages in the largest unit that fits: both said by the member's name. */
function showNumber(name: string, value: number): string {
  if (/(\bat|after|before|until|update)$/i.test(name) && value > 1e11) return new Date(value).toISOString();
  if (/\bms$/.test(name)) return showDuration(value / 1000);
  return /seconds$/.test(name) ? showDuration(value) : String(value);
}

export function showDuration(seconds: number): string {
  const units: readonly (readonly [size: number, name: string])[] = [
    [86_400, 'd'],
    [3600, 'h'],
    [60, 'm'],
  ];
  const unit = units.find(([size]) => Math.abs(seconds) >= 2 * size);
  return unit === undefined ? `${Math.round(seconds)}s` : `${Math.round(seconds / unit[0])}${unit[1]}`;
}

/** `keysAgeSeconds` → `keys age seconds`. */
function toWords(name: string): string {
  return name.replaceAll(/(?<=[a-z0-9])(?=[A-Z])/g, ' ').toLowerCase();
}
