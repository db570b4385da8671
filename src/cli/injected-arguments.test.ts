/** What the injector writes is what the commands read. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Container } from '../injector/pod.ts';
import {
  CONFIGURATION,
  expectPatched,
  findContainer,
  readRecorded,
  RECORDED,
  SHOP,
  withMetadata,
} from '../injector/testing/pods.ts';
import { runInMemory } from '../../test/support/run-in-memory.ts';
import { readCommandLine } from './options.ts';
import { findProblems, SIDECAR } from './sidecar-options.ts';

/** As the kubelet sets them. */
const ENV = {
  SALLYPORT_NAMESPACE: 'shop',
  SALLYPORT_POD_NAME: 'fleet-0',
  SALLYPORT_POD_UID: 'a',
  SALLYPORT_POD_IPS: '10.0.0.5,fd00::5',
  KUBERNETES_SERVICE_HOST: '10.96.0.1',
  KUBERNETES_SERVICE_PORT: '443',
};
const CERTIFICATE = `-----BEGIN CERTIFICATE-----\n${Buffer.from('any').toString('base64')}\n-----END CERTIFICATE-----\n`;
const configuration = { controllerCa: CERTIFICATE, kubernetesCa: CERTIFICATE };
const EXPLICIT = {
  ...SHOP,
  labels: { ...SHOP.labels, 'pod-security.kubernetes.io/enforce': 'baseline' },
};

function readSidecar({ args = [] }: Container) {
  const line = readCommandLine(SIDECAR, args.slice(1), ENV);
  if (line.kind !== 'run') assert.fail(line.kind === 'wrong' ? line.problems.join('\n') : line.kind);
  assert.deepEqual(findProblems(line.values, ENV), []);
  return line.values;
}

describe('the arguments that the injector writes', () => {
  for (const name of RECORDED) {
    test(`into the sidecar of a pod of ${name} are taken by the sidecar`, () => {
      const sidecar = findContainer(expectPatched(readRecorded(name), { configuration }).pod, 'sallyport');
      const values = readSidecar(sidecar);
      assert.equal(values.interception, 'transparent');
      assert.equal(values.health?.port, 15191);
      assert.equal(values.namespace, 'shop');
    });
  }

  test('for explicit mode are taken too', () => {
    const pod = withMetadata(readRecorded('deployment'), { annotations: { 'sallyport.dev/interception': 'explicit' } });
    const sidecar = findContainer(expectPatched(pod, { configuration, namespace: EXPLICIT }).pod, 'sallyport');
    const values = readSidecar(sidecar);
    assert.equal(values.interception, 'explicit');
    assert.deepEqual(values['pod-ips'], ['10.0.0.5', 'fd00::5']);
    assert.deepEqual(values['container-ports'], { http: 8080, grpc: 9000, metrics: 9102 });
    assert.equal(values.probes?.length, 4);
    assert.equal(values['max-memory'], 256 * 1024 * 1024);
  });

  test('into the init container are taken by init', async () => {
    const { args = [] } = findContainer(expectPatched(readRecorded('job')).pod, 'sallyport-init');
    const { code, stdout, stderr } = await runInMemory([...args, '--print']);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /15190/);
  });

  test('into the hook of the sidecar name a command that exists', async () => {
    const sidecar = findContainer(expectPatched(readRecorded('job')).pod, 'sallyport');
    const { exec } = sidecar.lifecycle?.preStop ?? {};
    assert.ok(exec !== undefined && 'command' in exec && Array.isArray(exec.command));
    const [program, ...command] = exec.command as string[];
    assert.equal(program, 'sallyport');
    const { code, stderr } = await runInMemory(command);
    // There is no sidecar here, and that is all that is wrong.
    assert.equal(code, 69, stderr);
  });

  test('name the image that the installation names', () => {
    assert.equal(findContainer(expectPatched(readRecorded('job')).pod, 'sallyport').image, CONFIGURATION.image);
  });
});
