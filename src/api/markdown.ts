/** Markdown as the reference pages use it. */

/** Paragraphs and tables, an empty line between each two; empty ones are left out. */
export const joinBlocks = (blocks: readonly string[]): string =>
  `${blocks.filter(block => block !== '').join('\n\n')}\n`;

/** Text of descriptions, so that none of it is taken for markup. */
export const escapeMarkdown = (text: string): string => text.replace(/[*_]/g, '\\$&').replace(/</g, '&lt;');

/** A GitHub table; bars in cells are escaped, or they would end the cell. */
export function renderTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell => cell.replace(/\|/g, '\\|')).join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

/** A piece of code within a line; it must hold no backtick. */
export const code = (text: string): string => `\`${text}\``;
