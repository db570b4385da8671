/**
 * The product as a whole on a real node: chart, label, an unchanged app, the example's policies, load, outages. One node
 * for all of it (its parts stand in node/). This file's name comes first, so that of two files at once it is the one that
 * takes longest. A single part: `node --test --test-name-pattern='under load' test/cluster/a-real-node.test.ts`.
 */
import { after, before, describe } from 'node:test';
import { testBareNode } from './node/bare.ts';
import { testEviction } from './node/eviction.ts';
import { testExplicit } from './node/explicit.ts';
import { testFleet } from './node/fleet.ts';
import { testHooks } from './node/hooks.ts';
import { testLoad } from './node/load.ts';
import { testOutages } from './node/outages.ts';
import { testPackets } from './node/packets.ts';
import { testPeople } from './node/people.ts';
import { testProbes } from './node/probes.ts';
import { testReplicas } from './node/replicas.ts';
import { testUninstall } from './node/uninstall.ts';
import { type Installed, openInstalled } from './support/installed.ts';
import { skipWithout } from './support/requirements.ts';

describe('a real node', { skip: skipWithout('images'), timeout: 900_000 }, () => {
  let opened: Awaited<ReturnType<typeof openInstalled>>;
  const get = (): Installed => opened;
  before(async () => {
    opened = await openInstalled(line => console.log(line));
  });
  after(() => opened.close());

  // Much of it waits for the kubelet, and none of it disturbs another: each has its pods.
  describe('in peace', { concurrency: 2 }, () => {
    testBareNode(get);
    testFleet(get);
    testProbes(get);
    testHooks(get);
    testExplicit(get);
    testPackets(get);
    testPeople(get);
  });
  testLoad(get);
  testEviction(get);
  testReplicas(get);
  testUninstall(get);
  // Last: it leaves a mesh CA that ends soon.
  testOutages(get);
});
