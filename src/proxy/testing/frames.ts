/** Raw HTTP/2 frames (RFC 9113) for tests: what no library would send, and what came back, frame by frame. */
import { connect, type Socket } from 'node:net';

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
} as const;
export const FLAG = { ack: 1, endStream: 1, endHeaders: 4 } as const;
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export function encodeFrame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export const uint32 = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, at) => bytes.writeUInt32BE(value, 4 * at));
  return bytes;
};

/** Literals without indexing and without Huffman coding (RFC 7541 section 6.2.2): any bytes may stand in them. */
export function encodeFields(pairs: readonly string[]): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < pairs.length; at += 2) {
    parts.push(Buffer.from([0]), encodeString(pairs[at] ?? ''), encodeString(pairs[at + 1] ?? ''));
  }
  return Buffer.concat(parts);
}

function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  const length: number[] = [];
  if (bytes.length < 127) length.push(bytes.length);
  else {
    length.push(127);
    let rest = bytes.length - 127;
    for (; rest >= 128; rest >>>= 7) length.push((rest & 127) | 128);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** Status codes of the static table (RFC 7541 appendix A), and three digits of Huffman code. */
const INDEXED: Readonly<Record<number, string>> = {
  0x88: '200',
  0x89: '204',
  0x8a: '206',
  0x8b: '304',
  0x8c: '400',
  0x8d: '404',
  0x8e: '500',
};
const DIGITS: readonly (readonly [bits: string, digit: string])[] = [
  ['00000', '0'],
  ['00001', '1'],
  ['00010', '2'],
  ...[3, 4, 5, 6, 7, 8, 9].map(digit => [(0x16 + digit).toString(2).padStart(6, '0'), String(digit)] as const),
];

function readStatus(block: Buffer): string {
  // A change of the table's size may stand first.
  let at = 0;
  while (((block[at] ?? 0) & 0xe0) === 0x20) {
    if (((block[at++] ?? 0) & 0x1f) === 0x1f) while (((block[at++] ?? 0) & 0x80) !== 0);
  }
  const first = block[at] ?? 0;
  if (first in INDEXED) return INDEXED[first] ?? '';
  const length = (block[at + 1] ?? 0) & 0x7f;
  const text = block.subarray(at + 2, at + 2 + length);
  if (((block[at + 1] ?? 0) & 0x80) === 0) return text.toString('latin1');
  let bits = [...text].map(byte => byte.toString(2).padStart(8, '0')).join('');
  let digits = '';
  while (digits.length < 3) {
    const found = DIGITS.find(([code]) => bits.startsWith(code));
    if (found === undefined) return '?';
    digits += found[1];
    bits = bits.slice(found[0].length);
  }
  return digits;
}

export class FrameWire {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  closed = false;
  #bytes: Buffer = Buffer.alloc(0);
  #look: (() => void)[] = [];

  constructor(socket: Socket, preface = true) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
    if (!preface) return;
    socket.write(PREFACE, 'latin1');
    this.send(FRAME.settings, 0, 0);
  }

  #take(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    while (this.#bytes.length >= 9) {
      const length = this.#bytes.readUIntBE(0, 3);
      if (this.#bytes.length < 9 + length) break;
      const [type = 0, flags = 0] = this.#bytes.subarray(3, 5);
      const stream = this.#bytes.readUInt32BE(5);
      this.frames.push({ type, flags, stream, payload: this.#bytes.subarray(9, 9 + length) });
      this.#bytes = this.#bytes.subarray(9 + length);
    }
    this.#wake();
  }

  #wake(): void {
    for (const look of this.#look.splice(0)) look();
  }

  send(type: number, flags: number, stream: number, payload?: Buffer): this {
    this.socket.write(encodeFrame(type, flags, stream, payload));
    return this;
  }

  /** HEADERS with the usual pseudo header fields, if `pairs` has none of its own. */
  request(stream: number, pairs: readonly string[] = [], ends = true): this {
    const all = pairs[0]?.startsWith(':') === true ? pairs : [...REQUEST, ...pairs];
    return this.send(FRAME.headers, FLAG.endHeaders | (ends ? FLAG.endStream : 0), stream, encodeFields(all));
  }

  /** Waits for a frame that fits; undefined when the connection ends before. */
  async find(fits: (frame: Frame) => boolean): Promise<Frame | undefined> {
    for (;;) {
      const found = this.frames.find(fits);
      if (found !== undefined || this.closed) return found;
      await new Promise<void>(resolve => this.#look.push(resolve));
    }
  }

  /** How a stream is answered: `status 200`, `reset 1`, `goaway 11`, or `closed`. */
  async outcome(stream: number): Promise<string> {
    const frame = await this.find(
      ({ type, stream: of }) =>
        type === FRAME.goaway || (of === stream && (type === FRAME.headers || type === FRAME.reset)),
    );
    if (frame === undefined) return 'closed';
    if (frame.type === FRAME.headers) return `status ${readStatus(frame.payload)}`;
    if (frame.type === FRAME.reset) return `reset ${frame.payload.readUInt32BE(0)}`;
    return `goaway ${frame.payload.readUInt32BE(4)}`;
  }

  async gone(): Promise<void> {
    while (!this.closed) await new Promise<void>(resolve => this.#look.push(resolve));
  }
}

export const REQUEST = [':method', 'GET', ':scheme', 'http', ':authority', 'fleet.example.com', ':path', '/open'];

export const openFrames = (port: number, preface = true): FrameWire =>
  new FrameWire(connect({ port, host: '127.0.0.1', noDelay: true }), preface);
