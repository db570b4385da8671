import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findPlan } from '../proxy/generation.ts';
import { DEFAULT_LIMITS } from './default-limits.ts';
import { API, compileYaml, match } from './testing/compile-yaml.ts';

const broken = (spec: string): string => `
kind: Api
metadata: {name: broken}
spec: {podSelector: {matchLabels: {app: fleet}}, unknown: 1, ${spec}}
---
`;

describe('a port whose only Api cannot be parsed (S6)', () => {
  test('answers 503 for what the Api would serve, 404 for the rest', () => {
    const { snapshot } = compileYaml(broken('port: 8080, hosts: [a.example], basePath: /v1'));
    const held = match(snapshot, 'GET', '/v1/x', 'a.example');
    assert.ok(held.kind === 'refused' && held.reason === 'PolicyInvalid');
    const other = match(snapshot, 'GET', '/v1/x', 'b.example');
    assert.ok(other.kind === 'refused' && other.reason === 'OperationNotFound');
  });

  test('is found by the name of its container port', () => {
    const workload = { namespace: 'shop', namespaceLabels: {}, labels: { app: 'fleet' }, ports: { http: 8081 } };
    const { snapshot } = compileYaml(broken('port: http'), { workload });
    assert.equal(snapshot.listeners.get(8081)?.held, true);
  });

  test('speaks TLS when the Api would', () => {
    const spec = 'port: 8080, hosts: [A.example.], tls: {mode: Terminate, certificate: {secretName: web}}';
    const { snapshot } = compileYaml(broken(spec));
    const { mode, certificates } = snapshot.listeners.get(8080)?.tls ?? {};
    assert.deepEqual(
      { mode, certificates },
      {
        mode: 'Terminate',
        certificates: [{ hosts: ['a.example'], secret: 'shop/web' }],
      },
    );
  });

  test('does not take a listener without PORT= from the port that is served', () => {
    const { snapshot } = compileYaml(API + broken('port: 9090'));
    assert.equal(findPlan(snapshot, undefined, 1)?.port, 8080);
    assert.equal(findPlan(snapshot, 9090, 1)?.held, true);
  });

  test('bears what an Api without limits bears', () => {
    const { snapshot } = compileYaml(API);
    assert.deepEqual(snapshot.listeners.get(8080)?.limits, DEFAULT_LIMITS);
  });
});
