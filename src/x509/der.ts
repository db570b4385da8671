/**
 * x509: ground floor, pure. Identity of a certificate, distinguished names, RFC 5280 path validation, CRL reading.
 * May import asn1js and nothing of Node; hashes and signature checks are arguments.
 *
 * This file is the only one that knows the ASN.1 library. asn1js reads BER, certificates are DER (X.690 section 10):
 * what is not DER is refused before the library sees it, so that no two readers can understand one certificate differently.
 */
import { fromBER, type BaseBlock } from 'asn1js';

/** The bytes are not what they should be. `message` is fixed text and never holds a byte of the input. */
export class Asn1Error extends Error {
  override readonly name = 'Asn1Error';
}

export const UNIVERSAL = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8: 0x0c,
  numeric: 0x12,
  printable: 0x13,
  teletex: 0x14,
  ia5: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  visible: 0x1a,
  universalString: 0x1c,
  bmp: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** One element: `tag` is the identifier octet; offsets count from the start of the buffer. */
export interface Frame {
  readonly tag: number;
  readonly start: number;
  readonly content: number;
  readonly end: number;
}

const MAX_DEPTH = 24;
const CONSTRUCTED = 0x20;

/** Reads one identifier and length. @throws Asn1Error for high tag numbers, indefinite, padded or overlong lengths. */
export function readFrame(bytes: Uint8Array, start: number, limit: number): Frame {
  const tag = bytes[start];
  const first = bytes[start + 1];
  if (start + 2 > limit || tag === undefined || first === undefined) throw new Asn1Error('truncated element');
  if ((tag & 0x1f) === 0x1f || tag === 0) throw new Asn1Error('tag out of range');
  let length = first;
  let content = start + 2;
  if (first >= 0x80) {
    const octets = first & 0x7f;
    if (octets === 0 || octets > 4) throw new Asn1Error('length is indefinite or too long');
    if (content + octets > limit) throw new Asn1Error('truncated length');
    length = 0;
    for (let i = 0; i < octets; i++) length = length * 256 + (bytes[content + i] ?? 0);
    content += octets;
    if (length < 0x80 || length < 256 ** (octets - 1)) throw new Asn1Error('length is padded');
  }
  if (length > limit - content) throw new Asn1Error('element is longer than what holds it');
  return { tag, start, content, end: content + length };
}

/** Checks that `bytes` is exactly one DER element of at most `maxNodes` elements. @throws Asn1Error */
export function checkDer(bytes: Uint8Array, maxNodes: number): void {
  let nodes = 0;
  const visit = (start: number, limit: number, depth: number): number => {
    nodes += 1;
    if (nodes > maxNodes) throw new Asn1Error('too many elements');
    if (depth > MAX_DEPTH) throw new Asn1Error('nested too deep');
    const frame = readFrame(bytes, start, limit);
    if ((frame.tag & CONSTRUCTED) === 0) checkPrimitive(bytes, frame);
    else {
      if (frame.tag < 0x40 && frame.tag !== UNIVERSAL.sequence && frame.tag !== UNIVERSAL.set) {
        throw new Asn1Error('constructed encoding of a primitive type');
      }
      let at = frame.content;
      while (at < frame.end) at = visit(at, frame.end, depth + 1);
    }
    return frame.end;
  };
  if (visit(0, bytes.length, 0) !== bytes.length) throw new Asn1Error('trailing bytes');
}

function checkPrimitive(bytes: Uint8Array, { tag, content, end }: Frame): void {
  const length = end - content;
  const first = bytes[content] ?? 0;
  const last = bytes[end - 1] ?? 0;
  switch (tag) {
    case UNIVERSAL.boolean:
      if (length !== 1 || (first !== 0 && first !== 0xff)) throw new Asn1Error('BOOLEAN is not DER');
      return;
    case UNIVERSAL.integer:
    case UNIVERSAL.enumerated: {
      if (length === 0) throw new Asn1Error('INTEGER is empty');
      const second = bytes[content + 1] ?? 0;
      const padded = length > 1 && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80));
      if (padded) throw new Asn1Error('INTEGER is padded');
      return;
    }
    case UNIVERSAL.bitString:
      if (length === 0 || first > 7 || (length === 1 && first !== 0)) throw new Asn1Error('BIT STRING is not DER');
      if ((last & ((1 << first) - 1)) !== 0 && length > 1) throw new Asn1Error('BIT STRING has bits beyond its end');
      return;
    case UNIVERSAL.null:
      if (length !== 0) throw new Asn1Error('NULL is not empty');
      return;
    case UNIVERSAL.oid:
      checkOid(bytes, content, end);
      return;
    case 0x10:
    case 0x11:
      throw new Asn1Error('primitive encoding of a constructed type');
    default:
  }
}

function checkOid(bytes: Uint8Array, content: number, end: number): void {
  if (content === end || end - content > 64) throw new Asn1Error('OBJECT IDENTIFIER has a wrong length');
  for (let at = content, starts = true; at < end; at++) {
    const octet = bytes[at] ?? 0;
    // A padded arc reads as the same identifier in lax parsers and as another one in strict ones.
    if (starts && octet === 0x80) throw new Asn1Error('OBJECT IDENTIFIER is padded');
    starts = octet < 0x80;
  }
  if ((bytes[end - 1] ?? 0x80) >= 0x80) throw new Asn1Error('OBJECT IDENTIFIER is truncated');
}

/** An element as the library read it. */
export type Node = BaseBlock;

export const MAX_NODES = 2000;

/** Parses exactly one DER element. @throws Asn1Error and nothing else. */
export function parseDer(bytes: Uint8Array): Node {
  checkDer(bytes, MAX_NODES);
  try {
    // The library's fast path and its views want a plain Uint8Array; a Buffer is only looked at anew, not copied.
    const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const { offset, result } = fromBER(plain, { maxDepth: MAX_DEPTH + 1, maxNodes: MAX_NODES, parseEmbedded: false });
    if (offset !== bytes.length || result.error !== '') throw new Asn1Error('not ASN.1');
    return result;
  } catch (error) {
    if (error instanceof Asn1Error) throw error;
    throw new Asn1Error('not ASN.1');
  }
}

/** Identifier and length octets included. */
export const rawOf = (node: Node): Uint8Array => node.valueBeforeDecodeView;

export function contentOf(node: Node): Uint8Array {
  return rawOf(node).subarray(node.idBlock.blockLength + node.lenBlock.blockLength);
}

/** The identifier octet. */
export const tagOf = (node: Node): number => rawOf(node)[0] ?? 0;

/** The elements of a constructed element with that identifier octet. @throws Asn1Error */
export function childrenOf(node: Node | undefined, tag: number = UNIVERSAL.sequence): readonly Node[] {
  if (node === undefined || tagOf(node) !== tag) throw new Asn1Error('another type was expected');
  const { value } = node.valueBlock as { value?: unknown };
  if (!Array.isArray(value)) throw new Asn1Error('another type was expected');
  return value as Node[];
}

/** Content of a primitive element with that identifier octet. @throws Asn1Error */
export function primitiveOf(node: Node | undefined, tag: number): Uint8Array {
  if (node === undefined || tagOf(node) !== tag) throw new Asn1Error('another type was expected');
  return contentOf(node);
}

/** A sequence of at least one element. @throws Asn1Error */
export function someOf(node: Node | undefined, tag: number = UNIVERSAL.sequence): readonly Node[] {
  const children = childrenOf(node, tag);
  if (children.length === 0) throw new Asn1Error('an empty list');
  return children;
}
