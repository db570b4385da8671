/** What nghttp2 finds at fault, told apart: a flood, a broken connection, or one broken stream, which costs only itself. */
import type { Http2Session, Http2Stream } from 'node:http2';
import { CODE } from './load.ts';

export interface Judged {
  /** Open ones, and those that were reset in this turn. */
  streams(): Iterable<Http2Stream>;
  /** Whether resets are why nghttp2 ends the connection. */
  isResetFlood(): boolean;
  /** Called once, before the connection ends with everything that is open on it. */
  ended(why: 'Http2Flood' | 'Http2Protocol', code: string): void;
}

/** Error numbers of nghttp2. */
const PROTOCOL = -505;
/** Too many invalid frames; more to answer than is taken. */
const FLOODS: ReadonlySet<number> = new Set([-902, -904]);
/** Those of the system are above. */
const FIRST = -500;

/**
 * node:http2 (24.21) destroys the session, of a client's connection or of the app's, whenever nghttp2 tells of a protocol
 * error, though nghttp2 has dealt with it: by RST_STREAM for DATA beyond content-length (RFC 9113 section 8.1.1), by GOAWAY
 * for the rest. So the end waits until it is known whether as many streams were reset as there were errors.
 */
export function judgeErrors(session: Http2Session, judged: Judged): void {
  const destroy = session.destroy.bind(session);
  const suspects = new Set<Http2Stream>();
  let errors = 0;
  const end = (why: 'Http2Flood' | 'Http2Protocol', error: Error | undefined): void => {
    if (session.destroyed) return;
    judged.ended(
      why,
      error !== undefined && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown',
    );
    destroy(error, why === 'Http2Flood' ? CODE.calm : CODE.protocol);
  };
  const conclude = (error: Error | undefined): void => {
    let broken = 0;
    for (const { rstCode } of suspects) if (rstCode === CODE.protocol) broken++;
    const isConnection = errors > broken;
    suspects.clear();
    errors = 0;
    if (isConnection) end('Http2Protocol', error);
  };
  session.destroy = (error, code) => {
    const number = readNumber(error);
    if (number === undefined) return destroy(error, code);
    if (FLOODS.has(number) || (number === PROTOCOL && judged.isResetFlood())) return end('Http2Flood', error);
    if (number !== PROTOCOL) return end('Http2Protocol', error);
    for (const stream of judged.streams()) if (!stream.closed) suspects.add(stream);
    // nghttp2 sends its RST_STREAM when it is through with what has come.
    if (errors++ === 0) setImmediate(() => conclude(error));
  };
}

/** `error` is whatever node:http2 passes: an error, a code, or null. */
function readNumber(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errno' in error) || typeof error.errno !== 'number') return undefined;
  return error.errno < FIRST ? error.errno : undefined;
}
