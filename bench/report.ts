/** Turns measurements into a table for people (Markdown) and a picture (SVG). */

export interface Row {
  readonly measure: string;
  /** By peer name, in the unit of the row; the median of the rounds. */
  readonly values: ReadonlyMap<string, number>;
  readonly unit: string;
  /** What data-path.md asks for: value of Sallyport divided by value of `peer` at most (or at least) `ratio`, or an absolute bound. */
  readonly goals: readonly Goal[];
}

export interface Goal {
  readonly peer?: string;
  readonly bound: number;
  readonly direction: 'at most' | 'at least';
}

const OURS = 'Sallyport';

const show = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

function judgeGoal(row: Row, goal: Goal): string {
  const ours = row.values.get(OURS);
  const theirs = goal.peer === undefined ? 1 : row.values.get(goal.peer);
  if (ours === undefined || theirs === undefined) return `${goal.peer ?? ''}: not measured`;
  const ratio = ours / theirs;
  const met = goal.direction === 'at most' ? ratio <= goal.bound : ratio >= goal.bound;
  const sign = goal.direction === 'at most' ? '≤' : '≥';
  const what = goal.peer === undefined ? `${show(ratio)} ${row.unit}` : `${ratio.toFixed(2)} × ${goal.peer}`;
  return `${what} (goal ${sign} ${goal.bound}): ${met ? 'met' : '**not met**'}`;
}

export function renderMarkdown(title: string, rows: readonly Row[], about: readonly string[]): string {
  const peers = [...new Set(rows.flatMap(row => [...row.values.keys()]))];
  const lines = [
    `# ${title}`,
    '',
    ...about.map(line => `- ${line}`),
    '',
    `| Measure | Unit | ${peers.join(' | ')} | Ratio and goal |`,
    `|---|---|${peers.map(() => '---:|').join('')}---|`,
  ];
  for (const row of rows) {
    const cells = peers.map(peer => {
      const value = row.values.get(peer);
      return value === undefined ? '–' : show(value);
    });
    lines.push(
      `| ${row.measure} | ${row.unit} | ${cells.join(' | ')} | ${row.goals.map(goal => judgeGoal(row, goal)).join('; ')} |`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/** Bars of CPU per request, grouped by measure. */
export function renderSvg(rows: readonly Row[]): string {
  const shown = rows.filter(row => row.unit === 'CPU µs/request');
  const colours = new Map([
    [OURS, '#0b7285'],
    ['HAProxy', '#868e96'],
    ['Envoy', '#ae3ec9'],
    ['Envoy with token cache', '#da77f2'],
    ['nginx', '#37b24d'],
  ]);
  const largest = Math.max(...shown.flatMap(row => [...row.values.values()]));
  const parts: string[] = [];
  let y = 24;
  for (const row of shown) {
    parts.push(`<text x="8" y="${y}" font-weight="bold">${row.measure}</text>`);
    y += 8;
    for (const [peer, value] of row.values) {
      const width = Math.max(1, (value / largest) * 420);
      parts.push(
        `<rect x="160" y="${y}" width="${width.toFixed(1)}" height="14" fill="${colours.get(peer) ?? '#495057'}"/>`,
        `<text x="152" y="${y + 12}" text-anchor="end">${peer}</text>`,
        `<text x="${(168 + width).toFixed(1)}" y="${y + 12}">${show(value)} µs</text>`,
      );
      y += 18;
    }
    y += 24;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="680" height="${y}" font-family="sans-serif" font-size="12"><title>CPU time per request</title><rect width="100%" height="100%" fill="#fff"/>${parts.join('')}</svg>\n`;
}
