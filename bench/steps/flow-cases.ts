/** Steps that choose, change and answer. */
import { envoyFilter, type StepCase } from './step-case.ts';

const ORIGIN = 'https://a.example';
const append = (key: string, value: string) => ({
  header: { key, value },
  append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
});

export const FLOW_CASES: readonly StepCase[] = [
  {
    name: 'choose, one branch that sets a header',
    sallyport: {
      request: {
        choose: {
          when: [
            {
              condition: "request.headers['x-env'] == 'prod'",
              steps: [{ name: 'gold', setHeaders: [{ name: 'x-tier', value: 'gold' }] }],
            },
          ],
        },
      },
    },
    haproxy: ['http-request set-header x-tier gold if { req.hdr(x-env) -m str prod }'],
    request: { headers: { 'X-Env': 'prod' } },
  },
  {
    name: 'setVariables, from a header',
    sallyport: { request: { setVariables: { env: "${request.headers['x-env']}" } } },
    haproxy: ['http-request set-var(txn.env) req.hdr(x-env)'],
    request: { headers: { 'X-Env': 'prod' } },
  },
  {
    name: 'setHeaders, literal',
    sallyport: { request: { setHeaders: [{ name: 'x-gateway', value: 'bench' }] } },
    haproxy: ['http-request set-header x-gateway bench'],
    envoy: { route: { request_headers_to_add: [append('x-gateway', 'bench')] } },
  },
  {
    name: 'setHeaders, from what is known',
    sallyport: { request: { setHeaders: [{ name: 'x-from', value: '${source.ip}' }] } },
    haproxy: ['http-request set-header x-from %[src]'],
    envoy: {
      route: { request_headers_to_add: [append('x-from', '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%')] },
    },
  },
  {
    name: 'removeHeaders',
    sallyport: { request: { removeHeaders: ['X-Env'] } },
    haproxy: ['http-request del-header x-env'],
    envoy: { route: { request_headers_to_remove: ['x-env'] } },
    request: { headers: { 'X-Env': 'prod' } },
  },
  {
    name: 'setHeaders on the answer',
    sallyport: { response: { setHeaders: [{ name: 'x-gateway', value: 'bench' }] } },
    haproxy: ['http-response set-header x-gateway bench'],
    envoy: { route: { response_headers_to_add: [append('x-gateway', 'bench')] } },
  },
  {
    name: 'hideBackend, headers (HAProxy, Envoy: the two that the app sends)',
    sallyport: { response: { hideBackend: {} } },
    haproxy: ['http-response del-header Server', 'http-response del-header X-Powered-By'],
    envoy: { route: { response_headers_to_remove: ['server', 'x-powered-by'] } },
  },
  {
    name: 'cors, a page’s request',
    sallyport: { request: { cors: { allowOrigins: [ORIGIN] } } },
    haproxy: [
      `http-request set-var(txn.origin) req.hdr(origin) if { req.hdr(origin) -m str ${ORIGIN} }`,
      'http-response set-header access-control-allow-origin %[var(txn.origin)] if { var(txn.origin) -m found }',
      'http-response set-header vary origin if { var(txn.origin) -m found }',
    ],
    envoy: {
      filters: [envoyFilter('cors', 'v3.Cors', {})],
      virtualHost: {
        typed_per_filter_config: {
          cors: {
            '@type': 'type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy',
            allow_origin_string_match: [{ exact: ORIGIN }],
          },
        },
      },
    },
    request: { headers: { Origin: ORIGIN } },
  },
  {
    name: 'respond, the whole request',
    sallyport: { request: { respond: { status: 200, body: 'gone' } } },
    haproxy: ['http-request return status 200 content-type text/plain string gone'],
    envoy: { route: { direct_response: { status: 200, body: { inline_string: 'gone' } } } },
    whole: true,
  },
  {
    name: 'replaceText in a body of 4 KiB',
    sallyport: {
      response: {
        replaceText: { from: 'internal.example', to: 'fleet.example.com', mediaTypes: ['application/json'] },
      },
    },
    request: { large: true },
    unbounded: true,
  },
];
