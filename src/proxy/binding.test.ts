import assert from 'node:assert/strict';
import { lstatSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { startWorld } from './testing/world.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-binding-'));
after(() => rmSync(folder, { recursive: true }));

const fails = (adminSocket: string, code: string, message: string): Promise<void> =>
  assert.rejects(startWorld(1, {}, { adminSocket }), { code, message: `--admin-socket: ${message}` });

async function occupy(path?: string): Promise<Server> {
  const server = createServer().listen(path === undefined ? { host: '127.0.0.1', port: 0 } : { path });
  await new Promise(resolve => server.once('listening', resolve));
  return server;
}

describe('--admin-socket', () => {
  test('never removes a file that is no socket', async () => {
    const path = join(folder, 'notes.txt');
    writeFileSync(path, 'dear');
    await fails(path, 'EEXIST', `${path} exists and is not a socket; name another path`);
    assert.equal(readFileSync(path, 'utf8'), 'dear');
  });

  test('never follows or removes a link', async () => {
    const path = join(folder, 'link');
    symlinkSync(join(folder, 'nowhere'), path);
    await fails(path, 'EEXIST', `${path} exists and is not a socket; name another path`);
    assert.ok(lstatSync(path).isSymbolicLink());
  });

  test('in a folder that does not exist says so', () => {
    const missing = join(folder, 'none');
    return fails(join(missing, 'admin.sock'), 'ENOENT', `the folder ${missing} does not exist`);
  });

  test('of a living sidecar is left alone', async () => {
    const path = join(folder, 'live.sock');
    const server = await occupy(path);
    await fails(path, 'EADDRINUSE', `${path}: a sidecar already has it; name another path`);
    assert.ok(lstatSync(path).isSocket());
    server.close();
  });
});

describe('an address that another process has', () => {
  test('is named with its flag and what to change', async () => {
    const server = await occupy();
    const { port } = server.address() as AddressInfo;
    const address = { host: '127.0.0.1', port };
    const message = `127.0.0.1:${port}: another process has it; name another port or stop it`;
    const code = 'EADDRINUSE';
    await assert.rejects(startWorld(1, {}, { listen: [address] }), { code, message: `--listen ${message}` });
    await assert.rejects(startWorld(1, {}, { health: address }), { code, message: `--health ${message}` });
    server.close();
  });
});
