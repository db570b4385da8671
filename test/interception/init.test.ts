/** `sallyport init` against the kernel: a pod in a network namespace of the test’s own. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Host, openNetwork, whyNoNetwork } from '../support/network.ts';

const skip = whyNoNetwork() ?? false;
const PROGRAM = process.env['SCENARIO_PROGRAM'] ?? fileURLToPath(new URL('../../dist/main.js', import.meta.url));

const init = (pod: Host, ...args: string[]) => pod.run(process.execPath, [PROGRAM, 'init', ...args]);
const list = (pod: Host): Promise<string> => pod.must('nft', ['-n', 'list', 'ruleset']);
const unprivileged = ['--bounding-set=-net_admin', '--inh-caps=-net_admin', process.execPath, PROGRAM, 'init'];

describe('sallyport init', { skip }, () => {
  it('puts the rules in force, says for which addresses, and may run again with others', async t => {
    const { pod } = await openNetwork(t);
    const first = await init(pod, '--exclude-ports', '15191,9090', '--udp-ports', '53,5353');
    assert.equal(first.code, 0, first.stderr);
    assert.match(
      first.stdout,
      /10\.77\.0\.2, fd77::2, fe80::[0-9a-f:]+%eth0 goes to the sidecar, but for ports 15191, 9090/,
    );
    const before = await list(pod);
    assert.match(before, /tcp dport \{ 9090, 15191 \} return/);
    assert.match(before, /udp dport \{ 53, 5353 \} accept/);
    assert.equal((await init(pod, '--exclude-ports', '15191,9090', '--udp-ports', '53,5353')).code, 0);
    assert.equal(await list(pod), before);
    assert.equal((await init(pod)).code, 0);
    const after = await list(pod);
    assert.doesNotMatch(after, /9090|5353/);
    assert.equal(after.match(/^table /gm)?.length, 1);
  });

  it('works where protocols have no names, as in slim images', { skip: !existsSync('/etc/protocols') }, async t => {
    const { pod } = await openNetwork(t);
    const command = 'mount --bind /dev/null /etc/protocols && exec "$@"';
    const { code, stderr } = await pod.run('unshare', [
      ...['--mount', 'sh', '-c', command, 'sh', process.execPath, PROGRAM, 'init', '--udp-ports', '53'],
    ]);
    assert.equal(code, 0, stderr);
    assert.match(await list(pod), /redirect to :15190/);
  });

  it('leaves other tables alone', async t => {
    const { pod } = await openNetwork(t);
    await pod.must('nft', ['-f', '-'], 'table ip other { chain c { type filter hook input priority 0; }; }\n');
    assert.equal((await init(pod)).code, 0);
    assert.match(await list(pod), /table ip other/);
  });

  it('without NET_ADMIN says what to change, and writes nothing', async t => {
    const { pod } = await openNetwork(t);
    const { code, stderr } = await pod.run('setpriv', unprivileged);
    assert.equal(code, 69);
    assert.match(stderr, /^sallyport init: .*NET_ADMIN; run it as user 0 .*interception: explicit/);
    assert.equal(await list(pod), '');
  });

  it('without nft says what to install', async t => {
    const { pod } = await openNetwork(t);
    const { code, stderr } = await pod.run('/usr/bin/env', ['PATH=/nowhere', process.execPath, PROGRAM, 'init']);
    assert.equal(code, 69);
    assert.match(stderr, /there is no program nft; use the image of Sallyport, or install the package nftables/);
  });

  it('reports wrong ports, every problem at once, as other commands do', async t => {
    const { pod } = await openNetwork(t);
    const { code, stderr } = await init(pod, '--exclude-ports', '0,a', '--udp-ports', '70000', '--proxy-port', 'x');
    assert.equal(code, 64);
    assert.equal(stderr.match(/^sallyport init: --/gm)?.length, 3, stderr);
    assert.equal((await init(pod, '--exclude-ports', '15190')).code, 64);
    assert.equal(await list(pod), '');
  });

  it('prints the rules without writing them', async t => {
    const { pod } = await openNetwork(t);
    const { code, stdout } = await init(pod, '--print');
    assert.equal(code, 0);
    assert.equal(await list(pod), '');
    await pod.must('nft', ['-f', '-'], stdout);
    assert.match(await list(pod), /redirect to :15190/);
  });
});
