import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { renderCrd } from './crd.ts';
import { memberPath } from './field-path.ts';
import { KINDS, type KindName } from './kinds/index.ts';
import { pageName, renderReasons, renderReference } from './reference.ts';
import { REASON_NAMES } from './reasons.ts';
import { narrow, type AnySchema } from './schema.ts';

const KIND_NAMES = Object.keys(KINDS) as KindName[];

interface Place {
  readonly path: string;
  readonly schema: AnySchema;
  /** A member of an object, rather than an item or value. */
  readonly member: boolean;
}

function* walk(schema: AnySchema, path: string, member: boolean): Generator<Place> {
  yield { path, schema, member };
  if (schema.type === 'list') yield* walk(narrow(schema.items), `${path}[]`, false);
  if (schema.type === 'map') yield* walk(narrow(schema.values), `${path}.*`, false);
  if (schema.type !== 'object') return;
  for (const [name, field] of Object.entries(schema.fields))
    yield* walk(narrow(field.schema), memberPath(path, name), true);
}

const places = KIND_NAMES.flatMap(kind => [...walk(narrow(KINDS[kind].spec), kind, true)]);

describe('the description of every kind', () => {
  it('says of every field what it is, in a sentence', () => {
    const silent = places.filter(({ member, schema }) => member && !/[.?!]$/.test(schema.description ?? ''));
    assert.deepEqual(
      silent.map(({ path }) => path),
      [],
    );
  });

  it('keeps patterns within what both doors understand alike', () => {
    for (const { path, schema } of places) {
      if (schema.type !== 'string' || schema.pattern === undefined) continue;
      assert.doesNotThrow(() => new RegExp(schema.pattern ?? '', 'u'), path);
      assert.match(schema.pattern, /^\^.*\$$/, `${path} is not anchored`);
      assert.doesNotMatch(schema.pattern, /\(\?|\\[bBdDwW1-9]/, `${path} uses what RE2 or CEL reads otherwise`);
      assert.ok(schema.patternText !== undefined, `${path} does not say what it wants`);
    }
  });

  it('names every choice among the members that exist', () => {
    for (const { path, schema } of places) {
      if (schema.type !== 'object') continue;
      const named = [
        ...(schema.exactlyOneOf ?? []),
        ...(schema.atMostOneOf ?? []),
        ...(schema.atLeastOneOf ?? []),
      ].flat();
      for (const name of named) assert.ok(Object.hasOwn(schema.fields, name), `${path}: ${name}`);
    }
  });
});

type Json = Readonly<Record<string, unknown>>;
const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
const member = (value: unknown, ...path: readonly string[]): unknown =>
  path.reduce<unknown>((found, name) => (isJson(found) ? found[name] : undefined), value);

function specSchema(kind: KindName): unknown {
  const versions = member(renderCrd(kind), 'spec', 'versions');
  assert.ok(Array.isArray(versions));
  return member(versions[0], 'schema', 'openAPIV3Schema', 'properties', 'spec');
}

/** Every schema of a structural schema. */
function* schemasOf(schema: unknown, path: string): Generator<{ path: string; schema: Json }> {
  if (!isJson(schema)) return;
  yield { path, schema };
  for (const [name, property] of Object.entries(member(schema, 'properties') ?? {}))
    yield* schemasOf(property, `${path}.${name}`);
  yield* schemasOf(schema['items'], `${path}[]`);
  yield* schemasOf(schema['additionalProperties'], `${path}.*`);
}

describe('custom resource definitions', () => {
  for (const kind of KIND_NAMES) {
    it(`of ${kind} are structural and bounded everywhere`, () => {
      for (const { path, schema } of schemasOf(specSchema(kind), kind)) {
        const { type } = schema;
        if (schema['x-kubernetes-int-or-string'] !== true) assert.equal(typeof type, 'string', path);
        if (type === 'string') assert.ok('maxLength' in schema || 'enum' in schema, `${path} has no bound`);
        if (type === 'array')
          assert.ok('maxItems' in schema && 'x-kubernetes-list-type' in schema, `${path} has no bound`);
        if ('additionalProperties' in schema) assert.ok('maxProperties' in schema, `${path} has no bound`);
      }
    });
  }

  it('want namespaces in references of the cluster kind only', () => {
    const path = ['properties', 'variables', 'additionalProperties', 'properties', 'secretKeyRef'];
    assert.deepEqual(member(specSchema('ClusterAuthPolicy'), ...path, 'required'), ['name', 'key', 'namespace']);
    assert.deepEqual(member(specSchema('AuthPolicy'), ...path, 'required'), ['name', 'key']);
    assert.deepEqual(member(specSchema('AuthPolicy'), ...path, 'x-kubernetes-validations'), [
      { rule: '!has(self.__namespace__)', message: 'only a ClusterAuthPolicy may name a namespace here' },
    ]);
  });

  it('write defaults out, since a default is judged as it stands', () => {
    const app = member(specSchema('Api'), 'properties', 'app', 'default');
    assert.deepEqual(app, {
      scheme: 'http',
      protocol: 'Auto',
      address: 'PodIP',
      timeouts: { connect: '1s', response: '60s', idle: '5m', poolIdle: '4s' },
    });
  });

  it('mark policy kinds as inherited', () => {
    const label = 'gateway.networking.k8s.io/policy';
    const marked = KIND_NAMES.filter(kind => member(renderCrd(kind), 'metadata', 'labels', label) === 'Inherited');
    assert.deepEqual(marked, ['ClusterAuthPolicy', 'AuthPolicy']);
  });
});

describe('reference pages', () => {
  it('link only to headings that they have', () => {
    for (const kind of KIND_NAMES) {
      const page = renderReference(kind);
      const headings = new Set(
        [...page.matchAll(/^#+ (.*)$/gm)].map(([, text = '']) => text.toLowerCase().replace(/[^a-z0-9_-]/g, '')),
      );
      for (const [, anchor = ''] of page.matchAll(/\]\(#([^)]*)\)/g))
        assert.ok(headings.has(anchor), `${kind}: ${anchor}`);
    }
  });

  it('name every reason', () => {
    const page = renderReasons();
    for (const reason of REASON_NAMES) assert.ok(page.includes(`\`${reason}\``), reason);
  });

  it('have a name for each kind', () => {
    assert.deepEqual(KIND_NAMES.map(pageName), [
      'cluster-auth-policy.md',
      'auth-policy.md',
      'api.md',
      'token-issuer.md',
      'client-trust.md',
      'device-auth-service.md',
      'backend-credential.md',
      'subscription.md',
      'policy-test.md',
    ]);
  });
});
