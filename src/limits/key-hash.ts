/**
 * HalfSipHash-2-4 with 64 bits of output (Aumasson and Bernstein's reference, github.com/veorq/SipHash) over the code units
 * of a text. Keys of limits are chosen by clients: without the secret nobody can find two that fall together.
 */
export interface KeyHash {
  /** Of the text that was hashed last. */
  readonly low: number;
  readonly high: number;
  hash(text: string): void;
}

/** `secret`: 8 random bytes. */
export function createKeyHash(secret: Uint8Array): KeyHash {
  const view = new DataView(secret.buffer, secret.byteOffset, secret.byteLength);
  return new HalfSipHash(view.getInt32(0, true), view.getInt32(4, true));
}

/** Words of 32 bits as JavaScript has them; fields, so that a hash makes no object. */
class HalfSipHash implements KeyHash {
  low = 0;
  high = 0;
  readonly #k0: number;
  readonly #k1: number;

  constructor(k0: number, k1: number) {
    this.#k0 = k0;
    this.#k1 = k1;
  }

  hash(text: string): void {
    let v0 = this.#k0;
    let v1 = this.#k1 ^ 0xee;
    let v2 = this.#k0 ^ 0x6c796765;
    let v3 = this.#k1 ^ 0x74656462;
    const pairs = text.length & ~1;
    // The last word: the rest, and the length in bytes modulo 256.
    const rest = pairs === text.length ? 0 : text.charCodeAt(pairs);
    const last = ((text.length * 2) << 24) | rest;
    for (let at = 0; at <= pairs; at += 2) {
      const word = at === pairs ? last : text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16);
      v3 ^= word;
      for (let round = 0; round < 2; round++) {
        v0 = (v0 + v1) | 0;
        v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
        v0 = (v0 << 16) | (v0 >>> 16);
        v2 = (v2 + v3) | 0;
        v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
        v0 = (v0 + v3) | 0;
        v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
        v2 = (v2 + v1) | 0;
        v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
        v2 = (v2 << 16) | (v2 >>> 16);
      }
      v0 ^= word;
    }
    v2 ^= 0xee;
    for (let round = 0; round < 8; round++) {
      if (round === 4) {
        this.low = v1 ^ v3;
        v1 ^= 0xdd;
      }
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    this.high = v1 ^ v3;
  }
}
