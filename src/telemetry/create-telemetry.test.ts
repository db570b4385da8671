import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CATALOGUE } from './catalogue.ts';
import { type TelemetryOptions, createTelemetry } from './create-telemetry.ts';
import { createMetricStore } from './store.ts';
import { createPrettyOutput } from './pretty-output.ts';
import type { RequestRecord } from './telemetry.ts';

const NOON = Date.UTC(2026, 10, 23, 12);

function collectLines(options: Partial<TelemetryOptions> = {}) {
  const lines: string[] = [];
  const output = { write: (text: string) => void lines.push(text) };
  const telemetry = createTelemetry({
    level: 'info',
    output,
    logPermits: 1,
    now: () => NOON,
    random: () => 0.5,
    ...options,
  });
  return { telemetry, lines };
}

function makeRecord(changes: Partial<RequestRecord> = {}): RequestRecord {
  return {
    requestId: 'r-1',
    method: 'GET',
    api: 'shop/fleet',
    operation: 'device',
    template: '/v1/devices/{deviceId}',
    status: 200,
    verdict: 'Permit',
    auditDenials: [],
    totalMs: 12,
    decideMs: 0.25,
    appMs: 10,
    bytesIn: 0,
    bytesOut: 42,
    ...changes,
  };
}

const DENIED = makeRecord({
  verdict: 'Deny',
  status: 401,
  reason: 'TokenExpired',
  policy: 'shop/fleet',
  step: 'caller',
});
const WOULD_DENY = makeRecord({
  auditDenials: [
    {
      origin: {
        kind: 'AuthPolicy',
        key: 'shop/trial',
        name: 'trial',
        generation: 1,
        scope: 'Api',
        sealed: true,
        audit: true,
      },
      label: 'trial/caller',
      reason: 'TokenExpired',
    },
  ],
});

test('a line says which rule, claim or field denied, and no metric does', async () => {
  const { telemetry, lines } = collectLines();
  telemetry.request({ ...DENIED, detail: 'deny rule no-lab' });
  const [audited] = WOULD_DENY.auditDenials;
  assert.ok(audited !== undefined);
  telemetry.request(makeRecord({ auditDenials: [{ ...audited, detail: 'claim tier' }] }));
  const [denied, would] = lines.map(line => JSON.parse(line) as Record<string, unknown>);
  assert.equal(denied?.['detail'], 'deny rule no-lab');
  assert.deepEqual(would?.['wouldDeny'], [
    { policy: 'shop/trial', step: 'caller', reason: 'TokenExpired', detail: 'claim tier' },
  ]);
  const metrics = await telemetry.exposition();
  assert.ok(!metrics.includes('no-lab') && !metrics.includes('claim tier'));
});

test('a head that broke off before its method says none', () => {
  const { telemetry, lines } = collectLines();
  telemetry.request(makeRecord({ method: '' }));
  assert.equal('method' in (JSON.parse(lines.join('')) as object), false);
});

test('a denial is one line that names policy, step and reason', () => {
  const { telemetry, lines } = collectLines({ logPermits: 0 });
  telemetry.request(DENIED);
  assert.deepEqual(JSON.parse(lines.join('')), {
    level: 'info',
    time: '2026-11-23T12:00:00.000Z',
    requestId: 'r-1',
    method: 'GET',
    api: 'shop/fleet',
    operation: 'device',
    template: '/v1/devices/{deviceId}',
    status: 401,
    verdict: 'Deny',
    reason: 'TokenExpired',
    policy: 'shop/fleet',
    step: 'caller',
    durations: { decide: 0.25, app: 10, total: 12 },
    bytes: { in: 0, out: 42 },
    msg: 'request denied',
  });
});

test('permits are sampled; denials, failures and would-denials never are', () => {
  for (const [logPermits, expected] of [
    [0, 0],
    [0.4, 0],
    [0.6, 1],
    [1, 1],
  ] as const) {
    const { telemetry, lines } = collectLines({ logPermits });
    telemetry.request(makeRecord());
    assert.equal(lines.length, expected, `permits at ${logPermits}`);
    for (const record of [DENIED, WOULD_DENY, makeRecord({ status: 504, reason: 'AppTimeout' })])
      telemetry.request(record);
    assert.equal(lines.length, expected + 3);
  }
});

test('the level changes at run time and says what it is', () => {
  const { telemetry, lines } = collectLines();
  telemetry.log.debug({}, 'unseen');
  telemetry.setLevel('debug');
  telemetry.log.debug({}, 'seen');
  telemetry.setLevel('error');
  telemetry.log.warn({}, 'unseen');
  assert.equal(telemetry.level(), 'error');
  assert.deepEqual(
    lines.map(line => (JSON.parse(line) as { msg: string }).msg),
    ['seen'],
  );
});

test('control characters and ANSI sequences from a client stay inside one line of JSON', () => {
  const { telemetry, lines } = collectLines();
  telemetry.request(makeRecord({ requestId: 'a\r\n{"level":"error"}\u001b[31m\u0000\u2028', method: 'G\nET' }));
  const [line = ''] = lines;
  assert.equal(lines.length, 1);
  assert.equal(line.trimEnd().includes('\n'), false);
  assert.equal(/[\u0000-\u0009\u000b-\u001f]/.test(line), false);
  assert.equal((JSON.parse(line) as { method: string }).method, 'other');
});

test('a record counts once in requests, denials, would-denials and both histograms', async () => {
  const { telemetry } = collectLines();
  for (const record of [makeRecord(), makeRecord(), DENIED, WOULD_DENY]) telemetry.request(record);
  const text = await telemetry.exposition();
  const labels = 'api="shop/fleet",operation="device"';
  for (const line of [
    `sallyport_requests_total{${labels},verdict="Permit",reason="",status_class="2xx"} 3`,
    `sallyport_requests_total{${labels},verdict="Deny",reason="TokenExpired",status_class="4xx"} 1`,
    'sallyport_denials_total{policy="shop/fleet",step="caller",reason="TokenExpired"} 1',
    'sallyport_audit_denials_total{policy="shop/trial",step="caller",reason="TokenExpired"} 1',
    'sallyport_request_duration_seconds_bucket{api="shop/fleet",le="0.01"} 0',
    'sallyport_request_duration_seconds_bucket{api="shop/fleet",le="0.025"} 4',
    'sallyport_request_duration_seconds_bucket{api="shop/fleet",le="+Inf"} 4',
    'sallyport_request_duration_seconds_count{api="shop/fleet"} 4',
    'sallyport_added_latency_seconds_bucket{api="shop/fleet",le="0.0025"} 4',
    '# TYPE sallyport_added_latency_seconds histogram',
    '# TYPE sallyport_requests counter',
    '# EOF',
  ]) {
    assert.ok(text.split('\n').includes(line), `${line} is missing in\n${text}`);
  }
});

test('gauges are refreshed before every exposition, and process metrics are read then', async () => {
  const { telemetry } = collectLines({ process });
  let age = 7;
  telemetry.onExposition(() => telemetry.metrics.gauge('sallyport_policy_age_seconds', age));
  assert.match(await telemetry.exposition(), /^sallyport_policy_age_seconds 7$/m);
  age = 8;
  const text = await telemetry.exposition();
  assert.match(text, /^sallyport_policy_age_seconds 8$/m);
  assert.match(text, /^process_resident_memory_bytes \d{7,}$/m);
  assert.match(text, /^sallyport_event_loop_lag_seconds_count \d+$/m);
  telemetry.close();
});

test('label values are escaped, so that a name cannot end its line', async () => {
  const { telemetry } = collectLines();
  telemetry.metrics.count('sallyport_refused_connections_total', { reason: 'a"b\\c\nd' });
  assert.match(await telemetry.exposition(), /reason="a\\"b\\\\c\\nd"/);
});

test('a metric with too many series drops the rest and counts them', () => {
  const store = createMetricStore(3);
  for (let i = 0; i < 10; i++) store.count('sallyport_denials_total', { policy: `p${i}` });
  const shown = store.families().find(({ name }) => name === 'sallyport_denials_total');
  assert.equal(shown?.values.size, 3);
  assert.equal(store.value('sallyport_series_dropped_total').value, 7);
});

test('every metric that the source names is in the catalogue', () => {
  const source = fileURLToPath(new URL('..', import.meta.url));
  const unknown = globSync('**/*.ts', { cwd: source, exclude: name => name.endsWith('.test.ts') }).flatMap(file => {
    const names = readFileSync(`${source}/${file}`, 'utf8').match(/'sallyport_[a-z_]+'/g) ?? [];
    return names
      .map(quoted => quoted.slice(1, -1))
      .filter(name => !CATALOGUE.has(name))
      .map(name => `${file}: ${name}`);
  });
  assert.deepEqual(unknown, []);
});

const CANARIES = [
  'eyJhbGciOiJSUzI1NiIsImtpZCI6ImNhbmFyeSJ9.eyJzdWIiOiJjYW5hcnkifQ.Y2FuYXJ5',
  'Bearer canary-canary-canary',
  '-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----',
  'SharedAccessSignature sr=canary&sig=canary',
];

test('secrets planted in every field of a record and of a line appear in no line', () => {
  const { telemetry, lines } = collectLines({ level: 'debug' });
  for (const canary of CANARIES) {
    const fields = Object.keys(makeRecord()).concat('policy', 'step', 'principalKind', 'certificateSha256', 'issuer');
    for (const field of fields) {
      if (
        typeof { ...makeRecord(), policy: '', step: '', principalKind: '', certificateSha256: '', issuer: '' }[
          field
        ] !== 'string'
      )
        continue;
      telemetry.request({ ...DENIED, [field]: canary });
    }
    telemetry.log.debug({ canary, nested: { deep: [canary, { canary }] }, [canary]: 1 }, 'x');
    telemetry.log.error({ error: Object.assign(new Error(canary), { payload: canary, code: 'ERR_X' }) }, 'x');
    telemetry.log.warn({ bytes: new TextEncoder().encode(canary), map: new Map([[canary, canary]]) }, 'x');
  }
  assert.ok(lines.length > 40);
  assert.doesNotMatch(lines.join(''), /canary-|Y2FuYXJ5|sig=canary/);
});

test('what a client chose (request id, method) never becomes a label', async () => {
  const { telemetry } = collectLines({ logPermits: 0 });
  telemetry.request(makeRecord({ requestId: 'canary', method: 'CANARY' }));
  assert.doesNotMatch(await telemetry.exposition(), /canary/i);
});

test('lines for people hold what lines of JSON hold', () => {
  const texts: string[] = [];
  const { telemetry } = collectLines({ output: createPrettyOutput({ write: text => void texts.push(text) }) });
  telemetry.request(DENIED);
  const [text = ''] = texts;
  for (const part of ['12:00:00.000', 'INFO', 'request denied', 'TokenExpired', 'shop/fleet']) {
    assert.ok(text.includes(part), `${part} is missing in ${text}`);
  }
});
