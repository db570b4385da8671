import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readOptions } from './options.ts';

const choices = { measures: ['plain', 'token'], peers: ['Sallyport', 'HAProxy'] };

test('nothing given measures everything and writes the report', () => {
  assert.deepEqual(readOptions([], choices), { seconds: 5, rounds: 3, write: true });
});

test('names and numbers are read', () => {
  const args = ['--seconds', '2', '--rounds=1', '--only', 'plain, token', '--peers', 'HAProxy', '--no-write'];
  const expected = { seconds: 2, rounds: 1, only: ['plain', 'token'], peers: ['HAProxy'], write: false };
  assert.deepEqual(readOptions(args, choices), expected);
});

for (const [sentence, [args, problem]] of Object.entries<[string[], string]>({
  'an option that does not exist': [['--fast'], '--fast is not an option'],
  'a word': [['plain'], '"plain" is not an option'],
  'a measure that does not exist': [['--only', 'nonsense'], '--only: "nonsense" is none of plain, token'],
  'a peer that does not exist': [['--peers', 'nginx'], '--peers: "nginx" is none of Sallyport, HAProxy'],
  'no number': [['--seconds', 'ten'], '--seconds is "ten"; must be a number from 1 to 600'],
  'no rounds': [['--rounds', '0'], '--rounds is "0"; must be a number from 1 to 100'],
  'an option without its value': [['--only'], '--only needs a value'],
  'a switch with a value': [['--no-write=yes'], '--no-write takes no value'],
})) {
  test(`${sentence} is a problem`, () => {
    assert.deepEqual(readOptions(args, choices), { problems: [problem] });
  });
}
