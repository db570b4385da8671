/** The second example on this machine: a queue that wants a Shared Access Signature, and a sidecar that computes it. */
import { createHmac } from 'node:crypto';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Answer, send } from './client.ts';
import { findFreePort, LOOPBACK } from './listening.ts';
import { createAuthority, type Authority } from './pki.ts';
import { type Queue, startQueue } from './queue.ts';
import { type SidecarProcess, startSidecar } from './sidecar-process.ts';
import { type Keep, openStage, type Outcome, type StageOptions } from './stage.ts';

export const QUEUE_HOST = 'contoso.servicebus.windows.net';
export const HOOK_HOST = 'hooks.example.com';
/** As examples/orders/10-named-values.yaml has them. */
const HOOK_KEY = "It's a secret";
const ANOTHER_KEY = 'another key';
const SUBSCRIPTION_KEY = 'test';
const QUEUE_KEY = 'c2VjcmV0LWtleS1mb3ItdGVzdHM=';

export interface Webhook {
  readonly title: string;
  /** Where the load balancer says that it comes from. */
  readonly from: string;
  /** Which key signs: the right one, another one, none. */
  readonly signedBy: 'hook' | 'other' | 'nobody';
  readonly subscription: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly status: number;
  readonly reason?: string;
}

const PARTNER = { from: '203.0.113.9', signedBy: 'hook', subscription: SUBSCRIPTION_KEY } as const;
const BODY = '{"order": 7}';

export const WEBHOOKS: readonly Webhook[] = [
  { title: 'signed webhook of a subscribed partner', ...PARTNER, status: 201 },
  {
    title: 'a token of the client’s own',
    ...PARTNER,
    headers: { Authorization: 'SharedAccessSignature sr=forged&sig=forged&se=9999999999&skn=SendPolicy' },
    status: 201,
  },
  {
    title: 'an address that nobody knows',
    ...PARTNER,
    from: '198.51.100.21',
    status: 403,
    reason: 'AddressNotAllowed',
  },
  { title: 'an address that is shut out', ...PARTNER, from: '203.0.113.66', status: 403, reason: 'AddressBlocked' },
  {
    title: 'a forged address before the real one',
    ...PARTNER,
    from: '203.0.113.9, 192.0.2.1',
    status: 403,
    reason: 'AddressNotAllowed',
  },
  { title: 'without a signature', ...PARTNER, signedBy: 'nobody', status: 401, reason: 'SignatureNotPresent' },
  { title: 'signed by another key', ...PARTNER, signedBy: 'other', status: 401, reason: 'SignatureInvalid' },
  {
    title: 'without a subscription',
    ...PARTNER,
    subscription: undefined,
    status: 401,
    reason: 'SubscriptionKeyNotFound',
  },
  {
    title: 'with a guessed subscription key',
    ...PARTNER,
    subscription: 'guess',
    status: 401,
    reason: 'SubscriptionKeyInvalid',
  },
];

export interface OrdersScene {
  readonly folder: string;
  readonly ports: Readonly<Record<'sidecar' | 'queue' | 'health', number>>;
  readonly authority: Authority;
  readonly queue: Queue;
  readonly sidecar: SidecarProcess;
  close(): Promise<void>;
}

/** @throws Error with a sentence when the sidecar does not get ready; nothing stays behind then. */
export const openOrdersScene = (options: StageOptions): Promise<OrdersScene> =>
  openStage(options, (folder, keep) => populate(options, folder, keep));

async function populate(
  options: StageOptions,
  folder: string,
  keep: Keep,
): Promise<Omit<OrdersScene, 'folder' | 'close'>> {
  const authority = createAuthority({ name: { CN: 'Demo root' } });
  const serve = (host: string) => authority.issue({ subject: host, san: { dns: [host] }, usages: ['serverAuth'] });
  const queue = await keep(startQueue(serve(QUEUE_HOST), QUEUE_HOST, { keys: { SendPolicy: [QUEUE_KEY] } }));
  const manifests = join(folder, 'manifests');
  await cp(options.examples, manifests, { recursive: true });
  await adaptManifests(manifests, authority, serve(HOOK_HOST));
  await writeFile(join(folder, 'ca.crt'), authority.certificatePem);
  await writeFile(join(folder, 'hook.key'), HOOK_KEY, { mode: 0o600 });
  const ports = {
    queue: queue.port,
    sidecar: options.port === 0 ? await findFreePort() : options.port,
    health: await findFreePort(),
  };
  const args = [
    ...['--source', 'files', '--config', manifests, '--namespace', 'shop', '--workload-labels', 'app=orders-gateway'],
    ...['--listen', `8443=${LOOPBACK}:${ports.sidecar}`, '--resolve', `${QUEUE_HOST}=${LOOPBACK}:${ports.queue}`],
    ...['--health', `${LOOPBACK}:${ports.health}`, '--admin-socket', join(folder, 'admin.sock')],
    ...['--log-permits', '1', '--drain-timeout', '2s'],
  ];
  const sidecar = await keep(startSidecar({ ...options, args, health: ports.health }));
  return { ports, authority, queue, sidecar };
}

/** This machine stands for the load balancer, and a certificate authority of its own for the public ones. */
async function adaptManifests(
  folder: string,
  { certificatePem }: Authority,
  gateway: { readonly chainPem: string; readonly keyPem: string },
): Promise<void> {
  const file = join(folder, '40-api.yaml');
  const api = await readFile(file, 'utf8');
  const adapted = api
    .replace('10.0.8.0/24', '127.0.0.0/8')
    .replace('{ systemRoots: true }', '{ configMapKeyRef: { name: demo-ca, key: ca.crt } }');
  await writeFile(file, adapted);
  const named = (name: string) => ({ name, namespace: 'shop' });
  const material = [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: named('demo-ca'), data: { 'ca.crt': certificatePem } },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/tls',
      metadata: named('orders-tls'),
      stringData: { 'tls.crt': gateway.chainPem, 'tls.key': gateway.keyPem },
    },
  ];
  // JSON is YAML, so that quoting is nobody's concern.
  const text = material.map(object => JSON.stringify(object, undefined, 2)).join('\n---\n');
  await writeFile(join(folder, '90-demo-material.yaml'), `${text}\n`, { mode: 0o600 });
}

const listHeaders = ({ from, subscription, headers = {} }: Webhook): Readonly<Record<string, string>> => ({
  'X-Forwarded-For': from,
  'Content-Type': 'application/json',
  ...(subscription === undefined ? {} : { 'Ocp-Apim-Subscription-Key': subscription }),
  ...headers,
});

const sign = (key: string): string => `sha256=${createHmac('sha256', key).update(BODY).digest('hex')}`;

export async function performWebhook(attempt: Webhook, { ports, authority, queue }: OrdersScene): Promise<Outcome> {
  const key = { hook: HOOK_KEY, other: ANOTHER_KEY, nobody: undefined }[attempt.signedBy];
  const [taken, refused] = [queue.messages.length, queue.refused.length];
  const answer = await send({
    port: ports.sidecar,
    host: HOOK_HOST,
    ca: authority.certificatePem,
    method: 'POST',
    path: '/hooks/orders',
    headers: { ...listHeaders(attempt), ...(key === undefined ? {} : { 'X-Hub-Signature-256': sign(key) }) },
    body: BODY,
  });
  const [message] = queue.messages.slice(taken);
  const reason = /"reason":\s*"(\w+)"/.exec(answer.body)?.[1] ?? '';
  const problems = [
    ...judge(attempt, answer, reason),
    ...((message !== undefined) === attempt.status < 400 ? [] : ['the queue got another number of messages']),
    ...queue.refused.slice(refused).map(problem => `the queue refused our token: ${problem}`),
    ...(message?.headers.includes('ocp-apim-subscription-key') === true ? ['the queue saw the subscription key'] : []),
  ];
  return {
    attempt,
    status: answer.status,
    reason,
    appSaw: message === undefined ? 'nothing' : 'a message with our token',
    problems,
  };
}

const judge = (attempt: Webhook, { status, headers, body }: Answer, reason: string): string[] => [
  ...(status === attempt.status ? [] : [`status is ${status}, must be ${attempt.status}`]),
  ...(reason === (attempt.reason ?? '') ? [] : [`reason is ${reason}, must be ${attempt.reason ?? 'none'}`]),
  ...(`${JSON.stringify(headers)}${body}`.includes('SharedAccessSignature') ? ['the answer shows a token'] : []),
];

export function renderOrdersWalkthrough({ folder, ports }: OrdersScene, program: readonly string[]): string {
  const parts = [
    'Sallyport demo of examples/orders. Running on this machine, until you press Ctrl-C:',
    '',
    `  sidecar      https://${HOOK_HOST}:${ports.sidecar}  (${LOOPBACK}), manifests in ${folder}/manifests`,
    `  queue        ${LOOPBACK}:${ports.queue}, as ${QUEUE_HOST}; it wants a Shared Access Signature`,
    '',
    'Paste these into another terminal; change a manifest and try again. With --run the demo does all of it by itself.',
    '',
    `cd ${folder}`,
    `sign() { printf 'sha256='; printf %s '${BODY}' | openssl dgst -sha256 -hmac "$1" -r | cut -c1-64; }`,
    ...WEBHOOKS.flatMap(attempt => [
      '',
      `# ${attempt.title}: ${[attempt.status, attempt.reason].filter(Boolean).join(' ')}`,
      renderWebhook(attempt, ports),
    ]),
    '',
    '# what is in force, and how it fares',
    `${program.join(' ')} status --admin-socket admin.sock`,
    '',
    'The log of the sidecar follows.',
    '',
  ];
  return `${parts.join('\n')}\n`;
}

/** One command that any shell of the sh family takes. */
function renderWebhook(attempt: Webhook, { sidecar }: OrdersScene['ports']): string {
  const key = { hook: '$(cat hook.key)', other: ANOTHER_KEY, nobody: undefined }[attempt.signedBy];
  return [
    `curl -sSi --max-time 10 --cacert ca.crt --resolve ${HOOK_HOST}:${sidecar}:${LOOPBACK}`,
    ...(key === undefined ? [] : [`-H "X-Hub-Signature-256: $(sign "${key}")"`]),
    ...Object.entries(listHeaders(attempt)).map(([name, value]) => `-H '${name}: ${value}'`),
    `-d '${BODY}' https://${HOOK_HOST}:${sidecar}/hooks/orders`,
  ].join(' ');
}
