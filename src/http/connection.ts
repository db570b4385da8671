/** The Connection header (RFC 9110 section 7.6.1). */
import { isToken } from './characters.ts';

export interface ConnectionOptions {
  readonly close: boolean;
  readonly keepAlive: boolean;
  readonly upgrade: boolean;
  /** Lower-case names of other headers that end here. */
  readonly names: ReadonlySet<string>;
}

const NO_NAMES: ReadonlySet<string> = new Set();
const options = (given: Partial<ConnectionOptions>): ConnectionOptions => ({
  close: false,
  keepAlive: false,
  upgrade: false,
  names: NO_NAMES,
  ...given,
});

export const NO_OPTIONS = options({});
const CLOSE = options({ close: true });
const KEEP_ALIVE = options({ keepAlive: true });
const UPGRADE = options({ upgrade: true });

const MOST_NAMES = 64;

/** What a Connection header says, its lines joined by commas; undefined when it is no list of at most 64 names. */
export function readConnection(value: string): ConnectionOptions | undefined {
  const text = value.toLowerCase();
  if (text === 'close') return CLOSE;
  if (text === 'keep-alive') return KEEP_ALIVE;
  if (text === 'upgrade') return UPGRADE;
  const names = new Set<string>();
  for (const element of text.split(',')) {
    const name = element.replace(/^[ \t]+|[ \t]+$/g, '');
    if (name === '') continue;
    if (!isToken(name) || names.size >= MOST_NAMES) return undefined;
    names.add(name);
  }
  const close = names.delete('close');
  const keepAlive = names.delete('keep-alive');
  const upgrade = names.delete('upgrade');
  return { close, keepAlive, upgrade, names };
}

/** The options of one more line of the header. */
export function mergeOptions(one: ConnectionOptions, other: ConnectionOptions): ConnectionOptions {
  return {
    close: one.close || other.close,
    keepAlive: one.keepAlive || other.keepAlive,
    upgrade: one.upgrade || other.upgrade,
    names: one.names.size === 0 ? other.names : new Set([...one.names, ...other.names]),
  };
}
