import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AllowancePlan } from '../policy/model.ts';
import { describeLeftOpen, findLeftOpen, nameAnnotations } from './left-open.ts';
import { readPod, type PodFacts } from './pods.ts';

const NOW = Date.parse('2027-02-01T00:00:00Z');
const ENDED = Date.parse('2027-01-31T00:00:00Z');
const allow = (more: Partial<AllowancePlan>): AllowancePlan => ({
  ...{ policy: 'p', opensUnselectedPorts: false, excludePorts: [], udpPorts: [], privilegedContainers: false },
  until: Infinity,
  ...more,
});
const makePod = (args: readonly string[]): PodFacts => {
  const spec = { initContainers: [{ name: 'sallyport-init', args }], containers: [] };
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'shop', uid: 'u' }, spec };
  return readPod(pod, () => ({ state: 'Protected' }));
};
const OPEN = makePod(['init', '--exclude-ports', '15191,9090,9091', '--udp-ports', '53']);

const CASES: Readonly<Record<string, readonly [PodFacts, readonly AllowancePlan[], string | undefined]>> = {
  'nothing of a pod without exclusions': [makePod(['init', '--exclude-ports', '15191']), [], undefined],
  'nothing while everything is allowed': [OPEN, [allow({ excludePorts: [9090, 9091], udpPorts: [53] })], undefined],
  'nothing while one of two allowances goes on': [
    OPEN,
    [allow({ excludePorts: [9090, 9091], until: ENDED }), allow({ excludePorts: [9090, 9091], udpPorts: [53] })],
    undefined,
  ],
  'the port whose allowance ended': [
    OPEN,
    [allow({ excludePorts: [9091], udpPorts: [53] }), allow({ excludePorts: [9090], until: ENDED })],
    'leaves TCP 9090 open, whose allowance ended 2027-01-31T00:00:00.000Z (sallyport.dev/exclude-ports)',
  ],
  'every port when the allowance is gone': [
    OPEN,
    [],
    'leaves TCP 9090, TCP 9091, UDP 53 open, which no allowance grants any longer (sallyport.dev/exclude-ports and sallyport.dev/exclude-udp-ports)',
  ],
};

for (const [sentence, [pod, allowances, said]] of Object.entries(CASES)) {
  test(`is left open (S9): ${sentence}`, () => {
    const left = findLeftOpen(pod, allowances, NOW);
    assert.equal(left === undefined ? undefined : `${describeLeftOpen(left)} (${nameAnnotations(left)})`, said);
  });
}
