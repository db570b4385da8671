import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { isKind } from '../api/parse.ts';
import type { KubeObject } from '../kube/objects.ts';
import { createModel, type Model } from './model.ts';
import type { RawObject } from './objects.ts';
import { makePod } from './testing/scene.ts';

const ISSUER = (namespace: string, secret = 'key') => `kind: TokenIssuer
metadata: {name: corp, namespace: ${namespace}}
spec: {issuer: i, keys: [{secretKeyRef: {name: ${secret}, key: pem}}]}
`;
const POLICY = `kind: AuthPolicy
metadata: {name: p, namespace: shop}
spec: {request: []}
`;
const CLUSTER = `kind: ClusterAuthPolicy
metadata: {name: baseline}
spec: {request: [{name: who, jwt: {issuers: [identity/corp], audiences: [a]}}]}
`;

interface Scene {
  readonly model: Model;
  /** What was told since the last look: namespaces, or `all`. */
  readonly told: () => string;
  readonly put: (yaml: string, metadata?: object) => void;
  readonly remove: (kind: string, key: string) => void;
}

function openScene(clock: () => number = () => 0): Scene {
  let changes: string[] = [];
  const stored = new Map<string, Map<string, RawObject>>();
  const model = createModel({
    ...{ excluded: new Set(['kube-system']), clock },
    onChange: namespaces => changes.push(...(namespaces ?? ['all'])),
  });
  const store = (kind: string): Map<string, RawObject> => {
    const known = stored.get(kind) ?? new Map<string, RawObject>();
    stored.set(kind, known);
    return known;
  };
  return {
    model,
    told() {
      const said = [...new Set(changes)].sort().join();
      changes = [];
      return said;
    },
    put(yaml, metadata = {}) {
      for (const document of parseAllDocuments(yaml)) {
        const raw = document.toJS() as RawObject & { kind: string };
        assert.ok(isKind(raw.kind));
        const { name, namespace } = raw.metadata;
        const object = { ...raw, metadata: { uid: 'u', generation: 1, ...raw.metadata, ...metadata } };
        store(raw.kind).set(namespace === undefined ? name : `${namespace}/${name}`, object);
        model.takeObjects(raw.kind, store(raw.kind), object);
      }
    },
    remove(kind, key) {
      assert.ok(isKind(kind));
      const object = store(kind).get(key);
      store(kind).delete(key);
      model.takeObjects(kind, store(kind), object);
    },
  };
}

const namespace = (name: string, labels: Readonly<Record<string, string>> = {}): [string, KubeObject] => [
  name,
  { metadata: { name, labels } },
];

describe('what a change concerns', () => {
  test('an object of a namespace concerns that namespace, a cluster policy all', () => {
    const { put, told, remove } = openScene();
    put(POLICY);
    assert.equal(told(), 'shop');
    put(CLUSTER);
    assert.equal(told(), 'all');
    remove('AuthPolicy', 'shop/p');
    assert.equal(told(), 'shop');
  });

  test('what a cluster policy names concerns all, before it exists and when it goes', () => {
    const { put, told, remove } = openScene();
    put(ISSUER('identity'));
    assert.equal(told(), 'identity');
    put(CLUSTER);
    told();
    put(ISSUER('identity', 'other'), { generation: 2 });
    assert.equal(told(), 'all');
    put(ISSUER('shop'));
    assert.equal(told(), 'shop');
    remove('TokenIssuer', 'identity/corp');
    assert.equal(told(), 'all');
    put(ISSUER('identity'));
    assert.equal(told(), 'all');
    remove('ClusterAuthPolicy', 'baseline');
    assert.equal(told(), 'all');
    put(ISSUER('identity', 'other'), { generation: 2 });
    assert.equal(told(), 'identity');
  });

  test('a Secret concerns its namespace, or all where a cluster policy reaches it', () => {
    const { model, put, told } = openScene();
    put(ISSUER('identity'));
    told();
    model.touchData('Secret', 'identity/key');
    assert.equal(told(), 'identity');
    put(CLUSTER);
    told();
    model.touchData('Secret', 'identity/key');
    assert.equal(told(), 'all');
    model.touchData('ConfigMap', 'identity/key');
    assert.equal(told(), 'identity');
  });

  test('a change of status concerns nobody, one of labels does', () => {
    const { model, put, told } = openScene();
    put(POLICY);
    const before = model.version('shop');
    told();
    put(`${POLICY}status: {conditions: [{type: Accepted, status: "True", reason: Accepted, message: valid}]}\n`);
    assert.deepEqual([told(), model.version('shop') === before], ['', true]);
    assert.equal(model.objects.find('AuthPolicy shop/p')?.conditions.length, 1);
    put(POLICY, { labels: { a: 'b' } });
    assert.deepEqual([told(), model.version('shop') === before], ['shop', false]);
  });

  test('pods concern their namespace, and change no version: nothing is compiled for them', () => {
    const { model, told } = openScene();
    const before = model.version('shop');
    model.takePods('shop', [makePod('one')]);
    assert.deepEqual([told(), model.version('shop') === before], ['shop', true]);
  });

  test('an object whose newest content is wrong keeps its last good one, until it goes', () => {
    const { model, put, remove } = openScene();
    put(POLICY);
    put(POLICY.replace('request', 'reqest'), { generation: 2 });
    const known = model.objects.find('AuthPolicy shop/p');
    assert.deepEqual([known?.parsed, known?.lastGood?.meta.generation], [undefined, 1]);
    remove('AuthPolicy', 'shop/p');
    put(POLICY.replace('request', 'reqest'));
    assert.equal(model.objects.find('AuthPolicy shop/p')?.lastGood, undefined);
  });

  test('a list says what is gone', () => {
    const { model, put, told } = openScene();
    put(POLICY);
    put(ISSUER('bank'));
    told();
    model.takeObjects('AuthPolicy', new Map());
    assert.equal(told(), 'shop');
    assert.deepEqual(
      [...model.objects.all()].map(({ id }) => id),
      ['TokenIssuer bank/corp'],
    );
  });
});

describe('who has opted in', () => {
  const enabled = { 'sallyport.dev/inject': 'enabled' };
  test('namespaces with the label, with a labelled pod, with an injected one; never an excluded one', () => {
    const { model } = openScene();
    model.takeNamespaces(
      new Map([
        namespace('labelled', enabled),
        namespace('by-pod'),
        namespace('by-sidecar'),
        namespace('none'),
        namespace('kube-system', enabled),
      ]),
    );
    model.takeLabelled([makePod('a', { namespace: 'by-pod', sidecar: { state: 'None' } })]);
    model.takePods('by-sidecar', [makePod('b', { namespace: 'by-sidecar' })]);
    model.takePods('none', [makePod('c', { namespace: 'none', sidecar: { state: 'None' } })]);
    assert.deepEqual([...model.population.optedIn()].sort(), ['by-pod', 'by-sidecar', 'labelled']);
    assert.deepEqual([...model.population.labelled()], ['labelled']);
    model.takeLabelled([]);
    model.takePods('by-sidecar', []);
    assert.deepEqual([...model.population.optedIn()], ['labelled']);
  });

  test('namespaces with objects are watched too, since pods without a sidecar count', () => {
    const { model, put } = openScene();
    put(POLICY);
    assert.deepEqual([...model.watched()], ['shop']);
  });

  test('a pod that asked before the watch told of it is known, and forgotten when the watch never does', () => {
    let now = 0;
    const { model } = openScene(() => now);
    const early = makePod('early');
    model.admitPod(early);
    assert.equal(model.population.findPod('shop', early.uid), early);
    model.takePods('shop', []);
    assert.equal(model.population.podsOf('shop').length, 1);
    now = 61_000;
    model.takePods('shop', []);
    assert.equal(model.population.podsOf('shop').length, 0);
  });
});
