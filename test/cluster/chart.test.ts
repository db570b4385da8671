/** The chart’s values and the controller’s options: what one writes the other reads. Only helm is needed. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { requirePart } from '../../cluster/parts.ts';
import { CONTROLLER, type ControllerValues } from '../../src/cli/controller-options.ts';
import { readCommandLine } from '../../src/cli/options.ts';
import { run } from './support/processes.ts';
import { skipWithout } from './support/requirements.ts';

interface Deployment {
  readonly kind: string;
  readonly spec: { readonly template: { readonly spec: { readonly containers: readonly { args: string[] }[] } } };
}

const render = (settings: readonly string[]) =>
  run([
    ...[requirePart('helm'), 'template', 'sallyport', 'charts/sallyport', '-n', 'sallyport-system'],
    ...['-s', 'templates/deployment.yaml', ...settings.flatMap(each => ['--set-json', each])],
  ]);

/** What the controller makes of the arguments that the chart writes. */
async function readValues(settings: readonly string[] = []): Promise<ControllerValues> {
  const { code, stdout, stderr } = await render(settings);
  assert.equal(code, 0, stderr);
  const deployment = parseAllDocuments(stdout)
    .map(document => document.toJS() as Deployment)
    .find(({ kind }) => kind === 'Deployment');
  const [, ...args] = deployment?.spec.template.spec.containers[0]?.args ?? [];
  const line = readCommandLine(CONTROLLER, args, {});
  return line.kind === 'run' ? line.values : assert.fail(JSON.stringify(line));
}

describe('the values of the chart', { skip: skipWithout('control-plane') }, () => {
  test('are, as they come, what the controller takes for granted', async () => {
    const values = await readValues();
    assert.equal(values['explicit-anywhere'], false);
    assert.equal(values['default-pod-security'], 'privileged');
    assert.equal(values['trust-domain'], 'cluster.local');
    assert.deepEqual(values['image-pull-secret'], []);
  });

  test('reach the controller', async () => {
    const values = await readValues([
      'injector.explicitAnywhere=true',
      'injector.defaultPodSecurity="restricted"',
      'injector.excludeNamespaces=["legacy"]',
      'sidecar.imagePullSecrets=["registry","mirror"]',
      'sidecar.preStopSeconds=60',
      'secrets.requireLabel=true',
    ]);
    assert.equal(values['explicit-anywhere'], true);
    assert.equal(values['default-pod-security'], 'restricted');
    assert.deepEqual(values['exclude-namespace'], ['legacy']);
    assert.deepEqual(values['image-pull-secret'], ['registry', 'mirror']);
    assert.equal(values['pre-stop-seconds'], 60);
    assert.equal(values['require-secret-label'], true);
  });

  for (const [sentence, setting] of Object.entries({
    'a Pod Security level that does not exist': 'injector.defaultPodSecurity="strict"',
    'a text where it is yes or no': 'injector.explicitAnywhere="yes"',
    'a name that nothing has': 'injector.explicitEverywhere=true',
    'longer than the controller takes': 'sidecar.preStopSeconds=61',
  })) {
    test(`are refused: ${sentence}`, async () => {
      const { code, stderr } = await render([setting]);
      assert.notEqual(code, 0);
      assert.match(stderr, /values don't meet the specifications of the schema/);
    });
  }
});
