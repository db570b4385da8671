/** Which `go` builds the parts: the one on the PATH, or the toolchain that it fetches when it is too old. */
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from './command.ts';

export interface GoToolchain {
  readonly command: string;
  readonly env: Readonly<Record<string, string>>;
  readonly version: string;
}

/** From this version on, `go` itself fetches the toolchain that a go.mod asks for. */
const SWITCHES_SINCE = '1.21';

/** Highest `go` line of the modules. */
export function readNeededGo(folders: readonly string[]): string {
  const versions = folders.map(
    folder => /^go (\S+)$/m.exec(readFileSync(join(folder, 'go.mod'), 'utf8'))?.[1] ?? SWITCHES_SINCE,
  );
  return versions.reduce((highest, version) => (isOlder(highest, version) ? version : highest));
}

/** Undefined where there is none on the PATH. */
export function readGoVersion(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const { stdout } = spawnSync('go', ['env', 'GOVERSION'], { encoding: 'utf8', cwd: '/', env });
  return /^go(\d\S*)/.exec(stdout)?.[1];
}

/** @throws Error with the fix when there is no Go. */
export async function provideGo(needed: string, env: NodeJS.ProcessEnv = process.env): Promise<GoToolchain> {
  const version = readGoVersion(env);
  if (version === undefined)
    throw new Error(`Go is missing: install Go ${needed} or newer, and put \`go\` on the PATH`);
  if (isOlder(version, SWITCHES_SINCE)) return fetchToolchain(needed, env);
  // `local` where it suffices, so that nothing is fetched; a machine-wide `local` must not forbid a switch that is needed.
  return { command: 'go', version, env: { GOTOOLCHAIN: isOlder(version, needed) ? 'auto' : 'local' } };
}

/** What newer versions do by themselves (go.dev/doc/toolchain): toolchains are modules, and checked as such. */
async function fetchToolchain(version: string, env: NodeJS.ProcessEnv): Promise<GoToolchain> {
  const platform = `linux-${process.arch === 'x64' ? 'amd64' : process.arch}`;
  const module = `golang.org/toolchain@v0.0.1-go${version}.${platform}`;
  const answer = await runCommand(['go', 'mod', 'download', '-json', module], { cwd: '/', env });
  const { Dir: root } = JSON.parse(answer) as { Dir: string };
  for (const folder of ['bin', `pkg/tool/${platform.replace('-', '_')}`])
    for (const file of readdirSync(join(root, folder))) chmodSync(join(root, folder, file), 0o755); // modules hold no modes
  return { command: join(root, 'bin', 'go'), version, env: { GOTOOLCHAIN: 'local', GOROOT: root } };
}

function isOlder(version: string, than: string): boolean {
  const [a, b] = [version, than].map(text => text.split('.').map(part => Number.parseInt(part, 10)));
  for (let i = 0; i < 3; i++) {
    const difference = (a?.[i] ?? 0) - (b?.[i] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
