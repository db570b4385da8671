import assert from 'node:assert/strict';
import { after, before, describe, test, type TestContext } from 'node:test';
import { createElection, type Election } from '../../src/controller/lease.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { SILENT } from '../../src/telemetry/telemetry.ts';
import { until } from '../support/until.ts';
import { openControlPlane, type ControlPlane } from './support/control-plane.ts';
import { skipWithout } from './support/requirements.ts';

const TIMINGS = { durationMs: 2000, deadlineMs: 1200, retryMs: 200 };

interface Candidate {
  readonly election: Election;
  readonly client: KubeClient;
  readonly changes: string[];
}

describe('a lease on a real API server', { skip: skipWithout('control-plane') }, () => {
  let cluster: ControlPlane;
  before(async () => {
    cluster = await openControlPlane();
    await cluster.createNamespace('leases');
  });
  after(() => cluster.close());

  function stand(context: TestContext, name: string, identity: string, clock: () => number = Date.now): Candidate {
    const client = createKubeClient(cluster.adminConnection, { log: SILENT.log, clock: Date.now, random: Math.random });
    const changes: string[] = [];
    const election = createElection({
      ...{ client, namespace: 'leases', name, identity, clock, log: SILENT.log, random: Math.random },
      onLead: () => void changes.push('leads'),
      onLose: () => void changes.push('lost'),
      timings: TIMINGS,
    });
    context.after(async () => {
      await election.stop();
      await client.close();
    });
    election.start();
    return { election, client, changes };
  }
  const holder = async (name: string): Promise<string> =>
    (await cluster.kubectl(['get', 'lease', name, '-n', 'leases', '-o', 'jsonpath={.spec.holderIdentity}'])).stdout;

  test('is held by one of several that begin at once', async context => {
    const all = ['a', 'b', 'c', 'd'].map(identity => stand(context, 'several', identity));
    await until('a leader', () => all.some(({ election }) => election.leads()));
    assert.equal(all.filter(({ election }) => election.leads()).length, 1);
    assert.equal(await holder('several'), ['a', 'b', 'c', 'd'][all.findIndex(({ election }) => election.leads())]);
  });

  test('is taken at once when it is given back', async context => {
    const first = stand(context, 'given-back', 'first');
    await until('the first', () => first.election.leads());
    const second = stand(context, 'given-back', 'second');
    await first.election.stop();
    assert.deepEqual(first.changes, ['leads', 'lost']);
    await until('the second', () => second.election.leads());
  });

  test('is lost by who cannot renew it, before another may take it', async context => {
    const first = stand(context, 'lost', 'first');
    await until('the first', () => first.election.leads());
    const second = stand(context, 'lost', 'second');
    let bothLed = false;
    const watching = setInterval(() => {
      bothLed ||= first.election.leads() && second.election.leads();
    }, 20);
    await first.client.close();
    await until('the second', () => second.election.leads());
    clearInterval(watching);
    assert.ok(!bothLed);
    assert.deepEqual(first.changes, ['leads', 'lost']);
  });

  test('does not hang on clocks: one that is an hour ahead takes nothing from a holder that renews', async context => {
    const first = stand(context, 'clocks', 'first');
    await until('the first', () => first.election.leads());
    const ahead = stand(context, 'clocks', 'ahead', () => Date.now() + 3_600_000);
    const version = async (): Promise<string> =>
      (await cluster.kubectl(['get', 'lease', 'clocks', '-n', 'leases', '-o', 'jsonpath={.metadata.resourceVersion}']))
        .stdout;
    // Several renewals go by.
    for (let renewals = 0, last = await version(); renewals < 3; renewals += 1) {
      last = await until('a renewal', async () => {
        const now = await version();
        return now !== last && now;
      });
    }
    assert.deepEqual([first.election.leads(), ahead.election.leads()], [true, false]);
  });

  test('is lost while the API server is away, and held again when it is back', async context => {
    const only = stand(context, 'restart', 'only');
    await until('leading', () => only.election.leads());
    await cluster.stopApiServer();
    await until('the loss', () => !only.election.leads());
    await cluster.startApiServer();
    await until('leading again', () => only.election.leads(), 30_000);
    assert.deepEqual(only.changes, ['leads', 'lost', 'leads']);
  });
});
