import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { createExposedPorts, findExposedPorts, readListeningSockets } from './exposed-ports.ts';

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const REST = '00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n';
const four = (index: number, address: string, state = '0A'): string =>
  `   ${index}: ${address} 00000000:0000 ${state} ${REST}`;
const six = (index: number, address: string, state = '0A'): string =>
  `   ${index}: ${address} 00000000000000000000000000000000:0000 ${state} ${REST}`;

const TCP =
  HEAD +
  four(0, '0100007F:1F90') + // 127.0.0.1:8080
  four(1, '00000000:2382') + // 0.0.0.0:9090
  four(2, '0500000A:1F90') + // 10.0.0.5:8080, ours
  four(3, '0500000A:D431', '01'); // an open connection
const TCP6 =
  HEAD +
  six(0, '00000000000000000000000000000000:0050') + // [::]:80
  six(1, '00000000000000000000000001000000:0051') + // [::1]:81
  six(2, '0000000000000000FFFF00000100007F:0052') + // ::ffff:127.0.0.1
  six(3, '000000FD000000000000000005000000:0053'); // [fd00::5]:83

describe('the listening sockets of /proc/net/tcp', () => {
  it('are read in network order, without connections', () =>
    assert.deepEqual(readListeningSockets(TCP), [
      { address: '7f000001', port: 8080 },
      { address: '00000000', port: 9090 },
      { address: '0a000005', port: 8080 },
    ]));
  it('are read as IPv6 too', () =>
    assert.deepEqual(readListeningSockets(TCP6), [
      { address: '0'.repeat(32), port: 80 },
      { address: `${'0'.repeat(31)}1`, port: 81 },
      { address: '00000000000000000000ffff7f000001', port: 82 },
      { address: `fd${'0'.repeat(28)}05`, port: 83 },
    ]));
  it('are none in a text that is no table', () => {
    assert.deepEqual(readListeningSockets(''), []);
    assert.deepEqual(readListeningSockets('0: zz:1F90 00000000:0000 0A \n:::\n'), []);
  });
});

describe('exposed ports', () => {
  const own = [{ address: '0a000005', port: 8080 }];
  it('are those on more than loopback that are not the sidecar’s', () =>
    assert.deepEqual(findExposedPorts([TCP6, TCP].flatMap(readListeningSockets), own), [80, 83, 9090]));
  it('of another address of the sidecar’s port count', () =>
    assert.deepEqual(findExposedPorts([{ address: '00000000', port: 8080 }], own), [8080]));

  it('are told when they change, and a table that cannot be read is empty', async () => {
    const told: (readonly number[])[] = [];
    let text: string | undefined = TCP;
    const exposed = createExposedPorts({
      readFile: path =>
        path === '/proc/net/tcp' && text !== undefined ? Promise.resolve(text) : Promise.reject(new Error('ENOENT')),
      own: () => own,
      onChange: ports => told.push(ports),
    });
    await exposed.look();
    await exposed.look();
    assert.deepEqual(exposed.ports(), [9090]);
    text = undefined;
    await exposed.look();
    assert.deepEqual(told, [[9090], []]);
  });

  it('of this very machine are found', async () => {
    const servers = ['0.0.0.0', '127.0.0.1'].map(host => createServer().listen(0, host));
    try {
      await Promise.all(servers.map(server => once(server, 'listening')));
      const [open, closed] = servers.map(server => (server.address() as AddressInfo).port) as [number, number];
      const exposed = findExposedPorts(readListeningSockets(await readFile('/proc/net/tcp', 'latin1')), []);
      assert.ok(exposed.includes(open));
      assert.ok(!exposed.includes(closed));
    } finally {
      for (const server of servers) server.close();
    }
  });
});
