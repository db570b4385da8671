/** Headers of the PROXY protocol as a sender writes them, by another way than they are read. */
import { SocketAddress } from 'node:net';

export const SIGNATURE = '\r\n\r\n\0\r\nQUIT\n';

export interface Written {
  readonly command?: number;
  readonly family?: number;
  /** Instead of the addresses. */
  readonly body?: Buffer;
  /** Behind the addresses. */
  readonly vectors?: Buffer;
  /** The length told; default: the right one. */
  readonly length?: number;
}

const bytesOf = (address: string): Buffer => {
  if (!address.includes(':')) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail = ''] = new SocketAddress({ address, family: 'ipv6' }).address.split('::');
  const [before, after] = [head, tail].map(part => (part === '' ? [] : part.split(':')));
  const zeros = Array.from({ length: 8 - (before?.length ?? 0) - (after?.length ?? 0) }, () => '0');
  const groups = [...(before ?? []), ...zeros, ...(after ?? [])];
  return Buffer.from(groups.map(group => group.padStart(4, '0')).join(''), 'hex');
};

/** Version 2, from `source` to an address of the same family. */
export function writeBinary(source: string, parts: Written = {}): Buffer {
  const isV6 = source.includes(':');
  const addresses = [
    bytesOf(source),
    bytesOf(isV6 ? '2001:db8::ffff' : '192.0.2.255'),
    Buffer.from([0xb1, 0x6e, 1, 187]),
  ];
  const body = Buffer.concat([parts.body ?? Buffer.concat(addresses), parts.vectors ?? Buffer.alloc(0)]);
  const length = parts.length ?? body.length;
  const fixed = [parts.command ?? 0x21, parts.family ?? (isV6 ? 0x21 : 0x11), length >> 8, length & 255];
  return Buffer.concat([Buffer.from(SIGNATURE, 'latin1'), Buffer.from(fixed), body]);
}

/** Version 1. */
export const writeLine = (source: string): Buffer =>
  Buffer.from(
    source.includes(':')
      ? `PROXY TCP6 ${source} 2001:db8::ffff 45422 443\r\n`
      : `PROXY TCP4 ${source} 192.0.2.255 45422 443\r\n`,
  );
