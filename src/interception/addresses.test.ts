import assert from 'node:assert/strict';
import type { NetworkInterfaceInfo } from 'node:os';
import { describe, it } from 'node:test';
import { createLocalAddresses, toHex } from './local-addresses.ts';
import { readSocketAddress } from './original-destination.ts';

const raw = (...bytes: number[]): Uint8Array => Uint8Array.from([...bytes, ...Array<number>(28).fill(0)].slice(0, 28));

describe('the address that getsockopt fills in', () => {
  it('is read as IPv4', () =>
    assert.deepEqual(readSocketAddress(raw(2, 0, 0x1f, 0x90, 10, 0, 0, 5)), { bytes: '0a000005', port: 8080 }));
  it('is read as IPv6, behind the flow label', () =>
    assert.deepEqual(readSocketAddress(raw(10, 0, 0x20, 0xfb, 1, 2, 3, 4, 0xfd, ...Array<number>(14).fill(0), 5)), {
      bytes: 'fd000000000000000000000000000005',
      port: 8443,
    }));
  it('of another family, or without a port, is none', () => {
    assert.equal(readSocketAddress(raw(1, 0, 0x1f, 0x90, 10, 0, 0, 5)), undefined);
    assert.equal(readSocketAddress(raw(2, 0, 0, 0, 10, 0, 0, 5)), undefined);
  });
});

const four = (address: string, internal = false): NetworkInterfaceInfo => ({
  address,
  netmask: '255.255.255.0',
  family: 'IPv4',
  mac: '00:00:00:00:00:00',
  internal,
  cidr: null,
});
const six = (address: string, scopeid = 0, internal = false): NetworkInterfaceInfo => ({
  ...four(address, internal),
  family: 'IPv6',
  scopeid,
});

describe('the addresses of this pod', () => {
  const bytes = (...values: number[]): string => toHex(values);
  const loopback = [four('127.0.0.1', true), six('::1', 0, true)];

  it('are found by their bytes, with the zone that dialling needs', () => {
    const eth0 = [four('10.0.0.5'), six('fd00::5'), six('fe80::1', 2)];
    const local = createLocalAddresses(
      () => ({ lo: loopback, eth0 }),
      () => 0,
    );
    assert.equal(local.find(bytes(10, 0, 0, 5)), '10.0.0.5');
    assert.equal(local.find('fd000000000000000000000000000005'), 'fd00::5');
    assert.equal(local.find('fe800000000000000000000000000001'), 'fe80::1%eth0');
    assert.deepEqual(local.list(), ['10.0.0.5', 'fd00::5', 'fe80::1%eth0']);
  });

  it('never hold loopback: what listens there is private', () => {
    const local = createLocalAddresses(
      () => ({ lo: loopback }),
      () => 0,
    );
    assert.equal(local.find(bytes(127, 0, 0, 1)), undefined);
    assert.equal(local.find(toHex([...Array<number>(15).fill(0), 1])), undefined);
  });

  it('are read again for an unknown one, once a second at most', () => {
    let [now, reads] = [0, 0];
    const eth0 = [four('10.0.0.5')];
    const local = createLocalAddresses(
      () => {
        reads++;
        return { eth0: [...eth0] };
      },
      () => now,
    );
    eth0.push(four('10.0.0.6'));
    assert.equal(local.find(bytes(10, 0, 0, 6)), undefined);
    now = 1000;
    assert.equal(local.find(bytes(10, 0, 0, 6)), '10.0.0.6');
    for (let i = 0; i < 100; i++) assert.equal(local.find(bytes(192, 0, 2, 1)), undefined);
    assert.equal(reads, 2);
  });
});
