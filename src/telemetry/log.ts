/** Log lines by pino: one JSON object a line (`level`, `time`, fields, `msg`), or text for people. */
import pino from 'pino';
import { sanitizeFields } from './fields.ts';
import type { Log, LogFields } from './telemetry.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOutput {
  write(text: string): void;
}

export interface RunningLog extends Log {
  level(): LogLevel;
  setLevel(level: LogLevel): void;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly output: LogOutput;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export function createLog({ level, output, now }: LogOptions): RunningLog {
  const logger = pino(
    {
      level,
      base: null, // no process id and host name: the platform knows both
      timestamp: () => `,"time":"${new Date(now()).toISOString()}"`,
      formatters: { level: label => ({ level: label }) },
    },
    output,
  );
  let current = level;
  const line =
    (write: 'debug' | 'info' | 'warn' | 'error') =>
    (fields: LogFields, message: string): void => {
      if (logger.isLevelEnabled(write)) logger[write](sanitizeFields(fields), message);
    };
  return {
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
    level: () => current,
    setLevel: to => {
      current = to;
      logger.level = to;
    },
  };
}
