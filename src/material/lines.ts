/** Lines of JSON in a stream of bytes, bounded. */

export interface LineReader {
  /**
   * The lines that are complete now, without their line feeds; blank lines are left out.
   * @throws LineTooLong when a line is longer than the bound, complete or not; the stream is then of no use.
   */
  read(chunk: Uint8Array): readonly string[];
}

export class LineTooLong extends Error {}

const LINE_FEED = 0x0a;
const FIRST_BYTES = 4096;

/** `maxBytes` counts the line feed. Bytes that are not UTF-8 become U+FFFD. */
export function createLineReader(maxBytes: number): LineReader {
  const decoder = new TextDecoder();
  // One buffer that grows: a line that comes byte by byte costs no object for each.
  let held = new Uint8Array(0);
  let length = 0;
  const hold = (piece: Uint8Array): void => {
    if (piece.length === 0) return;
    if (length + piece.length + 1 > maxBytes) throw new LineTooLong(`a line is longer than ${maxBytes} bytes`);
    if (length + piece.length > held.length) {
      const grown = new Uint8Array(Math.max(FIRST_BYTES, 2 * held.length, length + piece.length));
      grown.set(held.subarray(0, length));
      held = grown;
    }
    held.set(piece, length);
    length += piece.length;
  };
  const finish = (rest: Uint8Array): string => {
    hold(rest);
    const line = decoder.decode(held.subarray(0, length));
    length = 0;
    if (held.length > 16 * FIRST_BYTES) held = new Uint8Array(0);
    return line;
  };
  return {
    read: chunk => {
      const lines: string[] = [];
      let from = 0;
      for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, from)) {
        const line = finish(chunk.subarray(from, at));
        if (line.trim() !== '') lines.push(line);
        from = at + 1;
      }
      hold(chunk.subarray(from));
      return lines;
    },
  };
}

export const encodeLine = (message: unknown): string => `${JSON.stringify(message)}\n`;
