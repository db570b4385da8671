/** ECDSA signatures: from the form of tokens to the form of OpenSSL. */

const INTEGER = 0x02;
const SEQUENCE = 0x30;

/**
 * r and s side by side, each half of the bytes (IEEE P1363, RFC 7518 section 3.4), as the DER sequence of two integers
 * (RFC 3279 section 2.2.3). Nothing is judged: zero stays zero, and OpenSSL refuses it.
 */
export function encodeSignature(signature: Buffer): Buffer {
  const half = signature.length / 2;
  const r = encodeUnsigned(signature.subarray(0, half));
  const s = encodeUnsigned(signature.subarray(half));
  const length = r.length + s.length;
  // Two integers of 66 bytes and their heads are 138 at most: one byte of length after 0x81 is enough.
  const head = length < 0x80 ? [SEQUENCE, length] : [SEQUENCE, 0x81, length];
  return Buffer.concat([Buffer.from(head), r, s]);
}

/** The shortest form, with a zero before a first bit that would make it negative. */
function encodeUnsigned(bytes: Buffer): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const rest = bytes.subarray(start);
  const padding = (rest[0] ?? 0) >= 0x80 ? [0] : [];
  return Buffer.concat([Buffer.from([INTEGER, rest.length + padding.length, ...padding]), rest]);
}
