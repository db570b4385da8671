/** Installs what a cluster needs from Debian, in CI alone: nobody's own machine is changed behind their back. */
import { isClusterRequired, listMissingPackages, type Need } from '../test/cluster/support/requirements.ts';
import { runCommand } from './command.ts';
import { readGoVersion } from './go-toolchain.ts';

/** Does nothing unless SALLYPORT_CLUSTER=required. @throws Error with the words of apt-get. */
export async function installMissing(need: Need, say: (line: string) => void): Promise<void> {
  if (!isClusterRequired() || process.getuid?.() !== 0) return;
  const packages = [...listMissingPackages(need), ...(readGoVersion() === undefined ? ['golang-go'] : [])];
  if (packages.length === 0) return;
  say(`installing ${packages.join(', ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await runCommand(['apt-get', 'update', '-qq'], { env });
  await runCommand(['apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...packages], { env });
}
