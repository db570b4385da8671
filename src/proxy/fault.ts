/** What is told of an exception: its name and place, never its message, which may quote the request. */
export function describeFault(error: unknown): { readonly error: string; readonly at: string } {
  return { error: error instanceof Error ? error.name : typeof error, at: firstFrame(error) };
}

function firstFrame(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  return /\n\s+at ([^\n]+)/.exec(stack)?.[1]?.replace(/^.*\/(?=src\/)/, '') ?? '';
}
