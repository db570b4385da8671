import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../support/until.ts';
import { openControllerScene, type ControllerScene, type RunningController } from './support/controller.ts';
import { skipWithout } from './support/requirements.ts';

const HEAD = 'apiVersion: sallyport.dev/v1alpha1\n';
const API = `${HEAD}kind: Api
metadata: {name: fleet, namespace: shop}
spec: {podSelector: {matchLabels: {app: fleet}}, port: 8080}
`;
const policy = (name: string, spec: string): string =>
  `---\n${HEAD}kind: AuthPolicy\nmetadata: {name: ${name}, namespace: shop}\nspec: ${spec}\n`;

describe('the controller on a real API server', { skip: skipWithout('control-plane') }, () => {
  let scene: ControllerScene;
  let running: RunningController;
  before(async () => {
    scene = await openControllerScene();
    await scene.cluster.createNamespace('shop', { 'sallyport.dev/inject': 'enabled' });
    running = await scene.open();
    await until('leading', () => running.controller.leads());
  });
  after(() => scene.close());

  const shows = (kind: string, name: string, type: string, wanted: RegExp): Promise<string> =>
    until(`${type} of ${kind} ${name} to be ${String(wanted)}`, async () => {
      const found = await scene.condition(kind, 'shop', name, type);
      return wanted.test(found) && found;
    });

  test('status is written by server-side apply, as its own manager, with the generation that was looked at', async () => {
    await scene.cluster.apply(API + policy('p', '{request: []}'));
    await shows('authpolicy', 'p', 'Accepted', /^True Accepted: valid$/);
    await shows('authpolicy', 'p', 'Programmed', /^True Programmed: applies to Api shop\/fleet$/);
    const path = '/apis/sallyport.dev/v1alpha1/namespaces/shop/authpolicies/p';
    const { metadata, status } = await scene.client.request<{
      metadata: { generation: number; managedFields: { manager: string; operation: string; subresource?: string }[] };
      status: { conditions: { observedGeneration: number }[] };
    }>('GET', path);
    assert.ok(status.conditions.every(({ observedGeneration }) => observedGeneration === metadata.generation));
    assert.ok(
      metadata.managedFields.some(
        ({ manager, operation, subresource }) =>
          manager === 'sallyport-controller' && operation === 'Apply' && subresource === 'status',
      ),
    );
  });

  test('an object that the schema lets through and the parser refuses is Accepted=False with field and fix', async () => {
    await scene.cluster.apply(
      policy('wrong', '{request: [{name: s, authorize: {deny: [{expression: "request.methodd == \'GET\'"}]}}]}'),
    );
    const found = await shows('authpolicy', 'wrong', 'Accepted', /^False Invalid/);
    assert.match(found, /spec\.request\[0\]\.authorize\.deny\[0\]\.expression: .*method/);
    await scene.cluster.apply(policy('wrong', '{request: []}'));
    await shows('authpolicy', 'wrong', 'Accepted', /^True/);
    await scene.cluster.kubectl(['delete', 'authpolicy', 'wrong', '-n', 'shop']);
  });

  test('what is asked for shows in kubectl get', async () => {
    const { stdout } = await scene.cluster.kubectl(['get', 'sallyport', '-n', 'shop']);
    assert.match(stdout, /authpolicy\.sallyport\.dev\/p\s+Enforce\s+True\s+generation 1 on 0\/0 pods/);
  });

  test('pods without a sidecar are named once by an Event, and counted', async () => {
    await scene.createPod('shop', 'bare', { sidecar: false });
    await until('the Event', async () => {
      const { stdout } = await scene.cluster.kubectl([
        'get',
        'events',
        '-n',
        'shop',
        '-o',
        'name',
        '--field-selector',
        'reason=NoSidecar',
      ]);
      return (
        stdout
          .trim()
          .split('\n')
          .filter(line => line !== '').length === 1
      );
    });
    running.controller.refreshMetrics();
    assert.match(
      await running.telemetry.exposition(),
      /sallyport_controller_unprotected_pods\{pod_namespace="shop"\} 1/,
    );
    await shows('authpolicy', 'p', 'Enforced', /^False NoPods: generation 1 on 0\/1 pods; 1 has no sidecar of ours$/);
    await scene.cluster.kubectl(['delete', 'pod', 'bare', '-n', 'shop', '--force']);
    await shows('authpolicy', 'p', 'Enforced', /0\/0 pods/);
  });

  interface Told {
    readonly reason: string;
    readonly regarding: { readonly name: string };
    readonly note: string;
  }
  const eventsOf = async (reason: string): Promise<readonly Told[]> => {
    const { items } = await scene.client.request<{ readonly items: readonly Told[] }>(
      'GET',
      '/apis/events.k8s.io/v1/namespaces/shop/events',
    );
    return items.filter(one => one.reason === reason);
  };

  test('ports without an Api that somebody dialled are one Event each of their pod, however often that is said', async () => {
    const pod = await scene.createPod('shop', 'dialled', { labels: { app: 'dialled' } });
    const sidecar = await scene.connect(running, pod);
    await sidecar.material('the first material');
    sidecar.acknowledge([], { closedPorts: [9090] });
    await until('the first Event', async () => (await eventsOf('NoApi')).length === 1);
    sidecar.acknowledge([], { closedPorts: [9090, 6060] });
    const told = await until('the second Event', async () => {
      const events = await eventsOf('NoApi');
      return events.length === 2 && events;
    });
    assert.deepEqual(told.map(({ regarding, note }) => `${regarding.name}: ${note.split(':')[0]}`).sort(), [
      'dialled: connections to port 6060 are reset',
      'dialled: connections to port 9090 are reset',
    ]);
    // Nothing new is said: nothing new is told.
    sidecar.acknowledge([], { closedPorts: [9090, 6060], wouldDeny: [{ policy: 'AuthPolicy shop/p', count: 1 }] });
    await scene.createPod('shop', 'another', { sidecar: false });
    await until('another round', async () =>
      (await eventsOf('NoSidecar')).some(({ regarding }) => regarding.name === 'another'),
    );
    assert.equal((await eventsOf('NoApi')).length, 2);
    await sidecar.stop();
    for (const name of ['another', 'dialled']) {
      await scene.cluster.kubectl(['delete', 'pod', name, '-n', 'shop', '--force']);
    }
  });

  test('a pod that leaves a port open past the end of its allowance is named, and counted', async () => {
    const ends = new Date(Date.now() + 4000).toISOString().replace(/\.\d+Z$/, 'Z');
    await scene.cluster.apply(`${HEAD}kind: ClusterAuthPolicy
metadata: {name: exception}
spec: {allowances: [{excludePorts: [9090], until: ${ends}}]}
`);
    await until('the allowance', () =>
      running.controller.model.objectsOfCluster().some(({ metadata }) => metadata.name === 'exception'),
    );
    await scene.createPod('shop', 'open', { labels: { app: 'open' }, open: ['15191,9090'] });
    const [told] = await until('the Event', async () => {
      const events = await eventsOf('AllowanceEnded');
      return events.length > 0 && events;
    });
    assert.ok(Date.now() >= Date.parse(ends));
    assert.equal(
      `${told?.regarding.name ?? ''} ${told?.note ?? ''}`,
      `open leaves TCP 9090 open, whose allowance ended ${new Date(ends).toISOString()}: the rules of a pod are written when it starts; make it anew without the annotation sallyport.dev/exclude-ports`,
    );
    running.controller.refreshMetrics();
    assert.match(await running.telemetry.exposition(), /sallyport_controller_left_open_pods\{pod_namespace="shop"\} 1/);
    await scene.cluster.kubectl(['delete', 'clusterauthpolicy', 'exception']);
    await scene.cluster.kubectl(['delete', 'pod', 'open', '-n', 'shop', '--force']);
  });

  test('grants appear with the label, are mended, and go with it', async () => {
    await scene.cluster.createNamespace('granted', { 'sallyport.dev/inject': 'enabled' });
    const exists = async (what: string): Promise<boolean> =>
      (await scene.cluster.kubectl(['get', ...what.split(' '), '-n', 'granted'])).code === 0;
    const all = ['role sallyport-sidecar', 'rolebinding sallyport-sidecar', 'configmap sallyport-mesh-ca'];
    for (const what of all) await until(what, () => exists(what));
    const can = async (verb: string, resource: string, namespace = 'granted'): Promise<boolean> => {
      const as = ['--as=system:serviceaccount:granted:default', '--as-group=system:serviceaccounts:granted'];
      return (await scene.cluster.kubectl(['auth', 'can-i', verb, resource, '-n', namespace, ...as])).code === 0;
    };
    assert.ok(await can('watch', 'authpolicies.sallyport.dev'));
    assert.ok(await can('list', 'clusterauthpolicies.sallyport.dev'));
    assert.ok(!(await can('get', 'secrets')));
    assert.ok(!(await can('list', 'authpolicies.sallyport.dev', 'shop')));
    assert.ok(!(await can('patch', 'authpolicies.sallyport.dev/status')));
    await scene.cluster.kubectl(['delete', 'role', 'sallyport-sidecar', '-n', 'granted']);
    await until('the role is mended', () => exists('role sallyport-sidecar'));
    await scene.cluster.kubectl(['label', 'namespace', 'granted', 'sallyport.dev/inject-']);
    for (const what of all) await until(`${what} is gone`, async () => !(await exists(what)));
    await until('the cluster kind is closed', async () => !(await can('list', 'clusterauthpolicies.sallyport.dev')));
  });

  test('a restart of the API server is survived', async () => {
    await scene.cluster.stopApiServer();
    await scene.cluster.startApiServer();
    await scene.cluster.apply(policy('after', '{request: []}'));
    await shows('authpolicy', 'after', 'Accepted', /^True/);
  });
});
