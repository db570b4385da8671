/** Chains of client certificates are read once per connection and given back with it (CVE-2025-59464). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DEVICE, type Fleet, openFleet } from '../support/fleet.ts';
import { until } from '../support/until.ts';

const AT_ONCE = 20;

/** Each on a connection of its own, with a certificate in the handshake. */
async function comeAndGo(fleet: Fleet, connections: number): Promise<void> {
  for (let done = 0; done < connections; done += AT_ONCE) {
    const answers = Array.from({ length: AT_ONCE }, () => fleet.ask({ path: DEVICE }, 'robot-7'));
    for (const { status } of await Promise.all(answers)) assert.equal(status, 200);
  }
}

test('2,000 connections with a client certificate come and go, and leave no memory behind', async t => {
  // Without the example's limit of 600 calls a minute.
  const fleet = await openFleet(t, { files: () => ({ '40-product-policy.yaml': '' }) });
  const resident = (): Promise<number> => fleet.sidecar.metric('process_resident_memory_bytes');
  await comeAndGo(fleet, 400);
  const before = await resident();
  await comeAndGo(fleet, 1600);
  // A chain kept for each of them, ours and OpenSSL's, would be more than 30 MiB. Garbage goes once the process rests.
  await until('memory to be given back', async () => {
    await sleep(1000); // who is asked all the time does not rest
    return (await resident()) < before + 12 * 2 ** 20;
  });
  assert.equal(await fleet.sidecar.metric('sallyport_connections'), 0);
});
