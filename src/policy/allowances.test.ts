import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { findOpening } from './allowances.ts';
import { API, compileParsed, compileYaml, parseYaml } from './testing/compile-yaml.ts';

const policy = (allowances: string, more = ''): string => `
kind: ClusterAuthPolicy
metadata: {name: media}
spec: {allowances: [${allowances}]${more}}
---
`;
const OPEN = '{defaultAction: Allow, until: 2027-01-31T00:00:00Z}';
const END = Date.parse('2027-01-31T00:00:00Z');

const allowed = (text: string) => compileYaml(text).snapshot.allowances;

describe('allowances (S9)', () => {
  const given: Readonly<Record<string, readonly [text: string, count: number]>> = {
    'hold in every namespace where no selector narrows them': [policy(OPEN), 1],
    'hold in namespaces that their selector selects': [
      policy('{namespaceSelector: {matchLabels: {team: web}}, excludePorts: [9090]}'),
      1,
    ],
    'do not hold in other namespaces': [
      policy('{namespaceSelector: {matchLabels: {team: media}}, excludePorts: [9090]}'),
      0,
    ],
    'do not hold where their policy does not apply': [
      policy(OPEN, ', namespaceSelector: {matchLabels: {team: media}}'),
      0,
    ],
    'hold for a workload without an Api, and with one': [API + policy(OPEN), 1],
    'are not given by a policy of a namespace': [
      'kind: AuthPolicy\nmetadata: {name: a}\nspec: {allowances: [{excludePorts: [1]}]}\n',
      0,
    ],
    'are not given by a policy that cannot be parsed': [policy('{defaultAction: Allow}'), 0],
  };
  for (const [sentence, [text, count]] of Object.entries(given)) {
    it(sentence, () => assert.equal(allowed(text).length, count));
  }

  it('of a policy that has become invalid hold as they were (S6)', () => {
    const first = compileYaml(policy(OPEN));
    const broken = parseYaml(policy('{defaultAction: Allow}'));
    const second = compileParsed(broken, { remembered: first.remembered });
    assert.deepEqual(second.snapshot.allowances, first.snapshot.allowances);
    assert.deepEqual(compileParsed({ objects: [], invalid: [] }, second).snapshot.allowances, []);
  });

  it('show in status with their end', () => {
    const { notices } = compileYaml(policy('{udpPorts: [53, 54], privilegedContainers: true}') + API).snapshot;
    assert.deepEqual(notices, [
      'ClusterAuthPolicy media allows: UDP ports 53, 54 may be opened; privileged containers are let in',
    ]);
    assert.deepEqual(compileYaml(policy(OPEN)).snapshot.notices, [
      'ClusterAuthPolicy media allows until 2027-01-31T00:00:00.000Z: ports that no Api selects are open',
    ]);
  });

  it('end by themselves', () => {
    const later = '{defaultAction: Allow, until: "2027-01-31T01:00:00+01:00"}, {excludePorts: [1]}';
    const allowances = allowed(policy(later));
    assert.equal(findOpening(allowances, END - 1)?.until, END);
    assert.equal(findOpening(allowances, END), undefined);
  });

  it('that only exclude ports open nothing', () => {
    assert.equal(findOpening(allowed(policy('{excludePorts: [9090]}')), 0), undefined);
  });

  const unplaced: Readonly<Record<string, string>> = {
    'an Api that names a port which the pod does not have': 'podSelector: {matchLabels: {app: fleet}}, port: web',
    'an invalid Api that says no port': 'podSelector: {matchLabels: {app: fleet}}',
    'an invalid Api that says nothing': '',
  };
  for (const [what, spec] of Object.entries(unplaced)) {
    it(`open no port while there is ${what}: it may mean any`, () => {
      const text = `${policy(OPEN)}kind: Api\nmetadata: {name: lost}\nspec: {${spec}}\n`;
      assert.equal(findOpening(allowed(text), 0), undefined);
      assert.ok(!compileYaml(text).snapshot.notices.some(notice => notice.includes('open')));
    });
  }

  it('open ports in spite of an Api of other pods', () => {
    const text = `${policy(OPEN)}kind: Api\nmetadata: {name: b}\nspec: {podSelector: {matchLabels: {app: b}}, port: web}\n`;
    assert.notEqual(findOpening(allowed(text), 0), undefined);
  });

  it('of several, the one that ends last opens', () => {
    const two = allowed(policy(`{defaultAction: Allow, until: 2026-01-01T00:00:00Z}, ${OPEN}`));
    assert.equal(findOpening(two, 0)?.until, END);
  });
});
