/** Address ranges in CIDR notation (RFC 4632, RFC 4291), read without Node. */

export interface Cidr {
  readonly family: 4 | 6;
  /** 4 or 16 bytes, network order. */
  readonly bytes: readonly number[];
  readonly prefix: number;
}

/** The four bytes of a dotted-quad address without leading zeros, or undefined. */
export function parseIpv4(text: string): number[] | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const bytes = parts.map(part => (/^(0|[1-9][0-9]{0,2})$/.test(part) ? Number(part) : 256));
  return bytes.every(byte => byte < 256) ? bytes : undefined;
}

/** The sixteen bytes of an IPv6 address without zone, or undefined. */
export function parseIpv6(text: string): number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2 || text.length > 45) return undefined;
  const [head, tail] = [readGroups(halves[0] ?? ''), readGroups(halves[1] ?? '')];
  // The dotted form stands at the end of the whole address only.
  if (head === undefined || tail === undefined || /[.].*::/.test(text)) return undefined;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 2) return undefined;
  return [...head, ...Array.from({ length: missing }, () => 0), ...tail];
}

function readGroups(text: string): number[] | undefined {
  if (text === '') return [];
  const bytes: number[] = [];
  const groups = text.split(':');
  for (const [index, group] of groups.entries()) {
    if (group.includes('.') && index === groups.length - 1) {
      const embedded = parseIpv4(group);
      if (embedded === undefined) return undefined;
      bytes.push(...embedded);
    } else if (/^[0-9A-Fa-f]{1,4}$/.test(group)) {
      const value = parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    } else return undefined;
  }
  return bytes;
}

/** A range, or undefined when the text is not `address/prefix`. Bits beyond the prefix are kept as written. */
export function parseCidr(text: string): Cidr | undefined {
  const [, address = '', digits = ''] = /^([^/]*)\/(0|[1-9][0-9]{0,2})$/.exec(text) ?? [];
  const family = address.includes(':') ? 6 : 4;
  const bytes = family === 6 ? parseIpv6(address) : parseIpv4(address);
  const prefix = Number(digits);
  if (bytes === undefined || digits === '' || prefix > bytes.length * 8) return undefined;
  return { family, bytes, prefix };
}

/** The same range with every bit beyond the prefix cleared. */
export function maskCidr(cidr: Cidr): Cidr {
  const bytes = cidr.bytes.map((byte, index) => {
    const kept = Math.min(8, Math.max(0, cidr.prefix - index * 8));
    return byte & (0xff << (8 - kept)) & 0xff;
  });
  return { ...cidr, bytes };
}

/** IPv6 groups are written in full, so that the text is unambiguous rather than short. */
export function formatCidr(cidr: Cidr): string {
  if (cidr.family === 4) return `${cidr.bytes.join('.')}/${cidr.prefix}`;
  const groups = Array.from({ length: 8 }, (_, group) =>
    (((cidr.bytes[group * 2] ?? 0) << 8) | (cidr.bytes[group * 2 + 1] ?? 0)).toString(16),
  );
  return `${groups.join(':').replace(/(^|:)0(:0)+$/, '::')}/${cidr.prefix}`;
}

/** ::ffff:0:0/96, whose members are IPv4 addresses and are judged as such everywhere. */
export const isIpv4Mapped = (cidr: Cidr): boolean =>
  cidr.family === 6 && cidr.prefix >= 96 && cidr.bytes.slice(0, 12).every((byte, i) => byte === (i < 10 ? 0 : 0xff));
