import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import type { Pod } from '../../src/injector/pod.ts';
import { runInMemory, type Ran } from '../support/run-in-memory.ts';

const DEPLOYMENT = `# The app.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: fleet
  namespace: shop
  creationTimestamp: null
spec:
  selector: {matchLabels: {app: fleet}}
  template:
    metadata:
      labels: {app: fleet}
      annotations:
    spec:
      containers:
      - name: app
        image: fleet:1
        env: [{name: FLAG, value: "yes"}, {name: VERSION, value: "1e3"}]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /ready, port: http}}
`;
const POD = `apiVersion: v1
kind: Pod
metadata: {name: one}
spec: {containers: [{name: app, image: one:1}]}
`;
const SERVICE = `apiVersion: v1
kind: Service
metadata: {name: fleet}
spec: {ports: [{port: 80}]}
`;

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sallyport-inject-'));
  await writeFile(join(folder, 'controller.pem'), 'controller roots\n');
  await writeFile(join(folder, 'kubernetes.pem'), 'kubernetes roots\n');
});
after(() => rm(folder, { recursive: true }));

const GIVEN = ['--image', 'sallyport:1', '--controller-ca', 'controller.pem', '--kubernetes-ca', 'kubernetes.pem'];
const inject = (text: string, ...more: readonly string[]): Promise<Ran> =>
  runInMemory(['inject', '-f', '-', ...GIVEN, ...more], { cwd: folder, stdin: () => Promise.resolve(text) });

interface Printed {
  readonly kind: string;
  readonly metadata?: NonNullable<Pod['metadata']>;
  readonly spec: {
    readonly template: Pod;
    readonly jobTemplate: { readonly spec: { readonly template: Pod } };
  } & Pod['spec'];
  readonly items: readonly Printed[];
}
async function read(text: string, ...more: readonly string[]): Promise<readonly Printed[]> {
  const { code, stdout, stderr } = await inject(text, ...more);
  assert.equal(code, 0, stderr);
  // As kubectl reads it.
  const documents = [...parseAllDocuments(stdout, { version: '1.1' })];
  return documents.map(document => document.toJS() as Printed);
}
const names = ({ spec }: Pod): readonly string[] => (spec.initContainers ?? []).map(({ name }) => name);
const OURS = ['sallyport-init', 'sallyport'];

describe('sallyport inject prints', () => {
  test('a Deployment as the webhook would change its pods', async () => {
    const [deployment] = await read(DEPLOYMENT);
    const template = deployment?.spec.template ?? assert.fail('no template');
    assert.deepEqual(names(template), OURS);
    assert.equal(template.spec.initContainers?.[1]?.image, 'sallyport:1');
    assert.equal(template.spec.containers[0]?.readinessProbe?.httpGet?.port, 15191);
    assert.equal(template.metadata?.labels?.['app'], 'fleet');
  });

  test('texts that kubectl would take for something else in quotes', async () => {
    const [deployment] = await read(DEPLOYMENT);
    assert.deepEqual(deployment?.spec.template.spec.containers[0]?.env, [
      { name: 'FLAG', value: 'yes' },
      { name: 'VERSION', value: '1e3' },
    ]);
  });

  const kinds: Readonly<Record<string, readonly [apiVersion: string, spec: object]>> = {
    StatefulSet: ['apps/v1', { serviceName: 'x' }],
    DaemonSet: ['apps/v1', {}],
    ReplicaSet: ['apps/v1', {}],
    Job: ['batch/v1', {}],
    ReplicationController: ['v1', {}],
  };
  const template = { metadata: { labels: { app: 'x' } }, spec: { containers: [{ name: 'app', image: 'x' }] } };
  for (const [kind, [apiVersion, spec]] of Object.entries(kinds)) {
    test(`a ${kind} changed`, async () => {
      const [printed] = await read(
        JSON.stringify({ apiVersion, kind, metadata: { name: 'x' }, spec: { ...spec, template } }),
      );
      assert.deepEqual(names(printed?.spec.template ?? assert.fail(kind)), OURS);
    });
  }

  test('a CronJob changed', async () => {
    const spec = { schedule: '* * * * *', jobTemplate: { spec: { template } } };
    const [printed] = await read(
      JSON.stringify({ apiVersion: 'batch/v1', kind: 'CronJob', metadata: { name: 'x' }, spec }),
    );
    assert.deepEqual(names(printed?.spec.jobTemplate.spec.template ?? assert.fail('none')), OURS);
  });

  test('several documents in their order, others as they are', async () => {
    const printed = await read([SERVICE, POD, DEPLOYMENT].join('---\n'));
    assert.deepEqual(
      printed.map(({ kind }) => kind),
      ['Service', 'Pod', 'Deployment'],
    );
    assert.deepEqual(printed[0], {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'fleet' },
      spec: { ports: [{ port: 80 }] },
    });
    assert.deepEqual(names(printed[1] ?? assert.fail('none')), OURS);
  });

  test('lists with their items changed', async () => {
    const pod: unknown = parseAllDocuments(POD)[0]?.toJS();
    const service: unknown = parseAllDocuments(SERVICE)[0]?.toJS();
    const [list] = await read(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [service, pod] }));
    assert.ok(list !== undefined);
    assert.deepEqual(list.items[0], service);
    assert.deepEqual(names(list.items[1] ?? assert.fail('none')), OURS);
    const untyped = { metadata: { name: 'one' }, spec: { containers: [{ name: 'a', image: 'a' }] } };
    const [pods] = await read(JSON.stringify({ apiVersion: 'v1', kind: 'PodList', items: [untyped] }));
    assert.deepEqual(names(pods?.items[0] ?? assert.fail('none')), OURS);
  });

  test('its own output unchanged', async () => {
    const { stdout } = await inject([POD, DEPLOYMENT].join('---\n'));
    assert.equal((await inject(stdout)).stdout, stdout);
  });

  test('what the controller’s roots are in the sidecar’s arguments', async () => {
    const [pod] = await read(POD);
    const args = pod?.spec.initContainers?.[1]?.args ?? [];
    const at = args.indexOf('--controller-ca');
    assert.equal(Buffer.from(args[at + 1] ?? '', 'base64').toString(), 'controller roots\n');
  });
});

describe('namespaces', () => {
  test('count as opted in unless the command line says otherwise', async () => {
    const { stdout, stderr, code } = await inject(POD, '--namespace-labels', 'team=web');
    assert.equal(code, 0);
    assert.match(stderr, /^sallyport inject: Pod one is left alone: neither the pod nor its namespace is labelled/);
    assert.equal(stdout.includes('sallyport'), false);
  });

  test('among the manifests have the labels that stand there', async () => {
    const namespace = (labels: string): string =>
      `apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {${labels}}}\n`;
    const { stderr } = await inject([namespace('a: b'), DEPLOYMENT].join('---\n'));
    assert.match(stderr, /Deployment fleet is left alone/);
    const { stderr: refused, code } = await inject(
      [namespace('sallyport.dev/inject: enabled, pod-security.kubernetes.io/enforce: restricted'), DEPLOYMENT].join(
        '---\n',
      ),
    );
    assert.equal(code, 1);
    assert.match(refused, /^-:17:spec\.template\.metadata\.annotations\["sallyport\.dev\/interception"\]: is missing/);
  });

  test('get what a cluster policy among the manifests allows (S9)', async () => {
    const annotated = POD.replace('{name: one}', '{name: one, annotations: {sallyport.dev/exclude-ports: "9090"}}');
    assert.equal((await inject(annotated)).code, 1);
    const policy = `apiVersion: sallyport.dev/v1alpha1
kind: ClusterAuthPolicy
metadata: {name: media}
spec: {allowances: [{excludePorts: [9090]}]}
`;
    const printed = await read([policy, annotated].join('---\n'));
    assert.equal(printed[1]?.spec.initContainers?.[0]?.args?.at(-1), '15191,9090');
  });
});

describe('sallyport inject refuses', () => {
  test('a pod that the webhook would refuse, with file, line, field and fix, and prints nothing', async () => {
    const text = DEPLOYMENT.replace('    spec:\n', '    spec:\n      hostNetwork: true\n');
    const { code, stdout, stderr } = await inject([POD, text].join('---\n'));
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /^-:20:spec\.template\.spec\.hostNetwork: is true: .*, remove it, or run the pod/);
  });

  test('what is no pod', async () => {
    const { code, stderr } = await inject(POD.replace('containers: [{name: app, image: one:1}]', 'containers: none'));
    assert.equal(code, 1);
    assert.match(stderr, /^-:4:spec\.containers: is not a list, look at kubectl explain pod$/m);
  });

  test('YAML that cannot be read, and files that are not there', async () => {
    assert.match((await inject('a: [')).stderr, /^-:1: .*bracket/);
    const { code, stderr } = await runInMemory(['inject', '-f', 'none.yaml', ...GIVEN], { cwd: folder });
    assert.equal(code, 1);
    assert.match(stderr, /^none\.yaml:1: the file does not exist, name another$/m);
  });

  test('to guess image and certificates', async () => {
    const { code, stderr } = await runInMemory(['inject'], { cwd: folder });
    assert.equal(code, 64);
    for (const flag of ['file', 'image', 'controller-ca', 'kubernetes-ca'])
      assert.match(stderr, new RegExp(`--${flag} is missing`));
    const both = await runInMemory(['inject', '-f', '-', '--cluster', ...GIVEN], { cwd: folder });
    assert.match(both.stderr, /--image and --cluster exclude each other/);
  });

  test('certificates that cannot be read', async () => {
    const { code, stderr } = await runInMemory(
      ['inject', '-f', '-', '--image', 'x', '--controller-ca', 'none', '--kubernetes-ca', 'kubernetes.pem'],
      { cwd: folder, stdin: () => Promise.resolve(POD) },
    );
    assert.deepEqual([code, stderr], [69, 'sallyport inject: --controller-ca none cannot be read (ENOENT)\n']);
  });
});
