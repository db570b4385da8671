/** Apps that speak another HTTP than they are spoken to: how that shows, and what is to be set. */

/** The `problem` of a connection that did not come to be. */
export type Misspoken = 'NO_HTTP2' | 'ONLY_HTTP2';

const DETAILS: Readonly<Record<Misspoken, string>> = {
  NO_HTTP2: 'the app does not speak HTTP/2: set app.protocol: HTTP1, or let the app accept HTTP/2',
  ONLY_HTTP2: 'the app speaks HTTP/2: set app.protocol: HTTP2',
};

/** For the log; undefined: the problem is another. */
export function explainProblem(problem: string): string | undefined {
  return problem === 'NO_HTTP2' || problem === 'ONLY_HTTP2' ? DETAILS[problem] : undefined;
}

/**
 * Whether what an app says to a request of HTTP/1.1 is HTTP/2: a SETTINGS frame of stream 0, which is the first that it
 * sends (RFC 9113 section 3.4), or a status line that nobody has defined. `text` is latin1, from the first byte on.
 */
export const beginsHttp2 = (text: string): boolean =>
  text.startsWith('HTTP/2') ||
  (text.charCodeAt(0) === 0 && text.charCodeAt(3) === SETTINGS && text.startsWith('\0\0\0\0\0', 4));

const SETTINGS = 4;
