/** The queue of examples/orders on a stage: the manifests as they are, but for the addresses and names of this machine. */
import { createHmac } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import type { TestContext } from 'node:test';
import { createAuthority } from '../../src/demo/pki.ts';
import { type Answer, type Ask, openTls } from './connection.ts';
import { configMap, tlsSecret } from './manifests.ts';
import { SasQueue } from './sas-queue.ts';
import { type Files, type Sidecar, startSidecar, type SidecarOptions } from './sidecar.ts';

const EXAMPLES = new URL('../../examples/orders/', import.meta.url);
export const QUEUE_HOST = 'contoso.servicebus.windows.net';
export const HOOK_HOST = 'hooks.example.com';
export const PARTNER = '203.0.113.9';
export const MESSAGE = '{"order": 7}';
export const QUEUE_KEY = 'c2VjcmV0LWtleS1mb3ItdGVzdHM=';
const HOOK_KEY = "It's a secret";

export async function readOrders(): Promise<Record<string, string>> {
  const names = (await readdir(EXAMPLES)).filter(name => name.endsWith('.yaml'));
  const texts = names.map(async name => [name, await readFile(new URL(name, EXAMPLES), 'utf8')] as const);
  return Object.fromEntries(await Promise.all(texts));
}

export const signHook = (body: string, key = HOOK_KEY): string =>
  `sha256=${createHmac('sha256', key).update(body).digest('hex')}`;

export interface Webhook extends Partial<Ask> {
  /** Absent: signed as it must be; null: not at all. */
  readonly signature?: string | null;
  /** The subscription's key; default `test`; null: none. */
  readonly key?: string | null;
  /** Where the load balancer says that it comes from. */
  readonly from?: string;
}

export class Orders {
  readonly queue: SasQueue;
  readonly sidecar: Sidecar;
  readonly #ca: string;

  constructor(queue: SasQueue, sidecar: Sidecar, ca: string) {
    this.queue = queue;
    this.sidecar = sidecar;
    this.#ca = ca;
  }

  async send({
    signature,
    key = 'test',
    from = PARTNER,
    headers = [],
    body = MESSAGE,
    ...ask
  }: Webhook = {}): Promise<Answer> {
    const connection = await openTls(this.sidecar.port, { ca: this.#ca, serverName: HOOK_HOST });
    try {
      const signed = signature === null ? [] : [['X-Hub-Signature-256', signature ?? signHook(body)] as const];
      const known = key === null ? [] : [['Ocp-Apim-Subscription-Key', key] as const];
      const lines = [['X-Forwarded-For', from] as const, ...signed, ...known, ...headers];
      return await connection.ask({
        method: 'POST',
        path: '/hooks/orders',
        host: HOOK_HOST,
        body,
        ...ask,
        headers: lines,
      });
    } finally {
      connection.close();
    }
  }
}

/** `keys` are what the queue accepts; the test may change them. */
export async function openOrders(
  t: TestContext,
  {
    keys = [QUEUE_KEY],
    files = {},
    sidecar: more = {},
  }: { keys?: string[]; files?: Files; sidecar?: Partial<SidecarOptions> } = {},
): Promise<Orders> {
  const authority = createAuthority({ name: 'demo' });
  const server = authority.issue({ subject: 'queue', san: { dns: [QUEUE_HOST, HOOK_HOST] }, usages: ['serverAuth'] });
  const queue = await new SasQueue(QUEUE_HOST, { keys: { SendPolicy: keys } }, { server }).start();
  t.after(() => queue.stop());
  const { '40-api.yaml': api = '', ...manifests } = await readOrders();
  const sidecar = await startSidecar({
    manifests: {
      ...manifests,
      '40-api.yaml': api
        .replace('10.0.8.0/24', '127.0.0.0/8')
        .replace('{ systemRoots: true }', '{ configMapKeyRef: { name: queue-ca, key: ca.crt } }'),
      '90-material.yaml': [
        tlsSecret('orders-tls', server),
        configMap('queue-ca', { 'ca.crt': authority.certificatePem }),
      ],
      ...files,
    },
    labels: 'app=orders-gateway',
    resolve: { [QUEUE_HOST]: queue.port },
    ...more,
  });
  t.after(() => sidecar.close());
  return new Orders(queue, sidecar, authority.certificatePem);
}
