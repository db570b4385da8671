import assert from 'node:assert/strict';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';
import { after, before, describe, test, type TestContext } from 'node:test';
import { createKubeClient, type KubeClient } from '../../src/kube/client.ts';
import type { KubeConnection } from '../../src/kube/connection.ts';
import { createListWatch, type ListWatch, type ListWatchOptions } from '../../src/kube/list-watch.ts';
import { nameObject, type KubeObject } from '../../src/kube/objects.ts';
import { listPages } from '../../src/kube/paged-list.ts';
import { applyObject, deleteObject, mergeObject, readObject } from '../../src/kube/writes.ts';
import { SILENT } from '../../src/telemetry/telemetry.ts';
import { until } from '../support/until.ts';
import { type ControlPlane, openControlPlane } from './support/control-plane.ts';
import { skipWithout } from './support/requirements.ts';

const PATH = '/api/v1/namespaces/watched/configmaps';

describe('list-watch on a real API server', { skip: skipWithout('control-plane') }, () => {
  let cluster: ControlPlane;
  before(async () => {
    cluster = await openControlPlane();
    await cluster.createNamespace('watched');
  });
  after(() => cluster.close());

  const open = (context: TestContext, connection: KubeConnection = cluster.adminConnection): KubeClient => {
    const client = createKubeClient(connection, { log: SILENT.log, clock: Date.now, random: Math.random });
    context.after(() => client.close());
    return client;
  };
  const put = (client: KubeClient, name: string, value: string) =>
    applyObject(
      client,
      `${PATH}/${name}`,
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels: { test: 'yes' } }, data: { value } },
      { fieldManager: 'test' },
    );

  interface ConfigMap extends KubeObject {
    readonly data?: Readonly<Record<string, string>>;
  }
  interface Following {
    readonly watch: ListWatch;
    /** Names and values as the handler saw them last. */
    readonly seen: () => Readonly<Record<string, string | undefined>>;
    readonly events: string[];
  }

  function follow(
    context: TestContext,
    client: KubeClient,
    changes: Partial<ListWatchOptions<ConfigMap>> = {},
  ): Following {
    let seen: Record<string, string | undefined> = {};
    const events: string[] = [];
    const watch = createListWatch<ConfigMap>({
      client,
      path: PATH,
      query: { labelSelector: 'test=yes' },
      log: SILENT.log,
      clock: Date.now,
      random: Math.random,
      onChange(objects, { type, object }) {
        seen = Object.fromEntries([...objects.values()].map(each => [each.metadata.name, each.data?.['value']]));
        events.push(`${type} ${object === undefined ? '-' : nameObject(object)}`);
      },
      ...changes,
      timings: { retryMinMs: 50, ...changes.timings },
    });
    context.after(() => watch.stop());
    watch.start();
    return { watch, seen: () => seen, events };
  }

  // Node's iterator of an HTTP/2 stream took one of five hundred such answers for one that was cut off.
  test('many small answers at once are each whole', async context => {
    const client = open(context);
    const path = '/api/v1/namespaces/watched/serviceaccounts/default/token';
    const body = {
      ...{ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest' },
      spec: { audiences: ['test'], expirationSeconds: 600 },
    };
    const ask = () => client.request<{ readonly status: { readonly token: string } }>('POST', path, { body });
    for (let round = 0; round < 30; round++) {
      const answers = await Promise.all(Array.from({ length: 48 }, ask));
      assert.ok(answers.every(({ status }) => status.token.split('.').length === 3));
    }
  });

  test('a streaming list and what changes after it, with nothing of the server’s bookkeeping', async context => {
    const asked: string[] = [];
    const real = open(context);
    const client: KubeClient = {
      ...real,
      stream: (path, query, ...rest) => {
        asked.push(query['sendInitialEvents'] ?? 'resumes');
        return real.stream(path, query, ...rest);
      },
    };
    await put(client, 'one', '1');
    const { watch, seen, events } = follow(context, client);
    await watch.synced;
    assert.deepEqual(seen(), { one: '1' });
    await put(client, 'two', '1');
    await mergeObject(client, `${PATH}/one`, { data: { value: '2' } });
    await deleteObject(client, `${PATH}/two`);
    await until('all three events', () => events.length >= 4);
    assert.deepEqual(events, ['SYNC -', 'ADDED watched/two', 'MODIFIED watched/one', 'DELETED watched/two']);
    assert.deepEqual(seen(), { one: '2' });
    assert.equal(watch.status().relists, 0);
    assert.deepEqual(asked, ['true'], 'one stream did it all');
    const raw = (await readObject(client, `${PATH}/one`))?.metadata;
    assert.ok(raw !== undefined && 'managedFields' in raw, 'the server does send what is dropped');
  });

  test('pages of two hold what one list holds', async context => {
    const client = open(context);
    for (const name of ['a', 'b', 'c', 'd', 'e']) await put(client, name, name);
    const options = { client, path: PATH, query: { labelSelector: 'test=yes' }, signal: new AbortController().signal };
    const paged = await listPages({ ...options, pageSize: 2 });
    const whole = await listPages({ ...options, pageSize: 500 });
    assert.deepEqual([...paged.objects.keys()].sort(), [...whole.objects.keys()].sort());
    assert.ok(paged.objects.size >= 5);
    assert.ok([...paged.objects.values()].every(({ kind, apiVersion }) => kind === 'ConfigMap' && apiVersion === 'v1'));
    for (const name of ['a', 'b', 'c', 'd', 'e']) await deleteObject(client, `${PATH}/${name}`);
  });

  test('watches end and go on from the last bookmark or event without a list', async context => {
    const client = open(context);
    const { watch, seen, events } = follow(context, client, { timings: { watchMinMs: 1000, watchMaxMs: 1000 } });
    await watch.synced;
    for (const value of ['10', '11', '12', '13']) {
      await put(client, 'ends', value);
      await until(`value ${value}`, () => seen()['ends'] === value);
      await new Promise(resolve => setTimeout(resolve, 700));
    }
    assert.equal(watch.status().relists, 0);
    assert.equal(events.filter(event => event === 'SYNC -').length, 1);
    await deleteObject(client, `${PATH}/ends`);
  });

  test('the API server killed and started again: what happened meanwhile is told, without a list', async context => {
    const client = open(context);
    const { watch, seen } = follow(context, client);
    await watch.synced;
    await cluster.stopApiServer();
    await until('the loss to be noticed', () => /could not connect/.test(watch.status().problem ?? ''));
    assert.equal(watch.status().connected, false);
    await cluster.startApiServer();
    await put(open(context), 'killed', '1');
    await until('the change', () => seen()['killed'] === '1');
    assert.deepEqual([watch.status().connected, watch.status().staleMs], [true, 0]);
    await deleteObject(client, `${PATH}/killed`);
  });

  test('a version that etcd has compacted is 410: it lists again and finds what was deleted and made', async context => {
    const admin = open(context);
    await put(admin, 'gone', '1');
    const link = await openLink(context, new URL(cluster.server));
    const client = open(context, { ...cluster.adminConnection, server: `https://127.0.0.1:${link.port}` });
    const { watch, seen } = follow(context, client);
    await watch.synced;
    assert.equal(seen()['gone'], '1');
    link.cut();
    await until('the loss to be noticed', () => !watch.status().connected);
    await deleteObject(admin, `${PATH}/gone`);
    await put(admin, 'made', '1');
    await compact(Number(new URL(cluster.server).port) - 2);
    // Its cache of events would still know the old version.
    await cluster.stopApiServer();
    await cluster.startApiServer();
    link.mend();
    await until('the new object', () => seen()['made'] === '1');
    assert.equal(seen()['gone'], undefined);
    assert.equal(watch.status().relists, 1);
  });

  test('a token that is replaced counts at once, and RBAC’s refusal is told in its own words', async context => {
    const readable = { apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'list', 'watch'] };
    await cluster.call('POST', '/apis/rbac.authorization.k8s.io/v1/namespaces/watched/roles', {
      metadata: { name: 'reader' },
      rules: [readable],
    });
    let token = 'bad';
    const { server, ca } = cluster.adminConnection;
    const client = open(context, { server, ca, token: () => Promise.resolve(token) });
    const { watch, seen } = follow(context, client);
    await until('the refusal of the token', () => watch.status().problem === 'Unauthorized');
    token = await cluster.createToken('watched', 'default', 'https://kubernetes.default.svc');
    await until('the refusal of RBAC', () => /configmaps is forbidden.*cannot/.test(watch.status().problem ?? ''));
    await cluster.call('POST', '/apis/rbac.authorization.k8s.io/v1/namespaces/watched/rolebindings', {
      metadata: { name: 'reader' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
      subjects: [{ kind: 'ServiceAccount', name: 'default', namespace: 'watched' }],
    });
    await watch.synced;
    assert.equal(seen()['one'], '2');
  });
});

interface Link {
  readonly port: number;
  cut(): void;
  mend(): void;
}

/** A way to the server that a test can cut: connections break, and new ones are refused until it is mended. */
async function openLink(context: TestContext, to: URL): Promise<Link> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const link = createServer(near => {
    if (isCut) return void near.destroy();
    const far = connect(Number(to.port), to.hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  await new Promise<void>(resolve => link.listen(0, '127.0.0.1', resolve));
  const destroy = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  context.after(() => {
    destroy();
    link.close();
  });
  return {
    port: (link.address() as AddressInfo).port,
    cut() {
      isCut = true;
      destroy();
    },
    mend: () => void (isCut = false),
  };
}

/** Through etcd’s own gateway: what etcdctl would do. */
async function compact(port: number): Promise<void> {
  const call = async (path: string, body: unknown): Promise<unknown> => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body: JSON.stringify(body) });
    assert.equal(answer.status, 200, await answer.clone().text());
    return answer.json();
  };
  const { header } = (await call('/v3/kv/range', { key: 'YQ==' })) as { header: { revision: string } };
  await call('/v3/kv/compaction', { revision: header.revision, physical: true });
}
