/** Makes the API server of a machine reachable from outside, at a port of 127.0.0.1. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import type { ClusterFolder } from './folder.ts';
import type { Machine } from './machine.ts';

/** The port. The relay (./relay.ts) runs inside and so ends with the machine. */
export async function startRelay(
  folder: ClusterFolder,
  machine: Machine,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<number> {
  const outside = createServer();
  outside.listen(0, '127.0.0.1');
  await once(outside, 'listening');
  const { port: chosen } = outside.address() as AddressInfo;
  const log = openSync(join(folder.path, 'logs', 'relay.log'), 'a');
  const relay = [process.execPath, join(import.meta.dirname, 'relay.ts'), host, String(port)];
  const [program = '', ...args] = [...machine.enter, ...relay];
  const child = spawn(program, args, { detached: true, stdio: ['ignore', log, log, 'ipc'] });
  closeSync(log);
  child.send('listen', outside);
  await once(child, 'message');
  child.disconnect();
  child.unref();
  outside.close();
  return chosen;
}
