import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectManifests } from './read-manifests.ts';

const told = (...texts: readonly string[]): string[] =>
  collectManifests(texts.map((text, at) => ({ name: `${at}.yaml`, text }))).violations.map(
    ({ position, problem }) => `${position?.file}:${position?.line}: ${problem}`,
  );

test('300,000 documents on standard input are one violation', () => {
  assert.deepEqual(told('---\na: 1\n'.repeat(300_000)), ['0.yaml:1: holds more than 5000 documents']);
  assert.deepEqual(told('...\n'.repeat(300_000)), ['0.yaml:1: holds more than 5000 documents']);
});

test('5000 documents are read, each parted by "..." and "---"', () => {
  const one = '---\napiVersion: v1\nkind: Other\n...\n';
  assert.deepEqual(told(one.repeat(5000)), []);
});

test('the problems of one file are told up to 100, and a neighbour’s all the same', () => {
  const problems = told('---\na: 1\n'.repeat(5000), 'a: 1\n');
  const ofFirst = problems.filter(line => line.startsWith('0.yaml:'));
  assert.equal(ofFirst.length, 101);
  assert.match(ofFirst.at(-1) ?? '', /^0\.yaml:1: and \d+ more problems$/);
  assert.ok(problems.length > ofFirst.length);
});
