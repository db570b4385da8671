import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAuthority } from './host.ts';

const ACCEPTED: Record<string, [host: string, port: number | undefined]> = {
  'app.example': ['app.example', undefined],
  'APP.Example': ['app.example', undefined],
  'app.example.': ['app.example', undefined],
  'app.example.:443': ['app.example', 443],
  'app_1.example:65535': ['app_1.example', 65535],
  'xn--bcher-kva.example': ['xn--bcher-kva.example', undefined],
  localhost: ['localhost', undefined],
  '127.0.0.1:8080': ['127.0.0.1', 8080],
  '[::1]': ['[::1]', undefined],
  '[::]:1': ['[::]', 1],
  '[2001:DB8::A]:443': ['[2001:db8::a]', 443],
  '[1:2:3:4:5:6:7:8]': ['[1:2:3:4:5:6:7:8]', undefined],
  '[::ffff:192.0.2.1]': ['[::ffff:192.0.2.1]', undefined],
  '[1:2:3:4:5:6:192.0.2.1]': ['[1:2:3:4:5:6:192.0.2.1]', undefined],
};

test('host and port of authorities, in one form', () => {
  for (const [value, [host, port]] of Object.entries(ACCEPTED)) {
    assert.deepEqual(readAuthority(value), { host, port }, value);
  }
});

test('IPv6 addresses that are none are refused', () => {
  const broken = [
    '[]',
    '[:]',
    '[:::]',
    '[1::2::3]',
    '[1:2:3:4:5:6:7]',
    '[1:2:3:4:5:6:7:8:9]',
    '[1:2:3:4:5:6:7:8::]',
    '[12345::]',
    '[g::]',
    '[::1.2.3]',
    '[::1.2.3.256]',
    '[::1.2.3.4.5]',
    '[1.2.3.4::]',
    '[::1.2.3.4:1]',
    '[1:2:3:4:5:6:7:1.2.3.4]',
    '[::1]]',
    '[[::1]',
    '[::1]x',
    '[::1]:',
    '::1',
    '[ ::1]',
  ];
  for (const value of broken) assert.equal(readAuthority(value), undefined, value);
});
