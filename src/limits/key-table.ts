/**
 * A table of keys and what is counted for each, of bounded size: 20 bytes a place, whatever the keys' length. Keys are held
 * as 64 bits of a keyed hash; two keys that fall together would share a counter, and nobody can make two do so. Open
 * addressing with linear probing; a place whose time is over is free for others.
 */
import type { KeyHash } from './key-hash.ts';

export interface KeyTable {
  /** The key's place, or -1. Places hold until the next `place`. */
  find(key: string): number;
  /** The key's place, a new one if it has none (`until` 0, `count` 0); -1 when `most` keys have one. */
  place(key: string, now: number, most: number): number;
  /** The moment from which on nothing needs to be remembered of the key. Never negative. */
  until(place: number): number;
  count(place: number): number;
  set(place: number, until: number, count: number): void;
  readonly size: number;
  /** Bytes of its arrays. */
  readonly bytes: number;
}

const SMALLEST = 16;
/** Of 8 places, those that may be taken before the table grows. */
const FULL_OF_8 = 6;
/** Places that are looked at for each new key: the table empties faster than it fills, and no call pays for all of it. */
const SWEEP = 4;
/** Of a full table, before a new key is told that there is no place. */
const SWEEP_FULL = 256;
const FREE = -1;

export const createKeyTable = (hash: KeyHash): KeyTable => new OpenTable(hash);

class OpenTable implements KeyTable {
  size = 0;
  readonly #hash: KeyHash;
  #mask = SMALLEST - 1;
  #low = new Int32Array(SMALLEST);
  #high = new Int32Array(SMALLEST);
  #until = new Float64Array(SMALLEST).fill(FREE);
  #count = new Uint32Array(SMALLEST);
  /** Where sweeping goes on. */
  #cursor = 0;

  constructor(hash: KeyHash) {
    this.#hash = hash;
  }

  get bytes(): number {
    return this.#low.byteLength + this.#high.byteLength + this.#until.byteLength + this.#count.byteLength;
  }

  until(place: number): number {
    return this.#until[place] ?? 0;
  }

  count(place: number): number {
    return this.#count[place] ?? 0;
  }

  set(place: number, until: number, count: number): void {
    this.#until[place] = Math.max(0, until);
    this.#count[place] = count;
  }

  find(key: string): number {
    this.#hash.hash(key);
    const at = this.#probe(this.#hash.low, this.#hash.high);
    return this.#until[at] === FREE ? -1 : at;
  }

  place(key: string, now: number, most: number): number {
    this.#hash.hash(key);
    const { low, high } = this.#hash;
    const known = this.#probe(low, high);
    if (this.#until[known] !== FREE) return known;
    this.#sweep(SWEEP, now, this.size);
    if (this.size >= most) this.#sweep(SWEEP_FULL, now, most);
    if (this.size >= most) return -1;
    if ((this.size + 1) * 8 > (this.#mask + 1) * FULL_OF_8) this.#grow();
    const at = this.#probe(low, high);
    this.#low[at] = low;
    this.#high[at] = high;
    this.#until[at] = 0;
    this.#count[at] = 0;
    this.size += 1;
    return at;
  }

  /** Where these bits are, or the free place that ends their search. */
  #probe(low: number, high: number): number {
    let at = low & this.#mask;
    while (this.#until[at] !== FREE && (this.#low[at] !== low || this.#high[at] !== high)) at = (at + 1) & this.#mask;
    return at;
  }

  /** Frees places whose time is over: looks at `places` of them, or until fewer than `enough` keys are left. */
  #sweep(places: number, now: number, enough: number): void {
    for (let looked = 0; looked < places && looked <= this.#mask; looked++) {
      const until = this.#until[this.#cursor] ?? FREE;
      // What moves up into the free place is looked at next.
      if (until !== FREE && until <= now) this.#remove(this.#cursor);
      else this.#cursor = (this.#cursor + 1) & this.#mask;
      if (places > SWEEP && this.size < enough) return;
    }
  }

  /** Later keys of the same search move up, so that none is cut off by the gap (Knuth, volume 3, 6.4, algorithm R). */
  #remove(from: number): void {
    let gap = from;
    for (let at = (gap + 1) & this.#mask; this.#until[at] !== FREE; at = (at + 1) & this.#mask) {
      const home = (this.#low[at] ?? 0) & this.#mask;
      if (((at - home) & this.#mask) < ((at - gap) & this.#mask)) continue;
      this.#move(at, gap);
      gap = at;
    }
    this.#until[gap] = FREE;
    this.size -= 1;
  }

  #move(from: number, to: number): void {
    this.#low[to] = this.#low[from] ?? 0;
    this.#high[to] = this.#high[from] ?? 0;
    this.#until[to] = this.#until[from] ?? FREE;
    this.#count[to] = this.#count[from] ?? 0;
  }

  #grow(): void {
    const [low, high, until, count] = [this.#low, this.#high, this.#until, this.#count];
    const places = (this.#mask + 1) * 2;
    this.#mask = places - 1;
    this.#low = new Int32Array(places);
    this.#high = new Int32Array(places);
    this.#until = new Float64Array(places).fill(FREE);
    this.#count = new Uint32Array(places);
    for (let from = 0; from < until.length; from++) {
      if (until[from] === FREE) continue;
      const at = this.#probe(low[from] ?? 0, high[from] ?? 0);
      this.#low[at] = low[from] ?? 0;
      this.#high[at] = high[from] ?? 0;
      this.#until[at] = until[from] ?? 0;
      this.#count[at] = count[from] ?? 0;
    }
  }
}
