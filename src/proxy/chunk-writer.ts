/** Content on its way into chunked framing, written afresh: extensions and the sender's chunk sizes do not pass. */
import type { Socket } from 'node:net';
import { CHUNK_END, chunkStart, LAST_CHUNK } from '../http/body.ts';
import type { ParsedFields } from '../http/message.ts';
import { renderTrailers } from '../http/render.ts';

/** Up to this size one string is cheaper than three writes; the piece is not needed after the call. */
export const WRITTEN_AS_TEXT = 8192;

export function writeChunk(socket: Socket, piece: Uint8Array): void {
  const start = chunkStart(piece.length);
  if (piece.length <= WRITTEN_AS_TEXT) {
    socket.write(start + latin1(piece) + CHUNK_END, 'latin1');
    return;
  }
  socket.cork();
  socket.write(start, 'latin1');
  socket.write(piece);
  socket.write(CHUNK_END, 'latin1');
  socket.uncork();
}

/** The last chunk and the trailers that may pass; without trailers, the sender could have none. */
export const renderLastChunk = (trailers: ParsedFields | undefined, reserved: ReadonlySet<string>): string =>
  trailers === undefined ? LAST_CHUNK : renderTrailers(trailers, reserved);

/** Bytes as text, one character a byte. */
export function latin1(bytes: Uint8Array): string {
  const view = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return view.toString('latin1');
}
