/** Why an address or a socket could not be bound, as a sentence that names the flag and what to change. */

const FIXES: ReadonlyMap<string, string> = new Map([
  ['EADDRINUSE', 'another process has it; name another port or stop it'],
  ['EADDRNOTAVAIL', 'this machine has no such address; name one of its own'],
  ['EACCES', 'this user may not bind it; name another, or give the right to'],
  ['ENOTFOUND', 'this name has no address; write the address'],
  ['ENAMETOOLONG', 'the path is too long for a socket; name a shorter one'],
]);

/** `what` is the flag and its value: `--listen 127.0.0.1:8443`. The system's code stays on the error. */
export function explainBinding(what: string, error: unknown): Error {
  const code = readCode(error);
  return nameProblem(code, `${what}: ${FIXES.get(code) ?? `cannot be bound (${code})`}`, error);
}

export function nameProblem(code: string, sentence: string, cause?: unknown): Error {
  return Object.assign(new Error(sentence, cause === undefined ? {} : { cause }), { code });
}

export function readCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
}

/** As it is written on the command line: `127.0.0.1:80`, `[::1]:80`. */
export function showAddress({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
