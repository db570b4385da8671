/** After a burst that filled memory has gone, everybody is served again (found by an attacker: the door stayed shut). */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { openPlain } from '../support/connection.ts';
import * as made from '../support/manifests.ts';
import { RecordingApp } from '../support/servers.ts';
import { startSidecar } from '../support/sidecar.ts';
import { until } from '../support/until.ts';

const UNFINISHED = `GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(62_000)}`;

test('950 unfinished heads of 62 KB shut nobody out once they are gone', async t => {
  const app = await new RecordingApp().start();
  t.after(() => app.stop());
  const sidecar = await startSidecar({
    manifests: { 'all.yaml': [made.api('fleet'), made.authPolicy('open', { request: [made.OPEN] })] },
    app: app.port,
    args: ['--max-memory', '128Mi'],
  });
  t.after(() => sidecar.close());
  const ask = async (): Promise<number> => {
    const connection = await openPlain(sidecar.port);
    try {
      return (await connection.ask({ path: '/' })).status;
    } finally {
      connection.close();
    }
  };
  assert.equal(await ask(), 200);

  const sent: Promise<void>[] = [];
  const sockets: Socket[] = [];
  for (let i = 0; i < 950; i++) {
    const socket = connect(sidecar.port, '127.0.0.1').on('error', () => undefined);
    sockets.push(socket);
    sent.push(
      new Promise(done => {
        socket.write(UNFINISHED, () => done());
        socket.once('close', () => done());
      }),
    );
  }
  await Promise.all(sent);
  for (const socket of sockets) socket.destroy();

  await until('requests are served again', async () => (await ask().catch(() => 0)) === 200);
});
