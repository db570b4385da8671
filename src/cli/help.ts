/** Help of one command, fitted to the terminal, from the same description that parses its command line. */
import { type Command, type Option, variableName } from './options.ts';

export function renderHelp(command: Command, columns: number): string {
  const width = Math.max(60, Math.min(columns, 110));
  const options = Object.entries(command.options);
  const takes = command.positionals;
  const arguments_ =
    takes === undefined ? '' : ` ${takes.max > 1 && !takes.name.endsWith('…') ? `${takes.name}…` : takes.name}`;
  const sections = [
    `Usage:\n  sallyport ${command.name}${arguments_}${options.length > 0 ? ' [options]' : ''}`,
    ...command.description.map(paragraph => wrapText(paragraph, width).join('\n')),
    `Examples:\n${command.examples.map(({ comment, line }) => `  # ${comment}\n  ${line}`).join('\n\n')}`,
    `Options:\n${options.map(([name, option]) => renderOption(name, option, width)).join('')}${renderHelpOption(width)}`,
  ];
  return `${sections.join('\n\n').trimEnd()}\n`;
}

/** Two columns: what to type, and what it does; the second one is wrapped. */
export function renderEntry(left: string, right: string, width: number, indent = 30): string {
  const lines = wrapText(right, width - indent);
  const pad = ' '.repeat(indent);
  const first = `  ${left}`;
  const head = first.length + 2 <= indent ? [first.padEnd(indent) + (lines.shift() ?? '')] : [first];
  return [...head, ...lines.map(line => pad + line)].map(line => `${line.trimEnd()}\n`).join('');
}

export function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  return [...lines, line];
}

function renderOption(name: string, option: Option<unknown>, width: number): string {
  const short = option.short === undefined ? '    ' : `-${option.short}, `;
  const value = option.placeholder === undefined ? '' : ` ${option.placeholder}`;
  const notes = [
    option.kind === 'repeated' ? 'repeatable' : '',
    option.fallback === undefined ? '' : `default ${option.fallback}`,
    `$${variableName(name, option)}`,
  ].filter(note => note !== '');
  return renderEntry(`${short}--${name}${value}`, `${option.description} (${notes.join('; ')})`, width);
}

function renderHelpOption(width: number): string {
  return renderEntry('-h, --help', 'This text', width);
}
