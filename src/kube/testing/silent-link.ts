/** A TCP link that can be made silent: open at both ends, and nothing arrives any more (a half-open connection). */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

export interface SilentLink {
  readonly port: number;
  silence(): void;
}

export async function openSilentLink(context: TestContext, to: number): Promise<SilentLink> {
  const sockets: Socket[] = [];
  let isSilent = false;
  const link = createServer(near => {
    const far = connect(to, '127.0.0.1');
    sockets.push(near, far);
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', chunk => {
        if (!isSilent) into.write(chunk);
      });
      from.on('error', () => undefined);
      from.on('close', () => into.destroy());
    }
  });
  await new Promise<void>(resolve => link.listen(0, '127.0.0.1', resolve));
  context.after(() => {
    for (const socket of sockets) socket.destroy();
    link.close();
  });
  return { port: (link.address() as AddressInfo).port, silence: () => void (isSilent = true) };
}
