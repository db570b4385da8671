import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileYaml } from './testing/compile-yaml.ts';

const API = `
kind: Api
metadata: {name: fleet}
spec: {podSelector: {matchLabels: {app: fleet}}, port: 8080}
---
`;
const store = (url: string, trust = '') => `
kind: ClusterAuthPolicy
metadata: {name: store}
spec: {sharedStore: {url: "${url}"${trust}}}
---
`;
const policy = (step: string): string => `
kind: AuthPolicy
metadata: {name: p}
spec: {request: [{name: s, ${step}}]}
---
`;
const noticed = (text: string): readonly string[] =>
  compileYaml(API + text).snapshot.notices.filter(notice => !notice.includes('without credentials'));

const S = 'AuthPolicy shop/p, step s: ';
const NOTICES: Readonly<Record<string, readonly [text: string, ...notices: string[]]>> = {
  'a rate that each pod counts for itself': [
    policy('rateLimit: {calls: 5, period: 90s}'),
    `${S}each pod admits 5 calls per 1m30s, and forgets them with a restart`,
  ],
  'a quota that each pod counts for itself': [
    policy('quota: {calls: 500, period: 24h}'),
    `${S}each pod admits 500 calls per 24h, and forgets them with a restart`,
  ],
  'concurrency of each pod': [policy('concurrency: {max: 7}'), `${S}each pod has up to 7 requests open at once`],
  'replays, which each pod remembers for itself': [
    policy('hmacSignature: {preset: Slack, keys: [{secretKeyRef: {name: k, key: k}}], rejectReplays: true}'),
    `${S}each pod remembers the messages that it took itself: another pod takes a replay`,
  ],
  'a limit of the workload': [policy('rateLimit: {calls: 5, period: 90s, scope: Workload}')],
  'a store without TLS': [
    store('redis://limits.ops.svc') + policy('quota: {calls: 5, period: 90s, scope: Shared}'),
    'ClusterAuthPolicy store: limits are counted over redis:// without TLS',
  ],
  'a store with TLS': [
    store('rediss://limits.ops.svc', ', trust: {systemRoots: true}') + policy('concurrency: {max: 5, scope: Shared}'),
  ],
  'a store that nobody counts in': [store('redis://limits.ops.svc')],
};

for (const [what, [text, ...notices]] of Object.entries(NOTICES)) {
  test(`notices ${notices.length === 0 ? 'nothing of' : ''} ${what}`.replaceAll('  ', ' '), () =>
    assert.deepEqual(noticed(text), notices),
  );
}
