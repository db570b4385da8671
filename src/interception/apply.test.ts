import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { applyRuleset, type NftResult } from './apply.ts';
import { renderRuleset } from './ruleset.ts';
import { record } from './testing/listing.ts';

const RULES = { proxyPort: 15190, excludePorts: [15191, 9090], udpPorts: [53] };
const WELL: NftResult = { code: 0, stdout: '', stderr: '' };
const LISTED: NftResult = { ...WELL, stdout: JSON.stringify(record()) };
const MAY = 'Name:\tnode\nCapEff:\t0000000000001000\n';

function play(written: NftResult, listed: NftResult = LISTED, status: string | undefined = MAY) {
  const calls: (readonly [args: readonly string[], input: string])[] = [];
  const applied = applyRuleset(RULES, {
    processStatus: () => Promise.resolve(status),
    nft: (args, input) => {
      calls.push([args, input]);
      return Promise.resolve(args[0] === '-f' ? written : listed);
    },
  });
  return { applied, calls };
}

const failed = (stderr: string): NftResult => ({ code: 1, stdout: '', stderr });

describe('writing the rules', () => {
  it('hands them over whole and lists what the kernel has', async () => {
    const { applied, calls } = play(WELL);
    assert.deepEqual(await applied, { kind: 'applied' });
    assert.deepEqual(calls, [
      [['-f', '-'], renderRuleset(RULES)],
      [['-j', 'list', 'table', 'inet', 'sallyport'], ''],
    ]);
  });

  it('asks nothing of the kernel without NET_ADMIN', async () => {
    const { applied, calls } = play(WELL, LISTED, 'CapEff:\t00000000a80425fb\n');
    const result = await applied;
    assert.equal(result.kind === 'missing' && /NET_ADMIN/.test(result.problem), true);
    assert.deepEqual(calls, []);
  });

  const missing: Readonly<Record<string, readonly [result: NftResult, problem: RegExp, fix: RegExp]>> = {
    'a right that the kernel refuses': [
      failed('Error: Could not process rule: Operation not permitted'),
      /lacks the capability NET_ADMIN/,
      /runs?|user 0/,
    ],
    'nft that is not there': [{ code: undefined, stdout: '', stderr: '' }, /no program nft/, /install/],
    'a kernel without the modules': [
      failed('/dev/stdin:4:9-17: Error: Could not process rule: No such file or directory'),
      /no nftables with NAT/,
      /modprobe/,
    ],
    'a kernel without nftables': [
      failed('netlink: Error: cache initialization failed: Protocol not supported'),
      /no nftables with NAT/,
      /explicit/,
    ],
    'a failure of another sort': [
      failed('Error: syntax error\u001b[31m'),
      /nft failed: Error: syntax error \[31m$/,
      /see/,
    ],
  };
  for (const [what, [result, problem, fix]] of Object.entries(missing)) {
    it(`says what is missing: ${what}`, async () => {
      const applied = await play(result).applied;
      assert.ok(applied.kind === 'missing');
      assert.match(applied.problem, problem);
      assert.match(applied.fix, fix);
    });
  }

  it('says that an nft without JSON cannot tell', async () => {
    const applied = await play(WELL, failed('JSON support not compiled-in')).applied;
    assert.ok(applied.kind === 'missing');
    assert.match(applied.problem, /without JSON/);
    const empty = await play(WELL, WELL).applied;
    assert.equal(empty.kind, 'missing');
  });

  it('does not end well when the kernel lists other rules', async () => {
    const applied = await play(WELL, { ...WELL, stdout: '{"nftables": []}' }).applied;
    assert.deepEqual(applied, { kind: 'wrong', gaps: ['nothing redirects connections'] });
  });
});
