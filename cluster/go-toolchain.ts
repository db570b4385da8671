/** Which `go` builds the parts: the one on the PATH if it is new enough or can fetch one that is. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface GoToolchain {
  readonly command: string;
  readonly env: Readonly<Record<string, string>>;
  readonly version: string;
}

/** From this version on, `go` fetches the toolchain that a go.mod asks for. */
const SWITCHES_SINCE = '1.21';

/** Highest `go` line of the modules. */
export function readNeededGo(folders: readonly string[]): string {
  const versions = folders.map(
    folder => /^go (\S+)$/m.exec(readFileSync(join(folder, 'go.mod'), 'utf8'))?.[1] ?? SWITCHES_SINCE,
  );
  return versions.reduce((highest, version) => (isOlder(highest, version) ? version : highest));
}

/** A sentence with the fix when there is no usable `go`. */
export function findGo(needed: string): GoToolchain | string {
  const { error, stdout } = spawnSync('go', ['env', 'GOVERSION'], { encoding: 'utf8', cwd: '/' });
  const version = error === undefined ? stdout.trim().replace(/^go/, '') : '';
  if (version === '') return `Go is missing. Install Go ${needed} or newer and put \`go\` on the PATH.`;
  if (isOlder(version, SWITCHES_SINCE))
    return `Go ${version} is too old. Install Go ${needed} (from ${SWITCHES_SINCE} on, Go fetches it by itself).`;
  // `local` where it suffices, so that nothing is fetched; a machine-wide `local` must not stop a switch that is needed.
  return { command: 'go', version, env: { GOTOOLCHAIN: isOlder(version, needed) ? 'auto' : 'local' } };
}

function isOlder(version: string, than: string): boolean {
  const [a, b] = [version, than].map(text => text.split('.').map(part => Number.parseInt(part, 10)));
  for (let i = 0; i < 3; i++) {
    const difference = (a?.[i] ?? 0) - (b?.[i] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
