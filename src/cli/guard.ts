/** What must not be set around a process that holds keys: each of these opens it, or makes it trust anybody. */

const REFUSED: Readonly<Record<string, string>> = {
  NODE_OPTIONS: 'can load code or open the inspector',
  NODE_TLS_REJECT_UNAUTHORIZED: 'switches the verification of servers off',
  NODE_DEBUG: 'prints what is sent, credentials included',
};

/** The commands that a pod runs with keys, tokens or capabilities. */
const GUARDED: ReadonlySet<string> = new Set(['sidecar', 'init', 'controller']);

/** Every reason why the command must not start in this process; empty: it may, as commands for people always may. Pure. */
export function findUnsafeSettings(
  command: string,
  env: Readonly<Record<string, string | undefined>>,
  execArgv: readonly string[],
): string[] {
  if (!GUARDED.has(command)) return [];
  const variables = Object.entries(REFUSED)
    .filter(([name]) => (env[name] ?? '') !== '')
    .map(([name, why]) => `${name} is set, which ${why}; unset it`);
  const flags = execArgv
    .filter(flag => /^--(inspect|debug)/.test(flag))
    .map(flag => `${flag.split('=', 1).join('')} is on: the inspector reads every key; leave it out`);
  return [...variables, ...flags];
}
