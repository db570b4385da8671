/** Tables and colours for people; plain text where no terminal is. */

export type Colour = 'red' | 'green' | 'yellow' | 'dim' | 'bold';
const CODES: Readonly<Record<Colour, readonly [number, number]>> = {
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  dim: [2, 22],
  bold: [1, 22],
};

export type Paint = (colour: Colour, text: string) => string;

export function createPaint(colours: boolean): Paint {
  return (colour, text) => (colours ? `\u001b[${CODES[colour][0]}m${text}\u001b[${CODES[colour][1]}m` : text);
}

export interface Cell {
  readonly text: string;
  readonly colour?: Colour;
}

/** Less room than this for the last column is better spent on lines that the terminal wraps. */
const ROOM_TO_CUT = 24;

/** Columns as wide as their widest cell, two spaces apart; the last one is cut at `columns`, Infinity: never. */
export function renderTable(
  header: readonly string[],
  rows: readonly (readonly Cell[])[],
  style: { paint: Paint; columns: number },
): string {
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map(row => row[i]?.text.length ?? 0)));
  const before = widths.slice(0, -1).reduce((sum, width) => sum + width + 2, 0);
  const room = style.columns - before < ROOM_TO_CUT ? Infinity : style.columns - before;
  const lay = (cells: readonly Cell[]): string =>
    cells
      .map(({ text, colour }, i) => {
        const last = i === cells.length - 1;
        const fitted = last ? cut(text, room) : text.padEnd(widths[i] ?? 0);
        return colour === undefined ? fitted : style.paint(colour, fitted);
      })
      .join('  ')
      .trimEnd();
  return [lay(header.map(text => ({ text, colour: 'bold' }))), ...rows.map(lay)].map(line => `${line}\n`).join('');
}

function cut(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, width - 1)}…` : text;
}
