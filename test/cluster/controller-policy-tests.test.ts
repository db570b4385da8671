import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { MaterialMessage } from '../../src/material/protocol.ts';
import { until } from '../support/until.ts';
import {
  openControllerScene,
  type ControllerScene,
  type RunningController,
  type Sidecar,
} from './support/controller.ts';
import { skipWithout } from './support/requirements.ts';

const HEAD = 'apiVersion: sallyport.dev/v1alpha1\n';
const object = (kind: string, name: string, spec: string, namespace = 'shop'): string =>
  `---\n${HEAD}kind: ${kind}\nmetadata: {name: ${name}${namespace === '' ? '' : `, namespace: ${namespace}`}}\nspec: ${spec}\n`;
const API = object('Api', 'fleet', '{podSelector: {matchLabels: {app: fleet}}, port: 8080}');
/** The Secret does not exist: what it holds is no matter of a test. */
const ISSUER = object(
  'TokenIssuer',
  'corp',
  '{issuer: corp, algorithms: [HS256], keys: [{secretKeyRef: {name: missing, key: hs}}]}',
);
const caller = (audience: string): string =>
  object('AuthPolicy', 'caller', `{request: [{name: who, jwt: {issuers: [corp], audiences: [${audience}]}}]}`);
const addresses = (deny: string): string =>
  object('AuthPolicy', 'addresses', `{request: [{name: where, ipFilter: {deny: ["${deny}"]}}]}`);
const tests = (gate: boolean, audience = 'a'): string =>
  object(
    'PolicyTest',
    'fleet',
    `
  gate: ${gate}
  cases:
  - name: a known caller
    given: {request: {path: /}, token: {issuer: corp, claims: {aud: ${audience}}}}
    expect: {verdict: Permit}
  - name: nobody
    given: {request: {path: /}}
    expect: {verdict: Deny, status: 401, reason: TokenNotPresent}
`,
  );

describe('policy tests on a real API server', { skip: skipWithout('control-plane') }, () => {
  let scene: ControllerScene;
  let running: RunningController;
  let sidecar: Sidecar;
  before(async () => {
    scene = await openControllerScene();
    await scene.cluster.createNamespace('shop', { 'sallyport.dev/inject': 'enabled' });
    running = await scene.open();
    await until('leading', () => running.controller.leads());
    sidecar = await scene.connect(running, await scene.createPod('shop', 'fleet-1'));
  });
  after(() => scene.close());

  const shows = (kind: string, name: string, type: string, wanted: RegExp): Promise<string> =>
    until(`${type} of ${kind} ${name} to be ${String(wanted)}`, async () => {
      const found = await scene.condition(kind, kind === 'clusterauthpolicy' ? '' : 'shop', name, type);
      return wanted.test(found) && found;
    });
  const passed = ({ gate }: MaterialMessage): string => {
    const { policies } = gate ?? {};
    if (policies === undefined || policies === null) return String(policies);
    const shown = policies.map(policy => {
      const { name, generation } = (policy as { metadata: { name: string; generation: number } }).metadata;
      return `${name}@${generation}`;
    });
    return shown.sort().join();
  };
  const gated = (wanted: string, at = sidecar): Promise<MaterialMessage> =>
    at.material(`the gate to let ${wanted} pass`, message => passed(message) === wanted);

  test('cases that pass set TestsPassed on the test and on the policies that judged them', async () => {
    await scene.cluster.apply(API + ISSUER + caller('a') + tests(false));
    await shows('policytest', 'fleet', 'TestsPassed', /^True Passed: 2 of 2 cases pass$/);
    await shows('policytest', 'fleet', 'Accepted', /^True Accepted/);
    await shows('authpolicy', 'caller', 'TestsPassed', /^True Passed: 2 of 2 cases through it pass$/);
    const { stdout } = await scene.cluster.kubectl(['get', 'policytest', 'fleet', '-n', 'shop', '-o', 'json']);
    const { status } = JSON.parse(stdout) as { status: { cases: unknown } };
    assert.deepEqual(status.cases, { total: 2, failed: 0 });
  });

  test('a case that fails is told, with what was expected and what came, and holds nothing back without a gate', async () => {
    await scene.cluster.apply(caller('b'));
    await shows(
      'policytest',
      'fleet',
      'TestsPassed',
      /^False Failed: 1 of 2 cases fail: "a known caller": verdict is Deny, not Permit$/,
    );
    await shows('authpolicy', 'caller', 'TestsPassed', /^False Failed: 1 of 2 cases through it fail: fleet "a known/);
    await shows('authpolicy', 'caller', 'Programmed', /^True/);
    assert.equal(sidecar.materials.at(-1)?.gate, undefined);
  });

  test('a cluster policy in the pipeline of a failing case is told too', async () => {
    const baseline = object(
      'ClusterAuthPolicy',
      'baseline',
      '{request: [{name: w, ipFilter: {deny: ["10.9.9.9"]}}]}',
      '',
    );
    await scene.cluster.apply(baseline);
    await shows('clusterauthpolicy', 'baseline', 'TestsPassed', /^False Failed: 1 of 2 cases through it fail/);
    await scene.cluster.kubectl(['delete', 'clusterauthpolicy', 'baseline']);
  });

  test('a name that leads nowhere is Invalid, with its field', async () => {
    const wrong = `{cases: [{name: x, given: {request: {path: /}, token: {issuer: crop}}, expect: {status: 401}}]}`;
    await scene.cluster.apply(object('PolicyTest', 'wrong', wrong));
    await shows(
      'policytest',
      'wrong',
      'Accepted',
      /^False Invalid: spec\.cases\[0\]\.given\.token\.issuer: names the TokenIssuer "crop".*did you mean "corp"\?/,
    );
    await shows('policytest', 'wrong', 'TestsPassed', /^False Failed/);
    await scene.cluster.kubectl(['delete', 'policytest', 'wrong', '-n', 'shop']);
  });

  test('S6: a gate that never let anything pass says so to sidecars, and opens when the case is mended', async () => {
    await scene.cluster.apply(tests(true));
    await gated('null');
    await shows(
      'authpolicy',
      'caller',
      'Programmed',
      /^False PartiallyProgrammed: PolicyTest shop\/fleet holds it back/,
    );
    await shows(
      'policytest',
      'fleet',
      'TestsPassed',
      /^False .*Gate: no AuthPolicies of this namespace have passed yet/,
    );
    await scene.cluster.apply(tests(true, 'b'));
    await gated('caller@2');
    await shows('authpolicy', 'caller', 'Programmed', /^True/);
  });

  test('a generation that fails is held back, new objects wait, and a mended policy comes into force with them', async () => {
    await scene.cluster.apply(caller('c') + addresses('10.0.0.1'));
    await shows(
      'authpolicy',
      'caller',
      'Programmed',
      /^False PartiallyProgrammed: PolicyTest shop\/fleet holds it back/,
    );
    await shows('authpolicy', 'addresses', 'Programmed', /^False PartiallyProgrammed/);
    assert.equal(passed(await sidecar.material('what passed')), 'caller@2');
    await scene.cluster.apply(caller('b'));
    await gated('addresses@1,caller@4');
    await shows('authpolicy', 'addresses', 'Programmed', /^True/);
  });

  test('what passed last survives the controller, and another that leads keeps it', async () => {
    await scene.cluster.apply(caller('c'));
    await shows('authpolicy', 'caller', 'Programmed', /^False PartiallyProgrammed/);
    await sidecar.stop();
    await running.stop();
    running = await scene.open();
    await until('leading', () => running.controller.leads());
    sidecar = await scene.connect(running, await scene.createPod('shop', 'fleet-2'));
    await gated('addresses@1,caller@4');
    await shows('policytest', 'fleet', 'TestsPassed', /^False Failed: .*Gate: the AuthPolicies that passed last stay/);
  });

  test('a deletion by which a case fails is held back, and told', async () => {
    await scene.cluster.kubectl(['delete', 'authpolicy', 'caller', '-n', 'shop']);
    await shows('policytest', 'fleet', 'TestsPassed', /deleted ones included: AuthPolicy shop\/caller$/);
    assert.equal(passed(await sidecar.material('what passed')), 'addresses@1,caller@4');
    await scene.cluster.apply(caller('b'));
    await gated('addresses@1,caller@1');
  });

  test('without its gate nothing is held back, and what passed is forgotten', async () => {
    await scene.cluster.apply(tests(false) + caller('c'));
    await sidecar.material('no gate', ({ gate }) => gate === undefined);
    await until('the ConfigMap to be gone', async () => {
      const { stdout } = await scene.cluster.kubectl(['get', 'configmap', '-n', 'sallyport-system', '-o', 'name']);
      return !stdout.includes('sallyport-passed-');
    });
    await shows('authpolicy', 'caller', 'Programmed', /^True/);
    await scene.cluster.kubectl(['delete', 'policytest', 'fleet', '-n', 'shop']);
    await until(
      'TestsPassed to go with the tests',
      async () => (await scene.condition('authpolicy', 'shop', 'caller', 'TestsPassed')) === '',
    );
  });
});
