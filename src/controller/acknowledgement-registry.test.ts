import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Acknowledge } from '../material/protocol.ts';
import { createAcknowledgementRegistry, FORGET_MS } from './acknowledgement-registry.ts';
import { listReplicaAddresses, mergeStates } from './replicas.ts';
import { makePod, makeState, readObjects, say } from './testing/scene.ts';

const [policy] = readObjects('kind: AuthPolicy\nmetadata: {name: p}\nspec: {}\n');
assert.ok(policy);
const line = (generation: number, full = true): Acknowledge => ({
  ...{ type: 'acknowledge', hash: 'h', full, gone: [], issuers: [], certificates: [], appExposed: [], wouldDeny: [] },
  objects: [say(policy, 'InForce', generation)],
});

describe('what pods enforce', () => {
  function open() {
    let now = 1000;
    const registry = createAcknowledgementRegistry({ clock: () => now });
    const told: string[] = [];
    registry.subscribe(uid => told.push(uid));
    const generation = () =>
      registry
        .states()
        .get('one')
        ?.objects.get(policy?.id ?? '')?.generation;
    return { registry, told, generation, pass: (ms: number) => void (now += ms) };
  }

  test('counts until its pod has been silent for too long', () => {
    const { registry, told, generation, pass } = open();
    const voice = registry.open('one', '0.1.0');
    voice.acknowledge(line(7), true);
    pass(FORGET_MS * 2);
    registry.sweep();
    assert.equal(generation(), 7, 'its stream is open');
    voice.heard();
    voice.close();
    pass(FORGET_MS - 1);
    registry.sweep();
    assert.equal(generation(), 7);
    pass(1);
    registry.sweep();
    assert.equal(generation(), undefined);
    assert.deepEqual(told, ['one', 'one', 'one']);
  });

  test('of a new stream is what the last one said, until it says more', () => {
    const { registry, generation } = open();
    const first = registry.open('one', '0.1.0');
    first.acknowledge(line(7), true);
    const second = registry.open('one', '0.2.0');
    assert.equal(generation(), 7);
    first.acknowledge(line(6), true);
    first.close();
    assert.equal(generation(), 7, 'the first one has no say any more');
    second.acknowledge(line(8), true);
    assert.equal(generation(), 8);
    assert.equal(registry.states().get('one')?.version, '0.2.0');
  });

  test('is not believed under a material that was not sent, but remembered: later lines say only what changed', () => {
    const { registry, generation } = open();
    const voice = registry.open('one', '0.1.0');
    voice.acknowledge(line(7), false);
    assert.equal(generation(), undefined);
    voice.acknowledge({ ...line(7, false), objects: [] }, true);
    assert.equal(generation(), 7);
  });

  test('is told to other replicas with how long ago it was heard', () => {
    const { registry, pass } = open();
    const voice = registry.open('one', '0.1.0');
    assert.deepEqual(registry.tell(), []);
    voice.acknowledge(line(7), true);
    voice.close();
    pass(500);
    assert.deepEqual(
      registry.tell().map(({ uid, open: isOpen, heardMsAgo }) => [uid, isOpen, heardMsAgo]),
      [['one', false, 500]],
    );
  });
});

test('of several replicas the one counts that heard a pod last', () => {
  const pod = makePod('one');
  const [, older] = makeState(pod, [], { heardAt: 1, version: 'older' });
  const [uid, newer] = makeState(pod, [], { heardAt: 2, version: 'newer' });
  const merge = (own: typeof older, other: typeof older) =>
    mergeStates(new Map([[uid, own]]), [other]).get(uid)?.version;
  assert.equal(merge(older, newer), 'newer');
  assert.equal(merge(newer, older), 'newer');
});

test('replicas are those of the Service’s port for material, but oneself', () => {
  const slice = (ports: unknown, endpoints: unknown) => ({ metadata: { name: 's' }, ports, endpoints });
  const material = [
    { name: 'webhook', port: 15_193 },
    { name: 'material', port: 15_194 },
  ];
  const slices = [
    slice(material, [
      { addresses: ['10.0.0.2'], targetRef: { kind: 'Pod', name: 'b' } },
      { addresses: ['10.0.0.1'], targetRef: { kind: 'Pod', name: 'a' } },
      { addresses: [] },
    ]),
    slice(material, [{ addresses: ['fd00::3'], targetRef: { kind: 'Pod', name: 'c' } }]),
    slice([{ name: 'webhook', port: 1 }], [{ addresses: ['10.0.0.9'] }]),
    slice(null, null),
  ];
  assert.deepEqual(listReplicaAddresses(slices, 'a'), ['10.0.0.2:15194', '[fd00::3]:15194']);
});
