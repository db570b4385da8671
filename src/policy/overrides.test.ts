import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { API, compileYaml, listViolations, routeOf } from './testing/compile-yaml.ts';

const BROAD = `
kind: ClusterAuthPolicy
metadata: {name: base}
spec:
  response:
  - {name: owned, setHeaders: [{name: X-Owned, value: broad}]}
  - {name: gone, removeHeaders: [X-Gone]}
---
`;
const HEADERS = 'headers: {X-OWNED: narrow, x-gone: narrow, x-own: mine}';
const narrow = (part: string): string => `
kind: AuthPolicy
metadata: {name: narrow}
spec: {targetRefs: [{kind: Api, name: fleet}], ${part}: [{name: r, respond: {status: 410, ${HEADERS}}}]}
---
`;
const TOLD = (part: string): readonly string[] =>
  ['X-OWNED', 'x-gone'].map(
    name =>
      `AuthPolicy shop/narrow spec.${part}[0]: writes the header "${name}", which the sealed ClusterAuthPolicy base sets or removes: it has no effect, remove it`,
  );

describe('S4: headers of a narrower respond that a sealed broader policy owns', () => {
  test('are left out in the request part', () => {
    const { snapshot } = compileYaml(API + BROAD + narrow('request'));
    const [step] = routeOf(snapshot, 'GET', '/a').pipeline.steps;
    assert.ok(step?.type === 'respond');
    assert.deepEqual(
      step.respond.headers.map(({ name }) => name),
      ['x-own'],
    );
    assert.deepEqual(listViolations(snapshot), TOLD('request'));
  });

  test('are left out in the response part', () => {
    const { snapshot } = compileYaml(API + BROAD + narrow('response'));
    const [step] = routeOf(snapshot, 'GET', '/a').pipeline.response.steps;
    assert.ok(step?.type === 'respond');
    assert.deepEqual(
      step.respond.headers.map(({ name }) => name),
      ['x-own'],
    );
    assert.deepEqual(listViolations(snapshot), TOLD('response'));
  });

  test('stay where the broader policy is not sealed', () => {
    const { snapshot } = compileYaml(API + BROAD.replace('spec:', 'spec:\n  sealed: false') + narrow('request'));
    const [step] = routeOf(snapshot, 'GET', '/a').pipeline.steps;
    assert.ok(step?.type === 'respond');
    assert.equal(step.respond.headers.length, 3);
  });
});
