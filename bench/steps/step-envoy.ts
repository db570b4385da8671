/** Envoy with a listener for each step, and one that forwards. */
import { renderCluster } from '../peers/envoy.ts';
import type { EnvoyStep, StepCase } from './step-case.ts';

const TYPE = 'type.googleapis.com/envoy.extensions.filters';

/** `first` is the port that forwards; each step has the next one. */
export const renderEnvoy = (first: number, app: number, steps: readonly StepCase[]): object => ({
  static_resources: {
    listeners: [renderListener(first, {}), ...steps.map(({ envoy = {} }, at) => renderListener(first + 1 + at, envoy))],
    clusters: [renderCluster('app', app)],
  },
});

const renderListener = (port: number, step: EnvoyStep): object => ({
  address: { socket_address: { address: '127.0.0.1', port_value: port } },
  per_connection_buffer_limit_bytes: 32768,
  filter_chains: [{ filters: [{ name: 'hcm', typed_config: renderHttp(step) }] }],
});

const renderHttp = ({ filters = [], route = {}, virtualHost = {} }: EnvoyStep): object => ({
  '@type': `${TYPE}.network.http_connection_manager.v3.HttpConnectionManager`,
  stat_prefix: 'in',
  codec_type: 'HTTP1',
  server_header_transformation: 'PASS_THROUGH',
  normalize_path: true,
  use_remote_address: true,
  route_config: {
    virtual_hosts: [
      {
        name: 'all',
        domains: ['*'],
        routes: [
          {
            match: { prefix: '/' },
            ...('direct_response' in route ? {} : { route: { cluster: 'app', timeout: '60s' } }),
            ...route,
          },
        ],
        ...virtualHost,
      },
    ],
  },
  http_filters: [
    ...filters,
    { name: 'router', typed_config: { '@type': `${TYPE}.http.router.v3.Router`, suppress_envoy_headers: true } },
  ],
});
