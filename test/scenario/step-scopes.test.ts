/** Each step at each of the five scopes, enforced and in Audit: the same verdict live and in explain, said of the same step. */
import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Ask } from '../support/connection.ts';
import * as made from '../support/manifests.ts';
import { RecordingApp } from '../support/servers.ts';
import { startSidecar } from '../support/sidecar.ts';
import { askOnce, explain, sayAnswer } from '../support/table.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

interface Subject {
  readonly step: made.Spec;
  readonly good: Ask;
  readonly bad: Ask;
  readonly reason: string;
  /** Only a second one is bad, which explain cannot know. */
  readonly second?: true;
  readonly more?: readonly made.Manifest[];
}

const from = (address: string): Ask => ({ path: '/a', headers: [['X-Forwarded-For', address]] });

const keyed = (key: string): Ask => ({ path: '/a', headers: [['X-Key', key]] });

const signed = (text: string): Ask => ({
  method: 'POST',
  path: '/a',
  headers: [['X-Hub-Signature-256', `sha256=${createHmac('sha256', sha256('opensesame')).update(text).digest('hex')}`]],
  body: 'opensesame',
});

const STRANGER = "source.ip != '203.0.113.9'";

const SUBJECTS: Readonly<Record<string, Subject>> = {
  hmacSignature: {
    // A cluster policy names the namespace of its keys, and says that they may reach tenants.
    step: { hmacSignature: { preset: 'GitHub', keys: [made.fromSecret('keys', 'primary')] } },
    good: signed('opensesame'),
    bad: signed('sesame'),
    reason: '401 SignatureInvalid',
  },
  subscription: {
    step: { subscription: { header: 'X-Key' } },
    good: keyed('opensesame'),
    bad: keyed('sesame'),
    reason: '401 SubscriptionKeyInvalid',
    more: [
      made.subscription('partner-a', { primaryKeyHash: made.fromSecret('keys', 'primary') }),
      made.secret('keys', { primary: sha256('opensesame') }),
    ],
  },
  rateLimit: {
    step: { when: STRANGER, rateLimit: { calls: 1, period: '24h', key: '${source.ip}', headers: true } },
    good: from('203.0.113.9'),
    bad: from('192.0.2.1'),
    reason: '429 RateLimitExceeded',
    second: true,
  },
  quota: {
    step: { when: STRANGER, quota: { calls: 1, period: '24h', key: '${source.ip}' } },
    good: from('203.0.113.9'),
    bad: from('192.0.2.2'),
    reason: '403 QuotaExceeded',
    second: true,
  },
  ipFilter: {
    step: { ipFilter: { allow: ['203.0.113.0/24'] } },
    good: from('203.0.113.9'),
    bad: from('192.0.2.1'),
    reason: '403 AddressNotAllowed',
  },
};

/** References of a cluster policy carry their namespace. */
const inNamespace = (spec: made.Spec): made.Spec =>
  JSON.parse(JSON.stringify(spec), (name, value: unknown) =>
    name === 'secretKeyRef' ? { ...(value as object), namespace: 'shop' } : value,
  ) as made.Spec;

/** How a policy is written for each scope. */
const SCOPES: Readonly<Record<string, (spec: made.Spec) => made.Manifest>> = {
  Cluster: spec => made.clusterAuthPolicy('subject', { ...inNamespace(spec), shareSecrets: true }),
  Namespace: spec => made.authPolicy('subject', spec),
  Product: spec =>
    made.authPolicy('subject', { ...spec, targetSelectors: [{ kind: 'Api', matchLabels: { product: 'gold' } }] }),
  Api: spec => made.authPolicy('subject', { ...spec, ...made.onApi('fleet') }),
  Operation: spec => made.authPolicy('subject', { ...spec, ...made.onApi('fleet', 'a') }),
};

const API: made.Manifest = {
  ...made.api('fleet', {
    trustedPeers: [{ cidr: '127.0.0.0/8' }],
    clientAddress: { from: 'ForwardedFor' },
    operations: [{ name: 'a', path: '/a' }],
  }),
  metadata: { name: 'fleet', namespace: 'shop', labels: { product: 'gold' } },
};

test('every step denies and would deny alike at every scope, live and in explain', async t => {
  const app = await new RecordingApp().start();
  t.after(() => app.stop());
  const more = Object.values(SUBJECTS).flatMap(subject => subject.more ?? []);
  const base = [API, made.authPolicy('open', { request: [made.OPEN] }), ...more];
  const sidecar = await startSidecar({ manifests: { 'base.yaml': base }, app: app.port });
  t.after(() => sidecar.close());
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-scopes-'));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'base.yaml'), made.renderManifests(base));

  for (const [type, { step, good, bad, reason, second = false }] of Object.entries(SUBJECTS)) {
    for (const [scope, write] of Object.entries(SCOPES)) {
      for (const mode of ['Enforce', 'Audit']) {
        const policy = write({ mode, request: [{ name: 'it', ...step }] });
        await sidecar.apply({ 'subject.yaml': [policy] });
        await writeFile(join(folder, 'subject.yaml'), made.renderManifests([policy]));
        const where = `${type} at ${scope} scope, ${mode}`;
        const told = { good: await explain(folder, { ask: good }), bad: await explain(folder, { ask: bad }) };
        assert.equal(sayAnswer(await askOnce(sidecar, good)), '200', where);
        assert.deepEqual(told.good, { verdict: '200', audit: [] }, where);
        if (second) await askOnce(sidecar, bad);
        const answer = sayAnswer(await askOnce(sidecar, bad));
        if (second) assert.deepEqual(told.bad, { verdict: '200', audit: [] }, where);
        if (mode === 'Enforce') {
          assert.equal(answer, reason, where);
          if (!second) assert.deepEqual(told.bad, { verdict: reason, audit: [] }, where);
        } else {
          assert.equal(answer, '200', where);
          const would = `subject/it ${reason.slice(4)}`;
          if (!second) assert.deepEqual(told.bad, { verdict: '200', audit: [would] }, where);
          const counted = { policy: scope === 'Cluster' ? 'subject' : 'shop/subject', reason: reason.slice(4) };
          assert.ok((await sidecar.metric('sallyport_audit_denials_total', counted)) > 0, where);
        }
      }
    }
  }
});
