/** What must not be set around a process that holds keys: each of these opens it, or makes it trust anybody. */

const REFUSED: Readonly<Record<string, string>> = {
  NODE_OPTIONS: 'can load code or open the inspector',
  NODE_TLS_REJECT_UNAUTHORIZED: 'switches the verification of servers off',
  NODE_DEBUG: 'prints what is sent, credentials included',
};

/** Every reason why the data path must not start in this process; empty: it may. Pure. */
export function findUnsafeSettings(
  env: Readonly<Record<string, string | undefined>>,
  execArgv: readonly string[],
): string[] {
  const variables = Object.entries(REFUSED)
    .filter(([name]) => (env[name] ?? '') !== '')
    .map(([name, why]) => `${name} is set, which ${why}; unset it`);
  const flags = execArgv
    .filter(flag => /^--(inspect|debug)/.test(flag))
    .map(flag => `${flag.split('=', 1).join('')} is on: the inspector reads every key; leave it out`);
  return [...variables, ...flags];
}
