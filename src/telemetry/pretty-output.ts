/** Log lines for people, by pino-pretty; a module of its own, so that only who wants it reads it. */
import { writeSync } from 'node:fs';
import { prettyFactory } from 'pino-pretty';
import type { LineOutput } from './line-output.ts';

export interface PrettyOptions {
  readonly colorize?: boolean;
  /** Default: standard output, at once. */
  readonly write?: (text: string) => void;
}

export function createPrettyOutput({ colorize = false, write = writeOut }: PrettyOptions = {}): LineOutput {
  const prettify = prettyFactory({ colorize, translateTime: 'UTC:HH:MM:ss.l', singleLine: true });
  return { write: text => write(prettify(text)), flush: () => undefined };
}

function writeOut(text: string): void {
  try {
    writeSync(1, text);
  } catch {
    // The reader went away or stalls: a line for people is not worth a request.
  }
}
