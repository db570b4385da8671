/** Content on its way into chunked framing, written afresh: extensions and the sender's chunk sizes do not pass. */
import type { Socket } from 'node:net';
import type { ParsedFields } from '../http/message.ts';
import { renderTrailers } from '../http/render.ts';

/** Up to this size one string is cheaper than three writes; the piece is not needed after the call. */
export const WRITTEN_AS_TEXT = 8192;

/** One chunk. False: the socket wants no more for now. */
export function writeChunk(socket: Socket, piece: Uint8Array): boolean {
  const size = piece.length.toString(16);
  if (piece.length <= WRITTEN_AS_TEXT) return socket.write(`${size}\r\n${latin1(piece)}\r\n`, 'latin1');
  socket.cork();
  socket.write(`${size}\r\n`, 'latin1');
  socket.write(piece);
  const more = socket.write('\r\n', 'latin1');
  socket.uncork();
  return more;
}

/** The last chunk and the trailers that may pass. */
export function writeLastChunk(socket: Socket, trailers: ParsedFields, reserved: ReadonlySet<string>): boolean {
  return socket.write(renderTrailers(trailers, reserved), 'latin1');
}

/** Bytes as text, one character a byte. */
export function latin1(bytes: Uint8Array): string {
  const view = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return view.toString('latin1');
}
