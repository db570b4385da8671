import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chooseInterception, listAuthorities } from './interception.ts';
import { readCommandLine } from './options.ts';
import { findProblems, SIDECAR, type SidecarValues } from './sidecar-options.ts';

function read(line: string): SidecarValues | readonly string[] {
  const result = readCommandLine(SIDECAR, `--config m ${line}`.trim().split(' '), {});
  if (result.kind === 'wrong') return result.problems;
  return result.kind === 'run' ? result.values : assert.fail('help');
}
function valuesOf(line: string): SidecarValues {
  const values = read(line);
  return 'config' in values ? values : assert.fail(values.join());
}
function problemsOf(line: string): readonly string[] {
  const values = read(line);
  return 'config' in values ? findProblems(values, {}) : values;
}

describe('the options of interception', () => {
  const wrong: Readonly<Record<string, readonly [line: string, problem: RegExp]>> = {
    'neither --listen nor --interception': ['', /^--listen is missing/],
    both: ['--interception transparent --listen 0.0.0.0:1', /^--listen and --interception exclude each other/],
    'explicit without addresses': ['--interception explicit', /^--pod-ips is missing/],
    'another word': ['--interception iptables', /^--interception is "iptables"; must be one of transparent, explicit/],
    'addresses that are none': [
      '--interception explicit --pod-ips 10.0.0.1,pod',
      /^--pod-ips is "10.0.0.1,pod"; must be/,
    ],
    'a port out of bounds': [
      '--interception transparent --proxy-port 0',
      /^--proxy-port is "0"; must be a whole number/,
    ],
  };
  for (const [what, [line, problem]] of Object.entries(wrong)) {
    it(`are refused: ${what}`, () => {
      const problems = problemsOf(line);
      assert.equal(problems.length, 1);
      assert.match(problems[0] ?? '', problem);
    });
  }

  it('say how connections come in', () => {
    assert.deepEqual(problemsOf('--interception transparent'), []);
    const transparent = chooseInterception(valuesOf('--interception transparent'));
    assert.ok(transparent?.mode === 'transparent');
    assert.equal(transparent.port, 15190);
    const explicit = chooseInterception(valuesOf('--interception explicit --pod-ips 10.0.0.5,fd00::5'));
    assert.ok(explicit?.mode === 'explicit');
    assert.deepEqual(explicit.podAddresses, ['10.0.0.5', 'fd00::5']);
    assert.equal(chooseInterception(valuesOf('--listen 0.0.0.0:1')), undefined);
  });

  it('tell by which names the app of a port is known', () => {
    const known = (line: string): readonly string[] => listAuthorities(valuesOf(line), 8080);
    assert.deepEqual(known('--listen 0.0.0.0:1 --app 127.0.0.1:3000'), ['127.0.0.1:3000']);
    const pod = '--interception explicit --pod-ips 10.0.0.5,fd00::5';
    assert.deepEqual(known(pod), ['127.0.0.1:8080', '10.0.0.5:8080', '[fd00::5]:8080']);
    assert.deepEqual(known(`${pod} --app 8080=127.0.0.1:3000`), ['127.0.0.1:3000']);
    assert.equal(known('--interception transparent')[0], '127.0.0.1:8080');
  });
});
