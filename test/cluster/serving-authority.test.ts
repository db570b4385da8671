import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { SERVING_CA, WEBHOOK_CONFIGURATION } from '../../src/api/names.ts';
import { createAuthority } from '../../src/demo/pki.ts';
import { createAdmissionObjects } from '../../src/injector/admission-objects.ts';
import { createServingAuthority, type Serving, type ServingAuthority } from '../../src/injector/serving-authority.ts';
import { createWebhookServer, type WebhookServer } from '../../src/injector/webhook-server.ts';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import { SILENT } from '../../src/telemetry/telemetry.ts';
import { openControlPlane, type ControlPlane } from './support/control-plane.ts';
import { skipWithout } from './support/requirements.ts';

const SYSTEM = 'sallyport-system';
const DAY = 86_400_000;
const TIMINGS = { rootMs: 100 * DAY, leafMs: 10 * DAY };
const CONFIGURATIONS = ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations'];

interface Replica {
  readonly authority: ServingAuthority;
  readonly server: WebhookServer;
  readonly serving: () => Serving;
}

describe('the certificates of the webhooks, in a real control plane', { skip: skipWithout('control-plane') }, () => {
  let cluster: ControlPlane;
  let client: KubeClient;
  const replicas: Replica[] = [];
  /** Days that have passed for the replicas; what they make is valid now for the API server too, which lives in the present. */
  let day = 0;
  const reviews: string[] = [];

  async function openReplica(givenSecret?: string): Promise<Replica> {
    const server = createWebhookServer({
      answer: (path, review) => {
        const { uid } = (review as { request: { uid: string } }).request;
        reviews.push(path);
        return { uid, allowed: true };
      },
      ...{ host: '127.0.0.1', port: 0, monotonic: () => performance.now() },
      ...SILENT,
    });
    await server.start();
    let serving: Serving | undefined;
    const authority = createServingAuthority({
      ...{ client, namespace: SYSTEM, ...SILENT, randomBytes, timings: TIMINGS },
      ...(givenSecret === undefined ? {} : { givenSecret }),
      names: { dns: ['localhost'], ip: [Uint8Array.of(127, 0, 0, 1)] },
      clock: () => Date.now() + day * DAY,
      onChange: changed => {
        serving = changed;
        server.setCertificate(changed);
      },
    });
    const replica = { authority, server, serving: () => serving ?? assert.fail('nothing to serve') };
    replicas.push(replica);
    return replica;
  }

  const configurationPath = (resource: string): string =>
    `/apis/admissionregistration.k8s.io/v1/${resource}/${WEBHOOK_CONFIGURATION}`;
  const secretPath = `/api/v1/namespaces/${SYSTEM}/secrets/${SERVING_CA}`;
  const readBundles = async (): Promise<readonly string[]> => {
    const bundles = new Set<string>();
    for (const resource of CONFIGURATIONS) {
      const { body } = await cluster.call('GET', configurationPath(resource));
      const { webhooks } = body as { webhooks: { clientConfig: { caBundle?: string } }[] };
      for (const { clientConfig } of webhooks) bundles.add(clientConfig.caBundle ?? '');
    }
    return [...bundles].map(bundle => Buffer.from(bundle, 'base64').toString());
  };
  /** The webhooks lead to this replica from now on. */
  async function pointTo({ server }: Replica): Promise<void> {
    const url = cluster.webhookUrl(server.address?.port ?? 0);
    for (const resource of CONFIGURATIONS) {
      const { body } = await cluster.call('GET', configurationPath(resource));
      const { webhooks = [], ...rest } = body as { webhooks?: { clientConfig: { caBundle?: string } }[] };
      const moved = webhooks.map(({ clientConfig: { caBundle }, ...webhook }) => ({
        ...webhook,
        clientConfig: { url, ...(caBundle === undefined ? {} : { caBundle }) },
      }));
      const { status, body: answer } = await cluster.call('PUT', configurationPath(resource), {
        ...rest,
        webhooks: moved,
      });
      assert.equal(status, 200, JSON.stringify(answer));
    }
  }
  const makePod = async (): Promise<number> => {
    const pod = {
      metadata: { generateName: 'p-', labels: { 'sallyport.dev/inject': 'enabled' } },
      spec: { containers: [{ name: 'app', image: 'localhost/none:1' }] },
    };
    return (await cluster.call('POST', '/api/v1/namespaces/shop/pods?dryRun=All', pod)).status;
  };
  /** The API server hears of a change of a configuration a moment later. */
  const expectPod = (): Promise<true> =>
    cluster.waitFor('a pod to be let in', async () => (await makePod()) === 201 || undefined).then(() => true);

  before(async () => {
    cluster = await openControlPlane();
    client = createKubeClient(cluster.adminConnection, { log: SILENT.log, clock: Date.now, random: Math.random });
    await cluster.createNamespace(SYSTEM);
    await cluster.createNamespace('shop');
    const settings = {
      namespace: SYSTEM,
      excludedNamespaces: [],
      timeoutSeconds: 5,
      validatingFailurePolicy: 'Fail',
    } as const;
    const objects = createAdmissionObjects(settings).filter(({ kind }) =>
      String(kind).endsWith('WebhookConfiguration'),
    );
    await cluster.apply(objects.map(one => JSON.stringify(one)).join('\n---\n'));
  });
  after(async () => {
    for (const { authority, server } of replicas) {
      authority.stop();
      await server.stop(0);
    }
    await client.close();
    await cluster.close();
  });

  test('without anybody to trust the API server lets nothing in', async () => {
    await cluster.waitFor('the webhooks', async () => (await makePod()) !== 201 || undefined);
  });

  test('replicas that start at the same time agree on roots, and the API server trusts each of them', async () => {
    const three = await Promise.all([openReplica(), openReplica(), openReplica()]);
    await Promise.all(three.map(({ authority }) => authority.start()));
    assert.deepEqual(
      three.map(({ authority }) => authority.problem()),
      [undefined, undefined, undefined],
    );
    assert.equal(new Set(three.map(({ serving }) => serving().controllerCa)).size, 1);
    assert.equal(new Set(three.map(({ serving }) => serving().key)).size, 3);
    assert.equal((await readBundles()).length, 1);
    for (const replica of three) {
      await pointTo(replica);
      assert.ok(await expectPod());
    }
  });

  test('a bundle that somebody has overwritten is put right', async () => {
    const [replica] = replicas;
    const [bundle] = await readBundles();
    await cluster.call('PUT', configurationPath('mutatingwebhookconfigurations'), await withoutBundle());
    await cluster.waitFor('nothing to be let in', async () => (await makePod()) !== 201 || undefined);
    await replica?.authority.check();
    assert.deepEqual(await readBundles(), [bundle]);
    assert.ok(await expectPod());
  });
  const withoutBundle = async (): Promise<unknown> => {
    const { body } = await cluster.call('GET', configurationPath('mutatingwebhookconfigurations'));
    const { webhooks = [], ...rest } = body as { webhooks?: { clientConfig: object }[] };
    return {
      ...rest,
      webhooks: webhooks.map(one => ({ ...one, clientConfig: { ...one.clientConfig, caBundle: '' } })),
    };
  };

  test('a Secret that was removed comes back as it was: sidecars that run trust its roots', async () => {
    const [replica] = replicas;
    const told = replica?.serving().controllerCa;
    await cluster.call('DELETE', secretPath);
    await Promise.all(replicas.map(({ authority }) => authority.check()));
    assert.equal(replica?.serving().controllerCa, told);
    assert.equal((await cluster.call('GET', secretPath)).status, 200);
    assert.equal((await readBundles()).length, 1);
  });

  test('a leaf is renewed in time, by the same roots', async () => {
    const [replica] = replicas;
    const before = replica?.serving();
    day = 6;
    await replica?.authority.check();
    assert.notEqual(replica?.serving().certificate, before?.certificate);
    assert.equal(replica?.serving().controllerCa, before?.controllerCa);
  });

  test('no call fails while roots are rotated and only some replicas have noticed', async () => {
    const [first, second] = replicas;
    assert.ok(first !== undefined && second !== undefined);
    await pointTo(second);
    await expectPod();
    const told = first.serving().controllerCa;
    // Half of a root’s life has passed for the first replica; the second still serves by the root before.
    day = 51;
    const calls = Array.from({ length: 10 }, makePod);
    await first.authority.check();
    assert.notEqual(first.serving().controllerCa, told);
    assert.deepEqual(
      [...new Set([...(await Promise.all(calls)), ...(await Promise.all(Array.from({ length: 10 }, makePod)))])],
      [201],
    );
    const [bundle] = await readBundles();
    assert.equal(bundle?.split('BEGIN CERTIFICATE').length, 4);
    await second.authority.check();
    assert.equal(second.serving().controllerCa, first.serving().controllerCa);
    assert.equal(await makePod(), 201);
    day = 0;
  });

  test('goes on serving while the API server is away, and says nothing is wrong before its certificate ends', async () => {
    const [replica] = replicas;
    const before = replica?.serving();
    await cluster.stopApiServer();
    await replica?.authority.check();
    assert.equal(replica?.serving(), before);
    assert.equal(replica?.authority.problem(), undefined);
    await cluster.startApiServer();
    await replica?.authority.check();
    assert.equal(replica?.authority.problem(), undefined);
  });

  test('a Secret of somebody else takes our place, and is read again when it changes', async () => {
    const issue = (name: string) => {
      const authority = createAuthority({ name });
      const leaf = authority.issue({ subject: name, usages: ['serverAuth'], san: { ip: ['127.0.0.1'] } });
      const data = { 'tls.crt': leaf.chainPem, 'tls.key': leaf.keyPem, 'ca.crt': authority.certificatePem };
      return { metadata: { name: 'given' }, type: 'kubernetes.io/tls', stringData: data };
    };
    const given = await openReplica('given');
    await given.authority.check();
    assert.match(given.authority.problem() ?? '', /Secret sallyport-system\/given does not exist/);
    const path = `/api/v1/namespaces/${SYSTEM}/secrets`;
    const one = issue('one');
    await cluster.call('POST', path, one);
    await given.authority.check();
    assert.equal(given.authority.problem(), undefined);
    assert.equal(given.serving().controllerCa, one.stringData['ca.crt']);
    await pointTo(given);
    assert.ok(await expectPod());
    const two = issue('two');
    await cluster.call('PUT', `${path}/given`, two);
    await given.authority.check();
    assert.deepEqual(await readBundles(), [two.stringData['ca.crt']]);
    assert.ok(await expectPod());
    await cluster.call('PUT', `${path}/given`, {
      ...two,
      stringData: { ...two.stringData, 'ca.crt': '', 'tls.crt': 'x' },
    });
    await given.authority.check();
    assert.equal(given.serving().certificate, two.stringData['tls.crt']);
  });
});
