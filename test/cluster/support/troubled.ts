/** A cluster in which everything is wrong that `check --cluster` finds, once each. */
import { createDemoMaterial } from '../../../src/demo/material.ts';
import { createAuthority } from '../../../src/demo/pki.ts';
import { formatTime } from '../../../src/controller/conditions.ts';
import { configMap, tlsSecret, type Manifest } from '../../support/manifests.ts';

const GROUP = 'sallyport.dev/v1alpha1';
const DAY = 86_400_000;
type Spec = Readonly<Record<string, unknown>>;

const object = (kind: string, name: string, spec: Spec, namespace = 'shop'): Manifest => ({
  ...{ apiVersion: GROUP, kind, metadata: { name, namespace }, spec },
});
const cluster = (name: string, spec: Spec): Manifest => ({
  ...{ apiVersion: GROUP, kind: 'ClusterAuthPolicy', metadata: { name }, spec },
});
const api = (name: string, app: string, port: number, more: Spec = {}): Manifest =>
  object('Api', name, { podSelector: { matchLabels: { app } }, port, ...more });

const CONTAINER = { name: 'app', image: 'localhost/none:1', ports: [{ name: 'http', containerPort: 8080 }] };
/** As the injector leaves it, as far as a command can tell. */
const SIDECAR = {
  ...{ name: 'sallyport', image: 'example.com/sallyport:1.4.0', command: ['sallyport'], args: ['sidecar'] },
  restartPolicy: 'Always',
};

/** Made while UDP 54 was allowed. */
const OPENED = {
  ...{ name: 'sallyport-init', image: 'example.com/sallyport:1.4.0', command: ['sallyport'] },
  args: ['init', '--exclude-ports', '15191', '--udp-ports', '54'],
};

export const protectedPod = (name: string, app: string, namespace = 'shop', init: readonly Spec[] = []): Manifest => ({
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace, labels: { app } } },
  spec: { initContainers: [...init, SIDECAR], containers: [CONTAINER] },
});

export const deployment = (name: string, namespace: string, template: Spec = {}): Manifest => ({
  ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, namespace } },
  spec: {
    ...{ replicas: 2, selector: { matchLabels: { app: name } } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [CONTAINER], ...template } },
  },
});

const service = (name: string, app: string, targetPort: number | string): Manifest => ({
  ...{ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'shop' } },
  spec: { selector: { app }, ports: [{ port: 80, targetPort }] },
});

export interface TroubledOptions {
  readonly now: number;
}

/** Namespaces: shop (opted in), open (not), typo (a label that opts nothing in). */
export function describeTrouble({ now }: TroubledOptions): readonly Manifest[] {
  const at = (days: number): Date => new Date(now + days * DAY);
  const corp = createAuthority({ name: 'corp', notBefore: at(-365), notAfter: at(10) });
  const { servers, devicesCa } = createDemoMaterial();
  const leaf = corp.issue({
    subject: 'fleet',
    san: { dns: ['fleet.example.com'] },
    notBefore: at(-80),
    notAfter: at(3),
  });
  return [
    tlsSecret('fleet-tls', leaf),
    tlsSecret(
      'ended-tls',
      corp.issue({ subject: 'ended', san: { dns: ['ended.example.com'] }, notBefore: at(-80), notAfter: at(-1) }),
    ),
    tlsSecret('good-tls', servers.public),
    configMap('corp-ca', { 'ca.crt': corp.certificatePem }),
    configMap('device-ca', {
      'ca.crt': devicesCa.certificatePem,
      'crl.pem': devicesCa.crlPem({ nextUpdate: new Date(now + DAY / 2) }),
    }),
    configMap('sallyport-mesh-ca', { 'ca.crt': corp.certificatePem }),
    api('fleet', 'fleet', 8080, {
      ...{ hosts: ['fleet.example.com'], tls: { mode: 'Permissive', certificate: { secretName: 'fleet-tls' } } },
    }),
    api('ended', 'ended', 8080, {
      ...{ hosts: ['ended.example.com'], tls: { mode: 'Terminate', certificate: { secretName: 'ended-tls' } } },
    }),
    api('elsewhere', 'fleet', 9999),
    api('nobody', 'nobody', 8080),
    api('twice', 'fleet', 8080, { hosts: ['fleet.example.com'] }),
    object('Api', 'open', { podSelector: { matchLabels: { app: 'open' } }, port: 8080 }, 'open'),
    object('TokenIssuer', 'corp', {
      requireExpiration: false,
      discovery: {
        url: 'https://login.example.com/.well-known/openid-configuration',
        trust: { configMapKeyRef: { name: 'corp-ca', key: 'ca.crt' } },
      },
    }),
    object('ClientTrust', 'devices', {
      anchors: [{ configMapKeyRef: { name: 'device-ca', key: 'ca.crt' } }],
      revocation: { mode: 'SoftFail', crls: [{ configMapKeyRef: { name: 'device-ca', key: 'crl.pem' } }] },
      sources: [{ tls: {} }, { header: { name: 'Client-Cert', format: 'RFC9440', acceptAddressTrust: true } }],
    }),
    object('ClientTrust', 'unrevoked', { anchors: [{ configMapKeyRef: { name: 'device-ca', key: 'ca.crt' } }] }),
    object('AuthPolicy', 'weak', {
      ...{ targetRefs: [{ kind: 'Api', name: 'fleet' }], mode: 'Audit', sealed: false },
      request: [
        { name: 'caller', jwt: { issuers: ['corp'], audiences: ['Any'] } },
        { name: 'maybe', anyOf: [{ clientCertificate: { trust: 'devices' } }, { anonymous: {} }] },
      ],
      errors: { includePolicy: true },
    }),
    object('AuthPolicy', 'lost', {
      ...{
        targetRefs: [{ kind: 'Api', name: 'fleet' }],
        request: [{ name: 'c', clientCertificate: { trust: 'devises' } }],
      },
    }),
    object('PolicyTest', 'failing', {
      cases: [
        {
          name: 'unknown',
          given: { request: { path: '/', host: 'other.example.com' } },
          expect: { verdict: 'Permit' },
        },
      ],
    }),
    cluster('allowing', {
      namespaceSelector: { matchLabels: { 'sallyport.dev/inject': 'enabled' } },
      shareSecrets: true,
      allowances: [
        { excludePorts: [9090] },
        { udpPorts: [53], until: formatTime(now + 5 * DAY) },
        { udpPorts: [54], until: formatTime(now + -5 * DAY) },
        { udpPorts: [55], until: formatTime(now + 90 * DAY) },
      ],
    }),
    protectedPod('fleet-1', 'fleet'),
    protectedPod('late-1', 'late'),
    protectedPod('open-1', 'none', 'shop', [OPENED]),
    {
      ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'fake', namespace: 'shop' } },
      spec: { containers: [{ name: 'sallyport', image: 'localhost/none:1' }] },
    },
    deployment('bare', 'shop'),
    deployment('open', 'open'),
    deployment('host', 'shop', { hostNetwork: true }),
    service('fleet', 'fleet', 'http'),
    service('metrics', 'fleet', 9090),
    service('debug', 'fleet', 6060),
    webhook('MutatingWebhookConfiguration', 'sallyport', 'Ignore'),
    {
      ...{ apiVersion: 'admissionregistration.k8s.io/v1', kind: 'ValidatingAdmissionPolicy' },
      metadata: { name: 'sallyport-pods-made' },
      spec: {
        failurePolicy: 'Ignore',
        matchConstraints: {
          resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
        },
        validations: [{ expression: 'true' }],
      },
    },
  ];
}

/** It concerns no object that a test makes. */
const webhook = (kind: string, name: string, failurePolicy: string): Manifest => ({
  ...{ apiVersion: 'admissionregistration.k8s.io/v1', kind, metadata: { name } },
  webhooks: [
    {
      name: 'pods.sallyport.dev',
      clientConfig: { url: 'https://127.0.0.1:1/' },
      rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
      namespaceSelector: { matchLabels: { nothing: 'has-this' } },
      ...{ failurePolicy, sideEffects: 'None', admissionReviewVersions: ['v1'] },
    },
  ],
});
