import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runInMemory } from '../support/run-in-memory.ts';
import { type ControlPlane, openControlPlane } from './support/control-plane.ts';
import { writeKubeconfig } from './support/kubeconfig.ts';
import { skipWithout } from './support/requirements.ts';
import { describeTrouble } from './support/troubled.ts';

const readAll = (folder: string): string =>
  readdirSync(folder)
    .sort()
    .map(file => readFileSync(`${folder}/${file}`, 'utf8'))
    .join('\n---\n');

/** What is wrong in the troubled cluster, and the line that says so. */
const FOUND: Readonly<Record<string, RegExp>> = {
  'a reference that leads nowhere':
    /^AuthPolicy shop\/lost: spec\.request\[0\]\.clientCertificate\.trust: names the ClientTrust "devises", which does not exist, write "devices"$/m,
  'pods that an Api selects, in a namespace that is not opted in':
    /^Deployment open\/open: spec\.template\.spec\.initContainers: 2\/2 pods \(open-[^)]+\) run without a sidecar, though Api open\/open selects them, kubectl label namespace open sallyport\.dev\/inject=enabled, then kubectl -n open rollout restart deployment\/open$/m,
  'pods of an opted-in namespace without a sidecar':
    /^Deployment shop\/bare: .*run without a sidecar, though namespace shop has the label sallyport\.dev\/inject, kubectl -n shop rollout restart deployment\/bare$/m,
  'pods on the network of their node':
    /^Deployment shop\/host: spec\.template\.spec\.hostNetwork: 2\/2 pods .* use the node’s network/m,
  'a container that only has the name of the sidecar':
    /^Pod shop\/fake: spec\.initContainers: it has a container named sallyport that is not the injected one/m,
  'a label that opts nothing in':
    /^Namespace typo: metadata\.labels\["sallyport\.dev\/inject"\]: is "true", which opts nothing in, write enabled/m,
  'a policy test that fails':
    /^PolicyTest shop\/failing: spec\.cases\[0\]\.expect\.verdict: the case "unknown" fails: verdict is Deny, not Permit/m,
  'an Api whose port no container declares':
    /^Api shop\/elsewhere: spec\.port: warning: no container of the pod that it selects declares port 9999; declared is 8080/m,
  'an Api that selects no pod':
    /^Api shop\/nobody: spec\.podSelector: warning: selects no pod of namespace shop \(app=nobody\)/m,
  'Apis in conflict': /^Api shop\/twice: spec\.tls: warning: differs from Api shop\/fleet, which shares port 8080/m,
  'a port in plaintext':
    /^Api open\/open: spec\.tls: warning: is absent: tokens and keys travel to this port in plaintext/m,
  'a port that takes both': /^Api shop\/fleet: spec\.tls\.mode: warning: is Permissive/m,
  'a certificate that ended':
    /^Api shop\/ended: spec\.tls\.certificate\.secretName: warning: the certificate of the Secret "ended-tls" ended on [-0-9]+, renew it$/m,
  'a certificate that ends soon':
    /^Api shop\/fleet: spec\.tls\.certificate\.secretName: warning: the certificate of the Secret "fleet-tls" ends on [-0-9]+, 2 days from now, renew it$/m,
  'a CA that ends soon':
    /^TokenIssuer shop\/corp: spec\.discovery\.trust\.configMapKeyRef: warning: "ca\.crt" of the ConfigMap "corp-ca" holds a certificate that ends on [-0-9]+, 9 days from now/m,
  'a revocation list that ends soon':
    /^ClientTrust shop\/devices: spec\.revocation\.crls\[0\]\.configMapKeyRef: warning: .* a revocation list that is to be renewed by/m,
  'a mesh CA that ends soon':
    /^ConfigMap shop\/sallyport-mesh-ca: data\["ca\.crt"\]: warning: the mesh CA ends on [-0-9]+, and no newer one is there/m,
  'a namespace without the mesh CA': /^ConfigMap other\/sallyport-mesh-ca: warning: does not exist/m,
  'any audience': /^AuthPolicy shop\/weak: spec\.request\[0\]\.jwt\.audiences: warning: /m,
  'requests without credentials': /^AuthPolicy shop\/weak: spec\.request\[1\]\.anyOf\[1\]\.anonymous: warning: /m,
  'a policy that only watches': /^AuthPolicy shop\/weak: spec\.mode: warning: is Audit: it denies nothing/m,
  'a policy that narrower ones may leave out': /^AuthPolicy shop\/weak: spec\.sealed: warning: is false/m,
  'clients that are told the names of policies': /^AuthPolicy shop\/weak: spec\.errors\.includePolicy: warning: /m,
  'tokens without an end': /^TokenIssuer shop\/corp: spec\.requireExpiration: warning: tokens without exp pass/m,
  'revocation that fails open': /^ClientTrust shop\/devices: spec\.revocation\.mode: warning: is SoftFail/m,
  'no revocation': /^ClientTrust shop\/unrevoked: spec\.revocation: warning: revoked certificates pass/m,
  'trust in addresses': /^ClientTrust shop\/devices: spec\.sources\[1\]\.header\.acceptAddressTrust: warning: /m,
  'Secrets that are shared': /^ClusterAuthPolicy allowing: spec\.shareSecrets: warning: /m,
  'an allowance without an end': /^ClusterAuthPolicy allowing: spec\.allowances\[0\]: warning: has no end/m,
  'an allowance that ends soon':
    /^ClusterAuthPolicy allowing: spec\.allowances\[1\]\.until: warning: ends at \S+Z, be ready/m,
  'an allowance that ended': /^ClusterAuthPolicy allowing: spec\.allowances\[2\]\.until: warning: ended at/m,
  'a pod that leaves a port open past the end of its allowance':
    /^Pod shop\/open-1: metadata\.annotations: it leaves UDP 54 open, whose allowance ended \S+Z: rules are written when a pod starts, remove sallyport\.dev\/exclude-udp-ports and make the pods anew/m,
  'a Service that leads to no Api':
    /^Service shop\/debug: spec\.ports\[0\]\.targetPort: warning: leads to port 6060 of 1 pod where no Api listens, so connections are reset/m,
  'a webhook that lets pods through while nobody answers':
    /^MutatingWebhookConfiguration sallyport: webhooks\[0\]\.failurePolicy: warning: is Ignore: while the controller is away new pods start without a sidecar/m,
  'a webhook that cannot be called':
    /^MutatingWebhookConfiguration sallyport: webhooks\[0\]\.clientConfig\.caBundle: is empty/m,
  'a validating webhook that is missing': /^ValidatingWebhookConfiguration sallyport: warning: does not exist/m,
  'an admission policy without a binding': /^ValidatingAdmissionPolicy sallyport-pods-made: warning: has no binding/m,
  'an admission policy that is missing':
    /^ValidatingAdmissionPolicy sallyport-pods-kept: warning: does not exist, so whoever may write pods/m,
  'an admission policy that lets through what it cannot judge':
    /^ValidatingAdmissionPolicy sallyport-pods-made: spec\.failurePolicy: warning: is Ignore/m,
  'a cluster without a controller': /^Deployment sallyport-controller: warning: no object has a status/m,
};

describe('check --cluster on a real API server', { skip: skipWithout('control-plane') }, () => {
  let cluster: ControlPlane;
  before(async () => {
    cluster = await openControlPlane();
  });
  after(() => cluster.close());

  const check = (...args: readonly string[]) =>
    runInMemory(['check', '--cluster', '--kubeconfig', cluster.kubeconfig, ...args]);

  test('says that the kinds are not installed', async () => {
    const { code, stdout } = await check();
    assert.equal(code, 1);
    assert.match(stdout, /^CustomResourceDefinition apis\.sallyport\.dev: does not exist: .*, install the chart/);
  });

  describe('where everything is wrong', () => {
    let report: Awaited<ReturnType<typeof check>>;
    before(async () => {
      await cluster.apply(readAll('crds'));
      await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all']);
      await cluster.createNamespace('shop', { 'sallyport.dev/inject': 'enabled' });
      await cluster.createNamespace('open');
      await cluster.createNamespace('typo', { 'sallyport.dev/inject': 'true' });
      await cluster.createNamespace('other', { 'sallyport.dev/inject': 'enabled' });
      await cluster.apply(
        JSON.stringify({ apiVersion: 'v1', kind: 'List', items: describeTrouble({ now: Date.now() }) }),
      );
      await cluster.waitFor('the pods of Deployments', async () => {
        const { stdout } = await cluster.kubectl(['get', 'pods', '-A', '-o', 'name']);
        return stdout.trim().split('\n').length >= 9;
      });
      report = await check();
    });

    for (const [sentence, pattern] of Object.entries(FOUND)) {
      test(`finds ${sentence}`, () => assert.match(report.stdout, pattern));
    }

    test('finds nothing wrong with what is right', () => {
      assert.doesNotMatch(report.stdout, /Service shop\/(fleet|metrics)|Pod shop\/(fleet|late)-1|good-tls/);
    });

    test('exits 1 and counts', () => {
      assert.equal(report.code, 1);
      assert.match(report.stderr, /^\d+ objects checked: 9 errors, \d+ warnings; 1 case of 1 test: 1 failed$/m);
    });

    test('prints JSON and JUnit', async () => {
      const { stdout } = await check('-o', 'json');
      const told = JSON.parse(stdout) as { problems: readonly { object: string }[]; notChecked?: unknown };
      assert.ok(told.problems.some(({ object }) => object === 'Deployment shop/bare'));
      assert.equal(told.notChecked, undefined);
      assert.match(
        (await check('-o', 'junit')).stdout,
        /<testcase name="Deployment shop\/bare [^"]*" classname="manifests"><failure/,
      );
    });

    test('looks at one namespace, and follows what it names elsewhere', async () => {
      const { stdout } = await check('--namespace', 'shop');
      assert.match(stdout, /^Deployment shop\/bare/m);
      assert.match(stdout, /^ClusterAuthPolicy allowing/m);
      assert.doesNotMatch(stdout, /open\/open|Namespace typo|ConfigMap other/);
    });

    test('says what may not be read, and checks the rest', async () => {
      const granted = ['get', 'list'];
      await cluster.apply(
        JSON.stringify({
          ...{
            apiVersion: 'rbac.authorization.k8s.io/v1',
            kind: 'Role',
            metadata: { name: 'reader', namespace: 'shop' },
          },
          rules: [
            { apiGroups: ['sallyport.dev'], resources: ['*'], verbs: granted },
            { apiGroups: [''], resources: ['pods', 'services'], verbs: granted },
          ],
        }),
      );
      await cluster.kubectl(['-n', 'shop', 'create', 'rolebinding', 'reader', '--role=reader', '--user=reader']);
      const { server, ca, clientCertificate: client } = cluster.connectAs({ user: 'reader' });
      const kubeconfig = writeKubeconfig({ file: join(cluster.folder, 'reader'), server, ca, client });
      const { code, stdout, stderr } = await runInMemory([
        ...['check', '--cluster', '--namespace', 'shop', '--kubeconfig', kubeconfig],
      ]);
      assert.equal(code, 1);
      assert.match(stdout, /^AuthPolicy shop\/lost: /m);
      assert.doesNotMatch(stdout, /which does not exist or has no tls\.crt|"corp-ca", which does not exist/);
      assert.match(stderr, /^not checked: Secret shop\/ended-tls, Secret shop\/fleet-tls: you may not get secrets$/m);
      assert.match(
        stderr,
        /^not checked: ConfigMap shop\/corp-ca, ConfigMap shop\/device-ca: you may not get configmaps$/m,
      );
      assert.match(
        stderr,
        /^not checked: every ClusterAuthPolicy of the cluster: you may not list clusterauthpolicies$/m,
      );
      assert.match(stderr, /^not checked: every MutatingWebhookConfiguration of the cluster: you may not list/m);
    });

    test('passes on what the controller says of pods, and when it is late', async () => {
      const patch = async (resource: string, conditions: readonly object[]): Promise<void> => {
        const { code, stderr } = await cluster.kubectl([
          ...['-n', 'shop', 'patch', resource, '--subresource=status', '--type=merge'],
          ...['-p', JSON.stringify({ status: { conditions } })],
        ]);
        assert.equal(code, 0, stderr);
      };
      const condition = (type: string, status: string, reason: string, message: string, observedGeneration = 1) => ({
        ...{ type, status, reason, message, observedGeneration, lastTransitionTime: '2026-01-01T00:00:00Z' },
      });
      await patch('authpolicy/weak', [
        condition('Accepted', 'True', 'Accepted', 'valid'),
        condition(
          'Enforced',
          'False',
          'SidecarTooOld',
          'generation 1 on 1/2 pods; 1 has a sidecar that is too old for it',
        ),
      ]);
      await patch('authpolicy/lost', [condition('ResolvedRefs', 'False', 'RefNotFound', 'repeated')]);
      await patch('api/fleet', [condition('Accepted', 'True', 'Accepted', 'valid', 0)]);
      await patch('api/elsewhere', [condition('AppExposed', 'True', 'NotLoopback', 'on 1/1 pods the app listens')]);
      await patch('tokenissuer/corp', [condition('KeysAvailable', 'False', 'Unavailable', 'no keys on 1/1 pods')]);
      const { stdout } = await check();
      for (const pattern of [
        /^AuthPolicy shop\/weak: status\.conditions\.Enforced: warning: is SidecarTooOld: generation 1 on 1\/2 pods; .*, restart the pods/m,
        /^Api shop\/fleet: status: warning: is of generation 0, the newest is 1: the controller has not looked at it yet/m,
        /^Api shop\/elsewhere: status\.conditions\.AppExposed: is NotLoopback: .*, let the app listen on 127\.0\.0\.1 only$/m,
        /^TokenIssuer shop\/corp: status\.conditions\.KeysAvailable: warning: is Unavailable: no keys on 1\/1 pods/m,
        /^ClientTrust shop\/devices: status: warning: is empty/m,
      ]) {
        assert.match(stdout, pattern);
      }
      assert.doesNotMatch(stdout, /repeated/);
    });

    test('exits 69 with a sentence where no API server is', async () => {
      const { ca, clientCertificate: client } = cluster.adminConnection;
      const file = writeKubeconfig({
        file: join(cluster.folder, 'nowhere'),
        server: 'https://127.0.0.1:1',
        ca,
        client,
      });
      const { code, stdout, stderr } = await runInMemory(['check', '--cluster', '--kubeconfig', file]);
      assert.deepEqual([code, stdout], [69, '']);
      assert.match(stderr, /^sallyport check: the API server cannot be asked: .*ECONNREFUSED/);
    });
  });
});
