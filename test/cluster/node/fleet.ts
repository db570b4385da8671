/** The scenario of the design on a real node: chart, label, an unchanged app, the example's policies. Nothing stands in. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { ATTEMPTS_AT_SIDECAR, judgeApp, makeAttempt, readReason } from '../support/installation-attempts.ts';
import type { Ask, Clients } from '../support/installation-clients.ts';
import {
  addressesOf,
  describeBarePod,
  describeJob,
  describeOwner,
  isInjected,
  listPods,
  waitForPods,
} from '../support/installation-pods.ts';
import { render, type Scene, SHOP } from '../support/installation-scene.ts';
import { SYSTEM, testRelease } from '../support/installation.ts';
import { type GetInstalled, ZOO } from '../support/installed.ts';
import type { ClusterNode } from '../support/node.ts';
import { openApi } from '../support/open-api.ts';

export function testFleet(get: GetInstalled): void {
  describe('Sallyport, installed', { concurrency: 1 }, () => {
    let node: ClusterNode;
    let clients: Clients;
    let scene: Scene;
    before(() => {
      ({ node, clients, scene } = get());
    });

    test('passes the test of its chart', async () => {
      const { code, stdout, stderr } = await testRelease(node);
      assert.equal(code, 0, `${stdout}${stderr}`);
    });

    test('says that every policy of the example is enforced on every pod', async () => {
      const enforced = await node.waitFor('Enforced', async () => {
        const { stdout } = await node.kubectl(['get', 'authpolicies,clusterauthpolicies', '-A']);
        return (stdout.match(/on 2\/2 pods/g) ?? []).length === 4 && stdout;
      });
      assert.match(enforced, /authpolicy.sallyport.dev\/telemetry +Enforce +True +generation 1 on 2\/2 pods/);
    });

    describe('answers', () => {
      for (const attempt of ATTEMPTS_AT_SIDECAR) {
        const { title, expect } = attempt;
        test(`${title}: ${expect.status} ${expect.reason ?? ''}`, async () => {
          assert.deepEqual(await makeAttempt(attempt, clients, scene), []);
        });
      }

      test('and the app got what was permitted, with the identity that was verified, and nothing else', async () => {
        assert.deepEqual(await judgeApp(node, scene), []);
      });
    });

    describe('leaves no way round', () => {
      const web = { path: '/v1/devices/robot-7', token: 'web' } as const;
      const find = async (app: string, namespace = SHOP): Promise<readonly string[]> => {
        const [pod] = await listPods(node, namespace, app);
        return pod === undefined ? [] : addressesOf(pod);
      };

      /** Without a probe nothing else says that it listens. */
      const waitForApp = (app: string): Promise<unknown> =>
        node.waitFor(`${app} to listen`, async () => {
          const { stdout } = await node.kubectl(['-n', ZOO, 'logs', `deployment/${app}`, '-c', 'app']);
          return stdout.includes('listening');
        });

      test('at the address of a pod, IPv4 and IPv6: both are judged', async () => {
        const addresses = await find('fleet');
        assert.equal(addresses.length, 2);
        for (const address of addresses) {
          assert.equal((await clients.ask(scene.request({ ...web, address }))).status, 200, address);
          const nobody = await clients.ask(scene.request({ path: web.path, address }));
          assert.equal(nobody.status, 401, address);
        }
      });

      test('in the pod itself: the app asks for the mesh certificate, and the sidecar alone has one', async () => {
        const script = `require('node:https').get({ host: '127.0.0.1', port: 8443, path: '/', rejectUnauthorized: false })
        .on('response', r => { console.log(r.statusCode); process.exit(); }).on('error', e => console.log(e.code))`;
        const { stdout } = await node.kubectl([
          ...['-n', SHOP, 'exec', 'deployment/fleet', '-c', 'fleet', '--', 'node', '-e', script],
        ]);
        assert.match(stdout, /CERTIFICATE_REQUIRED|HANDSHAKE|ECONNRESET/);
      });

      test('from another pod: it is judged as everybody is', async () => {
        const seen = describeBarePod({ namespace: 'identity', name: 'client' });
        await node.apply(render([seen]));
        await waitForPods(node, 'identity', 'client');
        const ask = (headers: object): string => `require('node:https').get({
          ...{ host: 'fleet.shop.svc.cluster.local', port: 8443, path: '${web.path}', rejectUnauthorized: false },
          servername: 'fleet.example.com', headers: ${JSON.stringify({ host: 'fleet.example.com', ...headers })}
        }).on('response', r => { console.log(r.statusCode); process.exit(); }).on('error', e => console.log(e.code))`;
        const run = async (headers: object): Promise<string> =>
          (await node.kubectl(['-n', 'identity', 'exec', 'client', '--', 'node', '-e', ask(headers)])).stdout.trim();
        assert.equal(await run({ authorization: `Bearer ${scene.tokens.get('web') ?? ''}` }), '200');
        assert.equal(await run({}), '401');
        await node.kubectl(['-n', 'identity', 'delete', 'pod', 'client', '--wait=false']);
      });

      test('at ports without an Api, declared or not, and at the sidecar’s own: the connection is reset', async () => {
        const env = { PORTS: '8080,9090,9091', UDP_PORT: '5353' };
        const ports = [{ containerPort: 8080 }, { containerPort: 9090 }, { containerPort: 5353, protocol: 'UDP' }];
        await node.apply(
          render([
            openApi(ZOO, 'ports', 8080),
            describeOwner('Deployment', { namespace: ZOO, name: 'ports', env, container: { ports } }),
          ]),
        );
        await waitForPods(node, ZOO, 'ports');
        await waitForApp('ports');
        for (const address of await find('ports', ZOO)) {
          const ask = (port: number): Promise<{ status: number; error?: string }> =>
            clients.ask({ address, port, path: '/', headers: { host: 'zoo.example' } });
          assert.equal((await ask(8080)).status, 200, address);
          for (const port of [9090, 9091, 15190]) {
            const { status, error } = await ask(port);
            assert.deepEqual({ port, status, error }, { port, status: 0, error: 'ECONNRESET' });
          }
          assert.equal(await sendDatagram(node, address), 'nothing');
        }
        const told = await node.waitFor('an Event of each of the two', async () => {
          const { stdout } = await node.kubectl(['-n', ZOO, 'get', 'events', '--field-selector', 'reason=NoApi']);
          const ports = [...stdout.matchAll(/pod\/ports-\S+ +connections to port (\d+) are reset/g)].map(
            ([, port]) => port,
          );
          return ports.length > 1 && ports.sort();
        });
        assert.deepEqual(told, ['9090', '9091'], 'the sidecar’s own port is nobody’s to open');
      });

      test('to an app on loopback, but the one that its Api names', async () => {
        const env = { PORTS: '8080', HOST: '127.0.0.1' };
        await node.apply(
          render([
            openApi(ZOO, 'private', 8080),
            describeOwner('Deployment', { namespace: ZOO, name: 'private', env }),
            openApi(ZOO, 'local', 8080, { app: { address: 'Loopback' } }),
            describeOwner('Deployment', { namespace: ZOO, name: 'local', env }),
          ]),
        );
        await Promise.all([waitForPods(node, ZOO, 'private'), waitForPods(node, ZOO, 'local')]);
        await Promise.all([waitForApp('private'), waitForApp('local')]);
        const ask = async (app: string): Promise<number> => {
          const [address = ''] = await find(app, ZOO);
          return (await clients.ask({ address, port: 8080, path: '/', headers: { host: 'zoo.example' } })).status;
        };
        assert.equal(await ask('local'), 200);
        assert.equal(await ask('private'), 502);
      });
    });

    describe('injects', () => {
      test('pods of every owner, and bare ones; a Job completes', async () => {
        const pod = (name: string) => ({ namespace: ZOO, name });
        await node.apply(
          render([
            describeOwner('StatefulSet', pod('stateful'), { serviceName: 'stateful' }),
            describeOwner('DaemonSet', pod('daemon')),
            describeBarePod(pod('bare')),
            describeJob({ ...pod('job'), command: ['node', '-e', 'console.log("done")'] }),
          ]),
        );
        for (const name of ['stateful', 'daemon', 'bare']) {
          assert.ok((await waitForPods(node, ZOO, name)).every(isInjected), name);
        }
        const { code, stderr } = await node.kubectl([
          ...['-n', ZOO, 'wait', '--for=condition=Complete', 'job/job', '--timeout=60s'],
        ]);
        assert.equal(code, 0, stderr);
        assert.ok((await listPods(node, ZOO, 'job')).every(isInjected));
      });

      test('nothing in namespaces that nobody labelled', async () => {
        assert.deepEqual((await listPods(node, 'identity', 'login')).map(isInjected), [false]);
      });
    });

    describe('withstands the owner of a namespace', () => {
      test('who opens an Api that a sealed cluster policy closes: closed it stays', async () => {
        await node.apply(
          render([
            {
              ...{ apiVersion: 'sallyport.dev/v1alpha1', kind: 'ClusterAuthPolicy', metadata: { name: 'closed' } },
              spec: {
                namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': ZOO } },
                request: [{ name: 'nobody', authorize: { deny: [{ name: 'all', expression: 'true' }] } }],
              },
            },
          ]),
        );
        const [pod] = await listPods(node, ZOO, 'ports');
        const ask: Ask = { address: addressesOf(pod ?? fail())[0] ?? '', port: 8080, path: '/' };
        const open = { ...ask, headers: { host: 'zoo.example' } };
        assert.ok((await clients.observe(open, 403, 'AuthorizationDenied')).seen);
        await node.apply(
          render([
            {
              ...{
                apiVersion: 'sallyport.dev/v1alpha1',
                kind: 'AuthPolicy',
                metadata: { name: 'open', namespace: ZOO },
              },
              spec: {
                targetRefs: [{ kind: 'Api', name: 'ports' }],
                request: [{ name: 'everybody', anyOf: [{ anonymous: {} }] }],
              },
            },
          ]),
        );
        await node.waitFor('the status of the policy', async () => {
          const { stdout } = await node.kubectl(['-n', ZOO, 'get', 'authpolicy', 'open']);
          return /on 1\/1 pods/.test(stdout);
        });
        assert.equal(readReason(await clients.ask(open)), 'AuthorizationDenied');
        await node.kubectl(['delete', 'clusterauthpolicy', 'closed']);
        assert.ok((await clients.observe(open, 200)).seen);
      });
    });

    describe('withstands whoever may write', () => {
      const refuse = async (args: readonly string[], why: RegExp, stdin = ''): Promise<void> => {
        const { code, stderr } = await node.kubectl(args, stdin);
        assert.notEqual(code, 0, args.join(' '));
        assert.match(stderr, why);
      };

      test('an Api of another namespace for pods of the same labels: they are none of its business', async () => {
        await node.apply(render([openApi(ZOO, 'fleet', 8443)]));
        await node.waitFor('the status of the Api', async () => {
          const { stdout } = await node.kubectl([
            '-n',
            ZOO,
            'get',
            'api',
            'fleet',
            '-o',
            'jsonpath={.status.conditions}',
          ]);
          return stdout.includes('Accepted');
        });
        const nobody = scene.request({ path: '/v1/devices/robot-7' });
        assert.equal((await clients.ask(nobody)).status, 401);
        const across = { ...SALLYPORT, kind: 'AuthPolicy', metadata: { name: 'across', namespace: ZOO } };
        const spec = { targetRefs: [{ kind: 'Api', name: 'fleet', namespace: SHOP }], request: [] };
        await refuse(['apply', '-f', '-'], /unknown field.*namespace/, JSON.stringify({ ...across, spec }));
      });

      test('Secrets of its own or another namespace by the service account of a protected pod', async () => {
        for (const namespace of [SHOP, ZOO, SYSTEM]) {
          const asPod = ['--as', `system:serviceaccount:${ZOO}:default`, '-n', namespace];
          const { stdout } = await node.kubectl(['auth', 'can-i', 'get', 'secrets', ...asPod]);
          assert.equal(stdout.trim(), 'no', namespace);
        }
      });

      test('a policy whose Secret stands in another namespace: there is no way to say so, and its own is looked for', async () => {
        const object = { ...SALLYPORT, kind: 'BackendCredential', metadata: { name: 'thief', namespace: ZOO } };
        const spec = {
          apiKey: {
            header: 'x-key',
            valueFrom: { secretKeyRef: { name: 'fleet-tls', namespace: SHOP, key: 'tls.key' } },
          },
        };
        await refuse(['apply', '-f', '-'], /unknown field/, JSON.stringify({ ...object, spec }));
      });

      test('a pod that runs: its sidecar, its label and its volumes stay as they are', async () => {
        const [pod] = await listPods(node, SHOP, 'fleet');
        const { name } = (pod ?? fail()).metadata;
        const patch = (body: unknown, ...more: readonly string[]) => [
          ...['-n', SHOP, 'patch', 'pod', name, ...more, '--type=strategic', '-p', JSON.stringify(body)],
        ];
        const image = { spec: { initContainers: [{ name: 'sallyport', image: 'localhost/app:test' }] } };
        await refuse(patch(image), /cannot be changed in a pod that runs/);
        const label = { metadata: { labels: { 'sallyport.dev/inject': null } } };
        await refuse(patch(label), /label sallyport.dev\/inject cannot be changed/);
        const spy = (more: object) => ({
          spec: { ephemeralContainers: [{ name: 'spy', image: 'localhost/app:test', ...more }] },
        });
        const ephemeral = '--subresource=ephemeralcontainers';
        const tokens = spy({ volumeMounts: [{ name: 'sallyport-tokens', mountPath: '/stolen' }] });
        await refuse(patch(tokens, ephemeral), /volume that belongs to the sidecar alone/);
        await refuse(patch(spy({ targetContainerName: 'sallyport' }), ephemeral), /share the processes of the sidecar/);
      });
    });
  });
}

const SALLYPORT = { apiVersion: 'sallyport.dev/v1alpha1' };

function fail(): never {
  throw new Error('there is no such pod');
}

/** What came back: `nothing` after a second. */
async function sendDatagram(node: ClusterNode, address: string): Promise<string> {
  const family = address.includes(':') ? 'udp6' : 'udp4';
  const script = `const s = require('node:dgram').createSocket('${family}');
    s.on('message', m => { console.log(String(m)); process.exit(); });
    s.send('hello', 5353, '${address}'); setTimeout(() => { console.log('nothing'); process.exit(); }, 1000);`;
  return (await node.execInNetns([process.execPath, '-e', script])).stdout.trim();
}
