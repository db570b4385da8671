/** For tests: manifests as users write them, compiled for the workload app=fleet in the namespace shop. */
import assert from 'node:assert/strict';
import { parseAllDocuments } from 'yaml';
import type { SallyportObject } from '../../api/kinds/index.ts';
import type { InvalidObject } from '../../api/object.ts';
import { parseObject } from '../../api/parse.ts';
import { compileSnapshot, type CompileInput, type CompileOutput } from '../compile.ts';
import type { Match, Route, Snapshot } from '../model.ts';

const HEAD = { apiVersion: 'sallyport.dev/v1alpha1' };

export interface Parsed {
  readonly objects: readonly SallyportObject[];
  readonly invalid: readonly InvalidObject[];
}

/** Documents without apiVersion get ours; namespaced ones without a namespace live in shop. */
export function parseYaml(text: string): Parsed {
  const objects: SallyportObject[] = [];
  const invalid: InvalidObject[] = [];
  for (const document of parseAllDocuments(text)) {
    const value: unknown = document.toJS();
    if (value === null) continue;
    const result = parseObject({ ...HEAD, ...(value as object) }, undefined, { defaultNamespace: 'shop' });
    if (result.object !== undefined) objects.push(result.object);
    else if (result.invalid !== undefined) invalid.push(result.invalid);
    else assert.fail(JSON.stringify(result.violations));
  }
  return { objects, invalid };
}

export type Options = Partial<Omit<CompileInput, 'objects' | 'invalid'>>;

export function compileParsed({ objects, invalid }: Parsed, options: Options = {}): CompileOutput {
  return compileSnapshot({
    objects,
    invalid,
    lookup: () => 'text',
    workload: { namespace: 'shop', namespaceLabels: { team: 'web' }, labels: { app: 'fleet' } },
    generation: 1,
    hash: 'test',
    source: 'kubernetes',
    ...options,
  });
}

export const compileYaml = (text: string, options: Options = {}): CompileOutput =>
  compileParsed(parseYaml(text), options);

/** `AuthPolicy shop/p spec.request[0].when: problem, fix`. */
export const listViolations = ({ violations }: Snapshot): readonly string[] =>
  violations.map(({ object, field, problem, fix }) => `${object} ${field}: ${problem}, ${fix}`);

export function match(snapshot: Snapshot, method: string, path: string, host = 'any.example', port = 8080): Match {
  const listener = snapshot.listeners.get(port);
  assert.ok(listener !== undefined, `nothing listens on ${port}`);
  return listener.match(method, host, path);
}

export function routeOf(snapshot: Snapshot, method: string, path: string, host?: string): Route {
  const found = match(snapshot, method, path, host);
  return found.kind === 'matched' ? found.route : assert.fail(found.reason);
}

/** Labels of the steps that a request meets. */
export const stepsOf = (snapshot: Snapshot, method = 'GET', path = '/a'): readonly string[] =>
  routeOf(snapshot, method, path).pipeline.steps.map(step => step.label);

/** An Api on port 8080 with the operations a (`/a`), b (`/b/{id}`) and whatever is written below. */
export const API = `
kind: Api
metadata: {name: fleet, labels: {product: gold}}
spec:
  podSelector: {matchLabels: {app: fleet}}
  port: 8080
  operations: [{name: a, path: /a}, {name: b, path: "/b/{id}"}]
---
`;

/** A policy with one authorize step named like it. */
export const policy = (name: string, spec = '', kind = 'AuthPolicy'): string => `
kind: ${kind}
metadata: {name: ${name}}
spec:
  ${spec === '' ? 'sealed: true' : spec}
  request: [{name: s, authorize: {deny: [{expression: "false"}]}}]
---
`;
