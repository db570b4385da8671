import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { createKeyHash } from './key-hash.ts';
import { createKeyTable } from './key-table.ts';

const SECRET = Uint8Array.from({ length: 8 }, (_, at) => at);

suite('HalfSipHash-2-4, 64 bits: vectors_hsip64 of the reference (key 00…07, input 00, 01, 02 …)', () => {
  // Of even length: code units are pairs of bytes.
  const VECTORS: Readonly<Record<number, string>> = {
    0: '218d1f59b9b83cc8',
    2: '064f39ef7c50eb57',
    4: 'd5e78a175be52ea1',
    6: 'ce3e91358aa2bc25',
    8: 'edfee820bce4858c',
    10: '95b0469f06a6f2ee',
    12: '7bc71f9faef5c799',
  };
  for (const [length, expected] of Object.entries(VECTORS)) {
    test(`${length} bytes`, () => {
      const hash = createKeyHash(SECRET);
      hash.hash(Buffer.from(Array.from({ length: Number(length) }, (_, at) => at)).toString('utf16le'));
      const out = Buffer.alloc(8);
      out.writeInt32LE(hash.low | 0, 0);
      out.writeInt32LE(hash.high | 0, 4);
      assert.equal(out.toString('hex'), expected);
    });
  }
});

const create = () => createKeyTable(createKeyHash(SECRET));

suite('a table of keys', () => {
  test('finds what it placed, by whatever text', () => {
    const table = create();
    for (const [at, key] of ['', '__proto__', 'constructor', 'ä', '\ud800', 'x'.repeat(60_000)].entries()) {
      assert.equal(table.find(key), -1);
      table.set(table.place(key, 0, 10), 100 + at, at);
      assert.deepEqual([table.until(table.find(key)), table.count(table.find(key))], [100 + at, at]);
    }
  });

  test('has no place beyond its bound, and keeps what it has', () => {
    const table = create();
    for (const key of ['a', 'b']) table.set(table.place(key, 0, 2), 10, 1);
    assert.equal(table.place('c', 5, 2), -1);
    assert.ok(table.find('a') >= 0 && table.find('b') >= 0);
    assert.notEqual(table.place('c', 10, 2), -1, 'when their time is over');
  });

  test('costs 20 bytes a place, a quarter of which is free', () => {
    const table = create();
    for (let at = 0; at < 90_000; at++) table.set(table.place(`key ${at}`, 0, 100_000), 10, 1);
    assert.equal(table.bytes, 131_072 * 20);
  });

  test('whose keys all come and go does not grow', () => {
    const table = create();
    for (let at = 0; at < 20_000; at++) table.set(table.place(`key ${at}`, at, 1_000_000), at + 10, 1);
    assert.ok(table.bytes <= 20 * 64, `${table.bytes} bytes`);
  });

  test('agrees with a Map that forgets what is over, whatever happens', () => {
    const step = fc.record({
      key: fc.integer({ min: 0, max: 40 }),
      wait: fc.integer({ min: 0, max: 3 }),
      keep: fc.integer({ min: 0, max: 30 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), fc.integer({ min: 1, max: 30 }), (steps, most) => {
        const table = create();
        const model = new Map<string, { until: number; count: number }>();
        let now = 0;
        for (const [at, { key, wait, keep }] of steps.entries()) {
          now += wait;
          const text = `key ${key}`;
          const place = table.place(text, now, most);
          // What is in force is never lost, and never more than `most`.
          for (const [name, entry] of model) {
            if (entry.until <= now) model.delete(name);
            else assert.equal(table.count(table.find(name)), entry.count, name);
          }
          assert.ok(table.size <= most);
          if (place < 0) assert.ok(model.size >= most && !model.has(text));
          else {
            table.set(place, now + keep, at);
            model.set(text, { until: now + keep, count: at });
          }
        }
      }),
      { numRuns: 150 },
    );
  });
});
