import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BOUNDS } from '../material/protocol.ts';
import { readFromSidecar } from './read-sidecar.ts';

const LINE = {
  ...{ type: 'acknowledge', hash: 'h', full: true, objects: [], gone: [], issuers: [], certificates: [] },
  ...{ appExposed: [], wouldDeny: [] },
};
const read = (more: object) => readFromSidecar(JSON.stringify({ ...LINE, ...more }));
const closedPorts = (more: object): readonly number[] | undefined => {
  const line = read(more);
  return line?.type === 'acknowledge' ? line.closedPorts : undefined;
};

test('an older sidecar says nothing of closed ports', () => assert.deepEqual(closedPorts({}), []));

test('closed ports are ports, and no more than are worth an Event', () => {
  assert.deepEqual(closedPorts({ closedPorts: [9090, 6060] }), [9090, 6060]);
  const many = Array.from({ length: 100 }, (_, i) => i + 1);
  assert.equal(closedPorts({ closedPorts: many })?.length, BOUNDS.closedPorts);
  for (const wrong of [[70_000], ['9090'], 9090, [-1]]) assert.equal(read({ closedPorts: wrong }), undefined);
});

test('an older sidecar still names the kinds that it knows, for which nobody asks', () => {
  const hello = readFromSidecar(JSON.stringify({ type: 'hello', version: '0.1.0', protocol: 1, kinds: ['Api'] }));
  assert.deepEqual(hello, { type: 'hello', version: '0.1.0', protocol: 1 });
});
