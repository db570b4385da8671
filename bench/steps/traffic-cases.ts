/** Steps that look at where a request comes from, and that count. */
import type { Material } from '../material.ts';
import { envoyFilter, envoyRbac, type StepCase } from './step-case.ts';

/** `count` ranges that hold nobody of this machine. */
const listRanges = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, i) => `10.${Math.floor(i / 250)}.${i % 250}.0/24`);

const filterAddresses = (count: number, { write }: Material): StepCase => ({
  name: `ipFilter, ${count === 1 ? '1 range' : `${count} ranges`}`,
  sallyport: { request: { ipFilter: { deny: listRanges(count) } } },
  haproxy: [`http-request deny if { src -f ${write(`ranges-${count}.lst`, `${listRanges(count).join('\n')}\n`)} }`],
  envoy: {
    filters: [
      envoyRbac(
        {
          principals: listRanges(count).map(range => {
            const [address, length] = range.split('/');
            return { direct_remote_ip: { address_prefix: address, prefix_len: Number(length) } };
          }),
        },
        'DENY',
      ),
    ],
  },
});

const MANY = 1_000_000;

export const createTrafficCases = (material: Material): readonly StepCase[] => [
  filterAddresses(1, material),
  filterAddresses(1000, material),
  {
    name: 'rateLimit by address (Envoy: without key)',
    sallyport: { request: { rateLimit: { calls: MANY, period: '1s', key: '${source.ip}' } } },
    haproxy: [
      'stick-table type ip size 100k expire 60s store http_req_rate(1s)',
      'http-request track-sc0 src',
      `http-request deny deny_status 429 if { sc_http_req_rate(0) gt ${MANY} }`,
    ],
    envoy: {
      filters: [
        envoyFilter('local_ratelimit', 'v3.LocalRateLimit', {
          stat_prefix: 'rate',
          token_bucket: { max_tokens: MANY, tokens_per_fill: MANY, fill_interval: '1s' },
          filter_enabled: { default_value: { numerator: 100 } },
          filter_enforced: { default_value: { numerator: 100 } },
        }),
      ],
    },
  },
  {
    name: 'quota by address',
    sallyport: { request: { quota: { calls: MANY * 1000, period: '24h', key: '${source.ip}' } } },
    haproxy: [
      'stick-table type ip size 100k expire 24h store http_req_cnt',
      'http-request track-sc0 src',
      `http-request deny deny_status 403 if { sc_http_req_cnt(0) gt ${MANY * 1000} }`,
    ],
  },
  {
    name: 'concurrency by address',
    sallyport: { request: { concurrency: { max: 1000, key: '${source.ip}' } } },
    haproxy: [
      'stick-table type ip size 100k expire 60s store conn_cur',
      'http-request track-sc0 src',
      'http-request deny deny_status 429 if { sc_conn_cur(0) gt 1000 }',
    ],
  },
];
