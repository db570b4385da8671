/**
 * Builds the parts that are not in the cache, one at a time. A part appears there under its name only when it is whole, so
 * that a build can be killed and taken up again; two builds at once wait for each other.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type GoToolchain, provideGo, readNeededGo } from './go-toolchain.ts';
import { findPart, locateBuilt, locateCache, locateModule, type Part } from './parts.ts';

export interface BuildOptions {
  readonly parts: readonly Part[];
  readonly say: (line: string) => void;
  readonly signal?: AbortSignal;
  readonly env?: NodeJS.ProcessEnv;
}

/** @throws Error with a sentence and its fix when Go is missing or a build fails. */
export async function buildParts({ parts, say, signal, env = process.env }: BuildOptions): Promise<void> {
  const missing = parts.filter(part => findPart(part, env) === undefined);
  if (missing.length === 0) return;
  const go = await provideGo(readNeededGo(missing.map(locateModule)), env);
  say(`building ${missing.map(part => part.name).join(', ')} with Go ${go.version} into ${locateCache(env)}`);
  say('(once; all of it takes about seven minutes on two cores that have nothing else to do)');
  for (const [i, part] of missing.entries()) {
    const begin = performance.now();
    await buildPart(part, go, { env, signal });
    say(`  ${i + 1}/${missing.length} ${part.name}: ${Math.round((performance.now() - begin) / 1000)} s`);
  }
}

/** Another build may have made the part while this one waited for the lock; the rename makes it appear at once and whole. */
const BUILD = `
target=$1 partial=$2; shift 2
[ -x "$target" ] && exit 0
rm -f "$partial" # Go overwrites nothing that is no program
"$@" && mv "$partial" "$target"
`;

interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal | undefined;
}

async function buildPart(part: Part, go: GoToolchain, { env, signal }: Surroundings): Promise<void> {
  const target = locateBuilt(part, env);
  const partial = `${target}.partial`;
  mkdirSync(dirname(target), { recursive: true });
  const build = ['nice', '-n', '10', go.command, ...listGoArguments(part, partial)];
  const child = spawn('flock', [join(locateCache(env), '.lock'), 'sh', '-c', BUILD, 'sh', target, partial, ...build], {
    cwd: locateModule(part),
    env: { ...env, ...go.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false -mod=readonly', GOWORK: 'off' },
    stdio: ['ignore', 'inherit', 'inherit'],
    ...(signal === undefined ? {} : { signal }),
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`${part.name} could not be built from ${part.package} (see above)`);
}

function listGoArguments(part: Part, output: string): string[] {
  const variables = Object.entries(part.variables ?? {}).map(([name, value]) => ` -X ${name}=${value}`);
  return [
    ...['build', '-trimpath', '-tags', part.tags ?? '', '-ldflags', `-s -w${variables.join('')}`],
    ...['-o', output, part.package],
  ];
}
