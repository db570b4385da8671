/**
 * Every step of the schema at each of the five scopes, enforced and in Audit: the same verdict live and in explain, said of
 * the same step; an enforced one does what it is for, and one in Audit does nothing but count (S8).
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { requestStep, responseStep } from '../../src/api/kinds/steps.ts';
import { type Answer, type Ask, openPlain, renderAsk } from '../support/connection.ts';
import * as made from '../support/manifests.ts';
import type { RecordingApp } from '../support/servers.ts';
import { type Sidecar, startSidecar } from '../support/sidecar.ts';
import * as subjects from '../support/step-subjects.ts';
import type { Subject } from '../support/step-subjects.ts';
import { askOnce, explain, sayAnswer } from '../support/table.ts';
import { until } from '../support/until.ts';

type Part = 'request' | 'response';
interface Named extends Subject {
  readonly part: Part;
  /** Of the step's policy, and of its path. */
  readonly name: string;
}

const nameAll = (part: Part, table: Readonly<Record<string, Subject>>): readonly Named[] =>
  Object.entries(table).map(([type, subject]) => ({ ...subject, part, name: `${part}-${type.toLowerCase()}` }));

const SUBJECTS = [...nameAll('request', subjects.REQUEST_SUBJECTS), ...nameAll('response', subjects.RESPONSE_SUBJECTS)];

/** References of a cluster policy carry their namespace. */
const inNamespace = (spec: made.Spec): made.Spec =>
  JSON.parse(JSON.stringify(spec), (name, value: unknown) => {
    if (name === 'secretKeyRef') return { ...(value as object), namespace: 'shop' };
    if ((name === 'trust' || name === 'service') && typeof value === 'string') return `shop/${value}`;
    return name === 'issuers' ? (value as readonly string[]).map(issuer => `shop/${issuer}`) : value;
  }) as made.Spec;

/** How a policy is written for each scope. */
const SCOPES: Readonly<Record<string, (name: string, spec: made.Spec) => made.Manifest>> = {
  Cluster: (name, spec) => made.clusterAuthPolicy(name, { ...inNamespace(spec), shareSecrets: true }),
  Namespace: (name, spec) => made.authPolicy(name, spec),
  Product: (name, spec) =>
    made.authPolicy(name, { ...spec, targetSelectors: [{ kind: 'Api', matchLabels: { product: 'gold' } }] }),
  Api: (name, spec) => made.authPolicy(name, { ...spec, ...made.onApi('fleet') }),
  Operation: (name, spec) => made.authPolicy(name, { ...spec, ...made.onApi('fleet', 'all') }),
};

const API: made.Manifest = {
  ...made.api('fleet', {
    trustedPeers: [{ cidr: '127.0.0.0/8' }],
    clientAddress: { from: 'ForwardedFor' },
    operations: [{ name: 'all', path: '/*' }],
  }),
  metadata: { name: 'fleet', namespace: 'shop', labels: { product: 'gold' } },
};

/** Each subject has a path of its own, so that one set of policies serves all of them. */
function policyOf({ part, name, step, before = [], when }: Named, mode: string): made.Spec {
  const own = `request.path == '/${name}'`;
  const condition = when === undefined ? own : `${own} && (${when})`;
  const steps = before.map(earlier => ({ ...earlier, when: own }));
  return { mode, [part]: [...steps, { name: 'it', when: condition, ...step }] };
}

const onPath = (ask: Ask, { name }: Named): Ask => ({ ...ask, path: `/${name}` });

interface World {
  readonly sidecar: Sidecar;
  readonly app: RecordingApp;
  readonly folder: string;
  readonly deviceAnswer: string;
}

async function start(t: TestContext): Promise<World> {
  const { app, service } = await subjects.startCounterparts(t);
  service.devices.set('robot-7', subjects.ROBOT_SHA1);
  const base = [
    API,
    made.authPolicy('open', { request: [made.OPEN] }),
    ...SUBJECTS.flatMap(subject => subject.more ?? []),
  ];
  const resolve = { [`${subjects.DEVICE_HOST}:80`]: service.port };
  const sidecar = await startSidecar({ manifests: { 'base.yaml': base }, app: app.port, resolve });
  t.after(() => sidecar.close());
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-scopes-'));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'base.yaml'), made.renderManifests(base));
  const deviceAnswer = join(folder, 'device.txt');
  await writeFile(deviceAnswer, JSON.stringify({ deviceId: 'robot-7', certificateThumbprint: subjects.ROBOT_SHA1 }));
  return { sidecar, app, folder, deviceAnswer };
}

/** The answer to the second one, or to one beside one that is open. */
async function askBad({ sidecar, app }: World, subject: Named): Promise<Answer> {
  const bad = onPath(subject.bad, subject);
  if (subject.second === true) await askOnce(sidecar, bad);
  if (subject.whileOpen !== true) return askOnce(sidecar, bad);
  const held = { ...bad, headers: [...(bad.headers ?? []), [subjects.HOLD, '1'] as const] };
  const seen = app.seen.length;
  const connection = await openPlain(sidecar.port);
  try {
    connection.wire.send(renderAsk(held));
    await until('the app has the open request', () => app.seen.length > seen);
    return await askOnce(sidecar, bad);
  } finally {
    // A FIN alone would be no abort: the whole request is there.
    connection.wire.socket.resetAndDestroy();
    await until('its place is free again', async () => (await askOnce(sidecar, bad)).status === 200);
  }
}

async function checkExplain(world: World, subject: Named, mode: string, where: string): Promise<void> {
  const { good, bad, reason, part, answers } = subject;
  const words = ['--device-auth', `200:${world.deviceAnswer}`];
  const passes = { verdict: '200', audit: [] };
  const told = {
    good: await explain(world.folder, { ask: onPath(good, subject) }, words),
    bad: await explain(world.folder, { ask: onPath(bad, subject) }, words),
  };
  assert.deepEqual(told.good, passes, where);
  // Of what others do, and of the app's answer, explain knows nothing.
  const isUnknown = part === 'response' || subject.second === true || subject.whileOpen === true;
  const would = answers === true ? [] : [`${subject.name}/it ${reason.slice(4)}`];
  const wanted = mode === 'Enforce' ? { verdict: reason, audit: [] } : { verdict: '200', audit: would };
  assert.deepEqual(told.bad, isUnknown ? passes : wanted, where);
}

async function checkLive(world: World, subject: Named, scope: string, mode: string, where: string): Promise<void> {
  const { sidecar, app } = world;
  const { good, reason, effect, part, answers, name } = subject;
  const answer = await askOnce(sidecar, onPath(good, subject));
  const isEnforced = mode === 'Enforce';
  if (effect !== undefined) {
    assert.equal(effect.read(app.last, answer), isEnforced ? effect.enforced : effect.audit, where);
  }
  assert.match(sayAnswer(answer), /^20[03]$/, where);
  const said = sayAnswer(await askBad(world, subject));
  assert.equal(said, isEnforced ? reason : '200', where);
  if (isEnforced || part === 'response' || answers === true) return;
  const counted = { policy: scope === 'Cluster' ? name : `shop/${name}`, reason: reason.slice(4) };
  assert.ok((await sidecar.metric('sallyport_audit_denials_total', counted)) > 0, where);
}

test('every step of the schema has its row', () => {
  for (const [schema, table] of [
    [requestStep, subjects.REQUEST_SUBJECTS],
    [responseStep, subjects.RESPONSE_SUBJECTS],
  ] as const) {
    assert.deepEqual(Object.keys(table).sort(), [...(schema.exactlyOneOf?.[0] ?? [])].sort());
  }
});

test('every step does what it is for at every scope, and in Audit only counts, live and in explain', async t => {
  const world = await start(t);
  for (const [scope, write] of Object.entries(SCOPES)) {
    for (const mode of ['Enforce', 'Audit']) {
      const policies = SUBJECTS.map(subject => write(subject.name, policyOf(subject, mode)));
      await world.sidecar.apply({ 'subjects.yaml': policies });
      await writeFile(join(world.folder, 'subjects.yaml'), made.renderManifests(policies));
      for (const subject of SUBJECTS) {
        const where = `${subject.name} at ${scope} scope, ${mode}`;
        await checkExplain(world, subject, mode, where);
        await checkLive(world, subject, scope, mode, where);
      }
    }
  }
});
