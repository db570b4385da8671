import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request as sendHttps } from 'node:https';
import { describe, test, type TestContext } from 'node:test';
import { connect } from 'node:tls';
import { createAuthority } from '../demo/pki.ts';
import { SILENT, type Metrics } from '../telemetry/telemetry.ts';
import { reviewRaw, reviewObject, reviewPod } from './testing/reviews.ts';
import { allow, CONFIGURATION, createCounter, expectPatched, readRecorded, SHOP, withSpec } from './testing/pods.ts';
import { createWebhookServer, type WebhookServer } from './webhook-server.ts';
import { createInjectorWebhooks, type InjectorDeps } from './webhooks.ts';

const deployment = readRecorded('deployment');
const NOW = Date.parse('2026-11-23T12:00:00Z');

function createWebhooks(deps: Partial<InjectorDeps> = {}) {
  return createInjectorWebhooks({
    configuration: () => CONFIGURATION,
    namespaceFacts: name => (name === 'shop' ? SHOP : undefined),
    clock: () => NOW,
    randomBytes: createCounter(),
    ...SILENT,
    ...deps,
  });
}

const answer = (path: string, review: unknown, deps: Partial<InjectorDeps> = {}) =>
  createWebhooks(deps)(path, review) ?? assert.fail('no answer');

describe('the injecting webhook', () => {
  test('answers with the patch of the pod', () => {
    const response = answer('/inject', reviewPod(deployment));
    assert.deepEqual([response.uid, response.allowed, response.patchType], ['review-1', true, 'JSONPatch']);
    const operations: unknown = JSON.parse(Buffer.from(response.patch ?? '', 'base64').toString());
    assert.deepEqual(operations, expectPatched(deployment).operations);
    assert.deepEqual(response.auditAnnotations, { injected: 'transparent' });
  });

  test('answers without a patch when there is nothing to change', () => {
    const response = answer('/inject', reviewPod(expectPatched(deployment).pod));
    assert.deepEqual([response.allowed, response.patch], [true, undefined]);
  });

  test('refuses with a sentence for each reason, and the fields as causes', () => {
    const pod = withSpec(deployment, { hostNetwork: true, hostPID: true });
    const { allowed, status } = answer('/inject', reviewPod(pod));
    assert.deepEqual([allowed, status?.code, status?.reason], [false, 403, 'Forbidden']);
    assert.match(status?.message ?? '', /^spec\.hostNetwork: is true.*\nspec\.hostPID: is true/);
    assert.deepEqual(
      status?.details?.causes.map(({ field }) => field),
      ['spec.hostNetwork', 'spec.hostPID'],
    );
  });

  test('lets nobody in while the namespace is not known', () => {
    const { allowed, status } = answer('/inject', reviewPod(deployment, { namespace: 'new' }));
    assert.deepEqual([allowed, status?.code], [false, 503]);
    assert.match(status?.message ?? '', /namespace new is not known/);
  });

  test('counts no allowance that has ended (S9)', () => {
    const pod = withSpec(deployment, { shareProcessNamespace: true });
    const until = (ms: number) => ({ namespaceFacts: () => allow({ privilegedContainers: true, until: ms }) });
    assert.equal(answer('/inject', reviewPod(pod), until(NOW + 1)).allowed, true);
    assert.equal(answer('/inject', reviewPod(pod), until(NOW)).allowed, false);
  });

  test('has nothing to say of anything but new pods', () => {
    const others = [{ operation: 'UPDATE' }, { subResource: 'ephemeralcontainers' }, { resource: 'services' }];
    for (const other of others) {
      const response = answer('/inject', reviewPod(withSpec(deployment, { hostNetwork: true }), other));
      assert.deepEqual([response.allowed, response.patch], [true, undefined]);
    }
  });

  test('warns of what may not be meant', () => {
    const { warnings } = answer('/inject', reviewPod(withSpec(deployment, { dnsPolicy: 'None' })));
    assert.match(warnings?.[0] ?? '', /dnsPolicy/);
  });

  test('refuses what is no pod', () => {
    const { status } = answer('/inject', reviewRaw({ spec: { containers: 'none' } }));
    assert.deepEqual([status?.code, status?.message], [400, 'spec.containers is not a list']);
  });
});

describe('the validating webhook', () => {
  const api = {
    kind: 'Api',
    metadata: { name: 'fleet', namespace: 'shop' },
    spec: { podSelector: { matchLabels: { app: 'fleet' } }, port: 'http' },
  };
  const policy = (spec: object): object => ({ kind: 'AuthPolicy', metadata: { name: 'p', namespace: 'shop' }, spec });
  const authorize = (expression: string) => ({ request: [{ name: 's', authorize: { allow: [{ expression }] } }] });
  const validate = (object: object, more: Parameters<typeof reviewObject>[1] = {}, deps: Partial<InjectorDeps> = {}) =>
    answer('/validate', reviewObject(object, more), deps);

  const admitted: Readonly<Record<string, object>> = {
    'a good Api with a port by name': api,
    'an object whose name was generated': { ...api, metadata: { ...api.metadata, generateName: 'fl' } },
    'a policy that names an issuer, which may arrive later': policy({
      request: [{ name: 'j', jwt: { issuers: ['later'], audiences: ['a'] } }],
    }),
    'a policy that targets an Api which may arrive later': policy({ targetRefs: [{ kind: 'Api', name: 'later' }] }),
    'a policy that reads a variable of a policy which may arrive later': policy(authorize('vars.later == "1"')),
    'a policy that reads a parameter of an Api which may arrive later': policy(authorize('params.id == "1"')),
    'a cluster policy for some namespaces': {
      kind: 'ClusterAuthPolicy',
      metadata: { name: 'c' },
      spec: { namespaceSelector: { matchLabels: { a: 'b' } }, ...authorize('request.method == "GET"') },
    },
    'a credential whose Secret may arrive later': {
      kind: 'BackendCredential',
      metadata: { name: 'mesh', namespace: 'shop' },
      spec: { meshCertificate: { secretName: 'later' } },
    },
  };
  for (const [name, object] of Object.entries(admitted)) {
    test(`admits ${name}`, () => assert.deepEqual(validate(object), { uid: 'review-1', allowed: true }));
  }

  const refused: Readonly<Record<string, readonly [object, string, RegExp]>> = {
    'a field that does not exist': [
      { ...api, spec: { ...api.spec, prot: 1 } },
      'spec.prot',
      /^spec\.prot: is not a known field, did you mean "port"\?$/,
    ],
    'what the schema lets through and the parser does not': [
      { ...api, spec: { ...api.spec, trustedPeers: [{ cidr: '10.0.0.0/33' }] } },
      'spec.trustedPeers[0].cidr',
      /10\.0\.0\.0\/33/,
    ],
    'an expression that cannot be compiled': [
      policy(authorize('request.methd == "GET"')),
      'spec.request[0].authorize.allow[0].expression',
      /write request\.method$/,
    ],
    'a cluster policy with such an expression, whatever namespaces it selects': [
      {
        kind: 'ClusterAuthPolicy',
        metadata: { name: 'c' },
        spec: { namespaceSelector: { matchLabels: { a: 'b' } }, ...authorize('request.methd == "GET"') },
      },
      'spec.request[0].authorize.allow[0].expression',
      /write request\.method$/,
    ],
  };
  for (const [name, [object, field, message]] of Object.entries(refused)) {
    test(`refuses ${name}, with the field and the fix`, () => {
      const { allowed, status } = validate(object);
      assert.deepEqual([allowed, status?.code, status?.reason], [false, 422, 'Invalid']);
      assert.match(status?.message ?? '', message);
      assert.equal(status?.details?.causes[0]?.field, field);
    });
  }

  const bad = { ...api, spec: { ...api.spec, port: 0 } };
  test('refuses a change that makes an object bad', () => {
    assert.equal(validate(bad, { operation: 'UPDATE', oldObject: api }).allowed, false);
  });
  test('admits labels, finalizers and status of an object that was let in when it was bad', () => {
    const oldObject = { ...bad, metadata: { ...bad.metadata, finalizers: ['example.com/mine'] } };
    assert.equal(validate(bad, { operation: 'UPDATE', oldObject }).allowed, true);
  });
  test('admits every deletion', () => {
    const { object, ...rest } = reviewObject(bad, { operation: 'DELETE' }).request;
    assert.equal(answer('/validate', { ...reviewObject(bad), request: { ...rest, oldObject: object } }).allowed, true);
  });
  test('admits status by its own subresource, and objects of other groups', () => {
    assert.equal(validate(bad, { subResource: 'status', operation: 'UPDATE' }).allowed, true);
    assert.equal(validate(bad, { group: 'other.example' }).allowed, true);
  });

  test('warns of what is wrong among other objects, in at most 256 characters each', () => {
    const violation = { severity: 'error', object: 'Api shop/fleet', field: 'spec.port', fix: 'change one' } as const;
    const checkAmongOthers = () => [
      { ...violation, problem: 'differs from the Api "older"', concern: 'Conflict' as const },
      { ...violation, problem: 'x'.repeat(300) },
    ];
    const { allowed, warnings } = validate(api, {}, { checkAmongOthers });
    assert.equal(allowed, true);
    assert.deepEqual(warnings?.[0], 'spec.port: differs from the Api "older", change one');
    assert.equal(warnings[1]?.length, 256);
  });
});

test('a trial run leaves no trace, everything else is counted', () => {
  const counted: unknown[] = [];
  const metrics: Metrics = { ...SILENT.metrics, count: (...all) => void counted.push(all) };
  const webhooks = createWebhooks({ metrics });
  webhooks('/inject', reviewPod(deployment, { dryRun: true }));
  assert.deepEqual(counted, []);
  webhooks('/inject', reviewPod(deployment));
  webhooks('/inject', reviewPod(withSpec(deployment, { hostPID: true })));
  webhooks('/inject', reviewPod(deployment, { namespace: 'new' }));
  assert.deepEqual(
    counted,
    ['changed', 'refused', 'undecided'].map(outcome => [
      'sallyport_admission_reviews_total',
      { webhook: 'inject', outcome },
    ]),
  );
});

test('what is no question of the API server has no answer', () => {
  const webhooks = createWebhooks();
  const review = reviewPod(deployment);
  for (const body of [
    undefined,
    null,
    [],
    {},
    { ...review, apiVersion: 'admission.k8s.io/v1beta1' },
    { ...review, request: 1 },
  ]) {
    assert.equal(webhooks('/inject', body), undefined);
  }
  assert.equal(webhooks('/other', review), undefined);
});

describe('the webhook server', () => {
  const authority = createAuthority({ name: 'webhook' });
  const issue = (subject: string) => {
    const leaf = authority.issue({ subject, usages: ['serverAuth'], san: { ip: ['127.0.0.1'] } });
    return { certificate: leaf.chainPem, key: leaf.keyPem };
  };

  async function open(t: TestContext): Promise<WebhookServer> {
    const deps = {
      answer: createWebhooks(),
      host: '127.0.0.1',
      port: 0,
      ...SILENT,
      monotonic: () => performance.now(),
    };
    const server = createWebhookServer(deps);
    await server.start();
    t.after(() => server.stop(0));
    return server;
  }

  interface Sent {
    readonly path?: string;
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
  }
  async function send(server: WebhookServer, body: string, { path = '/inject', method = 'POST', headers }: Sent = {}) {
    const request = sendHttps({
      host: '127.0.0.1',
      port: server.address?.port,
      path: `${path}?timeout=10s`,
      method,
      ca: authority.certificatePem,
      headers: { 'Content-Type': 'application/json', ...headers },
      agent: false,
    });
    request.on('error', () => undefined);
    request.end(body);
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
    return { status: response.statusCode, text: Buffer.concat(chunks).toString() };
  }

  test('answers reviews over TLS', async t => {
    const server = await open(t);
    server.setCertificate(issue('one'));
    const { status, text } = await send(server, JSON.stringify(reviewPod(deployment)));
    assert.equal(status, 200);
    const { kind, response } = JSON.parse(text) as { kind: string; response: { uid: string; allowed: boolean } };
    assert.deepEqual([kind, response.uid, response.allowed], ['AdmissionReview', 'review-1', true]);
  });

  test('refuses what it does not take', async t => {
    const server = await open(t);
    server.setCertificate(issue('one'));
    const review = JSON.stringify(reviewPod(deployment));
    const cases: readonly (readonly [string, Sent, number])[] = [
      [review, { method: 'PUT' }, 405],
      [review, { headers: { 'Content-Type': 'text/plain' } }, 415],
      [review, { path: '/other' }, 400],
      ['{', {}, 400],
      ['', { headers: { 'Content-Length': String(9 * 1024 * 1024) } }, 413],
      [' '.repeat(9 * 1024 * 1024), { headers: { 'Transfer-Encoding': 'chunked' } }, 413],
    ];
    for (const [body, sent, status] of cases) assert.equal((await send(server, body, sent)).status, status);
  });

  test('survives what is nested too deeply, and goes on answering (CVE-2022-24726)', async t => {
    const server = await open(t);
    server.setCertificate(issue('one'));
    const nest = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;
    const reviewOf = (text: string, operation: string): string =>
      JSON.stringify(
        reviewObject({ kind: 'Api', spec: 'DEEP' }, { operation, oldObject: { spec: 'DEEP' } }),
      ).replaceAll('"DEEP"', text);
    const podOf = (text: string): string =>
      JSON.stringify(reviewRaw({ ...deployment, spec: { ...deployment.spec, deep: 'DEEP' } })).replace('"DEEP"', text);
    for (const levels of [10_000, 200_000]) {
      const bodies = [podOf(nest(levels)), reviewOf(nest(levels), 'CREATE'), reviewOf(nest(levels), 'UPDATE')];
      for (const [index, body] of bodies.entries()) {
        const path = index === 0 ? '/inject' : '/validate';
        const { status } = await send(server, body, { path });
        assert.ok([200, 400, 500].includes(status ?? 0), `${levels} ${path} ${status ?? 0}`);
      }
    }
    assert.equal((await send(server, JSON.stringify(reviewPod(deployment)))).status, 200);
  });

  test('gives the same answer to the same review, however often it is asked at once', async t => {
    const server = await open(t);
    server.setCertificate(issue('one'));
    const body = JSON.stringify(reviewPod(readRecorded('job')));
    const answers = await Promise.all(Array.from({ length: 100 }, () => send(server, body)));
    assert.equal(new Set(answers.map(({ text }) => text)).size, 1);
    assert.equal(answers[0]?.status, 200);
  });

  test('presents a new certificate from the next handshake on', async t => {
    const server = await open(t);
    const look = async (): Promise<string> => {
      const socket = connect({ host: '127.0.0.1', port: server.address?.port ?? 0, ca: authority.certificatePem });
      await once(socket, 'secureConnect');
      const { subject } = socket.getPeerCertificate();
      socket.destroy();
      return String(subject.CN);
    };
    server.setCertificate(issue('one'));
    assert.equal(await look(), 'one');
    server.setCertificate(issue('two'));
    assert.equal(await look(), 'two');
  });

  test('shakes no hand before it has a certificate', async t => {
    const server = await open(t);
    const socket = connect({ host: '127.0.0.1', port: server.address?.port ?? 0, rejectUnauthorized: false });
    await assert.rejects(once(socket, 'secureConnect'));
  });
});
