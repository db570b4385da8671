/** The ends of streams as they are on the wire, where node:http2 itself tells less (Node 24.21). */
import type { Http2Stream } from 'node:http2';
import { addAbortSignal } from 'node:stream';

/**
 * Ends a stream in the middle, so that nobody takes it for whole. Not `close(code)`: that ends the writable half in order
 * first, and END_STREAM is out before RST_STREAM is.
 */
export function cutStream(stream: Http2Stream): void {
  stream.destroy(new Error('cut off'));
}

/** The same, with CANCEL instead of INTERNAL_ERROR: nobody waits for the answer any more. */
export function cancelStream(stream: Http2Stream): void {
  if (!stream.destroyed) addAbortSignal(AbortSignal.abort(), stream);
}

/**
 * Whether the app has ended its half with END_STREAM; to be asked when the stream says `end`. It says so too when it was
 * reset with NO_ERROR, or when its connection has gone. To be called before anything has come.
 */
export function watchEnd(stream: Http2Stream): () => boolean {
  const push = stream.push.bind(stream);
  let whole = false;
  stream.push = (chunk: unknown, encoding?: BufferEncoding) => {
    if (chunk === null && !stream.closed && !stream.destroyed) whole = true;
    return push(chunk, encoding);
  };
  return () => whole;
}
