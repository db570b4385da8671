/** Ports on 127.0.0.1 that nobody uses now and nobody is given by chance while a server of ours restarts. */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below the ephemeral range of Linux (32768 on), which every outgoing connection takes from. */
const FIRST = 20_000;
const LAST = 32_000;

/** As many consecutive ports as asked for; the lowest of them. */
export async function findFreePorts(count: number): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const first = randomInt(FIRST, LAST - count);
    if (await areFree(first, count)) return first;
  }
  throw new Error(`no ${count} consecutive ports are free between ${FIRST} and ${LAST}`);
}

async function areFree(first: number, count: number): Promise<boolean> {
  const servers = Array.from({ length: count }, () => createServer());
  const open = await Promise.allSettled(
    servers.map(async (server, i) => {
      server.listen(first + i, '127.0.0.1');
      await once(server, 'listening');
    }),
  );
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))));
  return open.every(({ status }) => status === 'fulfilled');
}
