/** A mutating webhook of somebody else, which the API server asks about pods beside ours. */
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { createAuthority } from '../../../src/demo/pki.ts';
import type { Operation } from '../../../src/injector/pod-editor.ts';
import type { Pod } from '../../../src/injector/pod.ts';

export interface ForeignWebhook {
  readonly url: string;
  /** PEM. */
  readonly ca: string;
  close(): void;
}

export async function openWebhook(change: (pod: Pod) => readonly Operation[]): Promise<ForeignWebhook> {
  const authority = createAuthority({ name: 'somebody else' });
  const leaf = authority.issue({ subject: 'webhook', usages: ['serverAuth'], san: { ip: ['127.0.0.1'] } });
  const server = createServer({ cert: leaf.chainPem, key: leaf.keyPem }, (request, response) => {
    void json(request).then(review => {
      const { uid, object } = (review as { request: { uid: string; object: Pod } }).request;
      const patch = Buffer.from(JSON.stringify(change(object))).toString('base64');
      const answer = { uid, allowed: true, patchType: 'JSONPatch', patch };
      response.end(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: answer }));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://127.0.0.1:${port}/`,
    ca: authority.certificatePem,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A MutatingWebhookConfiguration for new pods of labelled namespaces. */
export const describeWebhook = (name: string, { url, ca }: ForeignWebhook): object => ({
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'MutatingWebhookConfiguration',
  metadata: { name },
  webhooks: [
    {
      name: 'pods.other.example',
      clientConfig: { url, caBundle: Buffer.from(ca).toString('base64') },
      rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
      namespaceSelector: { matchLabels: { 'sallyport.dev/inject': 'enabled' } },
      failurePolicy: 'Fail',
      sideEffects: 'None',
      admissionReviewVersions: ['v1'],
    },
  ],
});
