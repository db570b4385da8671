/** Every step of the schema gives an HTTP/2 client the same answer, and the app the same request, as over HTTP/1.1. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { openHttp2 } from '../../src/proxy/testing/http2-client.ts';
import type { Ask } from '../support/connection.ts';
import * as made from '../support/manifests.ts';
import type { RecordingApp, Seen } from '../support/servers.ts';
import { type Sidecar, startSidecar } from '../support/sidecar.ts';
import * as subjects from '../support/step-subjects.ts';
import { askOnce } from '../support/table.ts';

const SUBJECTS = [
  ...Object.entries(subjects.REQUEST_SUBJECTS).map(([type, subject]) => ['request', type, subject] as const),
  ...Object.entries(subjects.RESPONSE_SUBJECTS).map(([type, subject]) => ['response', type, subject] as const),
];

interface Side {
  readonly sidecar: Sidecar;
  readonly app: RecordingApp;
}

/** Limits and replays are remembered, so that each protocol has a sidecar of its own. */
async function open(t: TestContext): Promise<Side> {
  const { app, service } = await subjects.startCounterparts(t);
  service.devices.set('robot-7', subjects.ROBOT_SHA1);
  const policies = SUBJECTS.map(([part, type, { step, before = [], when }]) => {
    const own = `request.path == '/${part}-${type}'`;
    const condition = when === undefined ? own : `${own} && (${when})`;
    const steps = [...before.map(earlier => ({ ...earlier, when: own })), { name: 'it', when: condition, ...step }];
    return made.authPolicy(`${part}-${type.toLowerCase()}`, { [part]: steps });
  });
  const manifests = [
    made.api('fleet', { trustedPeers: [{ cidr: '127.0.0.0/8' }], clientAddress: { from: 'ForwardedFor' } }),
    made.authPolicy('open', { request: [made.OPEN] }),
    ...policies,
    ...SUBJECTS.flatMap(([, , { more = [] }]) => more),
  ];
  const resolve = { [`${subjects.DEVICE_HOST}:80`]: service.port };
  const sidecar = await startSidecar({ manifests: { 'all.yaml': manifests }, app: app.port, resolve });
  t.after(() => sidecar.close());
  return { sidecar, app };
}

interface Told {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  /** What the app got, if it got anything. */
  readonly app: unknown;
}

/** Of the connection, or another each time. */
const OWN = new Set([
  'date',
  'connection',
  'keep-alive',
  'content-length',
  'transfer-encoding',
  'x-request-id',
  'traceparent',
  'tracestate',
]);
const comparable = (name: string): boolean => !OWN.has(name) && !name.startsWith(':');
const withoutId = (text: string): string => text.replace(/"requestId":"[^"]*"/, '');

const sayApp = (seen: Seen | undefined): unknown =>
  seen && {
    ...{ method: seen.method, path: seen.path, body: seen.body },
    lines: seen.lines
      .map(([name, value]) => [name.toLowerCase(), value])
      .filter(([name = '']) => comparable(name))
      .sort(),
  };

async function askHttp1({ sidecar, app }: Side, ask: Ask): Promise<Told> {
  const asked = app.seen.length;
  const { status, body, headers } = await askOnce(sidecar, ask);
  const lines = [...headers].filter(([name]) => comparable(name)).map(([name, values]) => [name, values.join()]);
  return {
    status,
    body: withoutId(body),
    headers: Object.fromEntries(lines.sort()) as Record<string, string>,
    app: sayApp(app.seen[asked]),
  };
}

async function askHttp2({ sidecar, app }: Side, { path, method = 'GET', headers = [], body }: Ask): Promise<Told> {
  const asked = app.seen.length;
  const client = openHttp2(sidecar.port);
  const lower = headers.map(([name, value]) => [name.toLowerCase(), value]);
  const length = body === undefined ? {} : { 'content-length': String(body.length) };
  const told = await client.call(
    { ':path': path, ':method': method, ...length, ...(Object.fromEntries(lower) as Record<string, string>) },
    body,
  );
  await client.close();
  const lines = Object.entries(told.headers)
    .filter(([name]) => comparable(name))
    .map(([name, value]) => [name, String(value)]);
  return {
    ...{ status: told.status, body: withoutId(told.body), app: sayApp(app.seen[asked]) },
    headers: Object.fromEntries(lines.sort()) as Record<string, string>,
  };
}

test('every step of the schema, with what it lets pass and what it does not', async t => {
  const [http1, http2] = [await open(t), await open(t)];
  for (const [part, type, { good, bad }] of SUBJECTS) {
    const path = `/${part}-${type}`;
    for (const [which, ask] of [
      ['good', good],
      ['bad', bad],
      ['bad again', bad],
    ] as const) {
      const own = { ...ask, path: `${path}${ask.path.startsWith('?') ? ask.path : ''}` };
      const one = await askHttp1(http1, own);
      assert.deepEqual(await askHttp2(http2, own), one, `${path}: ${which}`);
    }
  }
});
