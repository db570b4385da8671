/** HAProxy: jwt_verify on each request, client certificates, mutual TLS to the app. */
import { PROXY_CORE, readVersion, start, type Running } from '../process.ts';
import { APP_NAME, AUDIENCE, ISSUER } from '../material.ts';
import { isPlain, type Peer, type PeerContext } from './peer.ts';

export const haproxy: Peer = {
  name: 'HAProxy',
  modes: ['plain', 'token', 'http2', 'grpc', 'certificate'],
  version: () => readVersion('haproxy', ['-v'], /version (\S+)/),
  howToGet: 'apt-get install haproxy',
  start: context => startHaproxy(context.material.write(`haproxy-${context.mode}.cfg`, renderConfiguration(context))),
};

export const startHaproxy = (file: string): Running => start(PROXY_CORE, 'haproxy', ['-db', '-f', file]);

export const HAPROXY_DEFAULTS = `global
  nbthread 1
  no strict-limits
  maxconn 12000
  ssl-default-bind-options no-tls-tickets
defaults
  mode http
  timeout client 620s
  timeout server 300s
  timeout connect 5s
  timeout http-keep-alive 620s
  option http-keep-alive
  http-reuse always
`;

function renderConfiguration(context: PeerContext): string {
  return `${HAPROXY_DEFAULTS}frontend in
${renderFrontend(context)}
  http-response del-header Server
  http-response del-header X-Powered-By
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto ${isPlain(context.mode) ? 'http' : 'https'}
  default_backend app
backend app
${renderServer(context)}
`;
}

function renderFrontend({ material, ports, mode }: PeerContext): string {
  const bind = `  bind 127.0.0.1:${ports.listen}`;
  if (mode === 'grpc') return `${bind} proto h2`;
  if (mode === 'plain') return bind;
  const server = material.write('haproxy-server.pem', material.server.certificate + material.server.key);
  if (mode === 'certificate') {
    const ca = material.write('haproxy-ca.pem', material.ca);
    const crl = material.write('haproxy-crl.pem', material.crl);
    return `${bind} ssl crt ${server} ca-file ${ca} crl-file ${crl} verify required
  http-request set-header x-request-context-data "deviceId=%[ssl_c_s_dn(cn)];certificateThumbprint=%[ssl_c_sha1,hex];"`;
  }
  const key = material.write('haproxy-public.pem', material.publicKeyPem);
  return `${bind} ssl crt ${server}${mode === 'http2' ? ' alpn h2' : ''}
  http-request set-var(txn.bearer) http_auth_bearer
  http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
  http-request set-var(txn.iss) var(txn.bearer),jwt_payload_query('$.iss')
  http-request set-var(txn.aud) var(txn.bearer),jwt_payload_query('$.aud')
  http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
  http-request set-var(txn.client) var(txn.bearer),jwt_payload_query('$.clientId')
  http-request set-var(txn.scope) var(txn.bearer),jwt_payload_query('$.scope')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless { var(txn.alg) -m str RS256 }
  http-request deny deny_status 401 unless { var(txn.iss) -m str ${ISSUER} }
  http-request deny deny_status 401 unless { var(txn.aud) -m str ${AUDIENCE} }
  http-request deny deny_status 401 unless { var(txn.exp),sub(txn.now) -m int gt 0 }
  http-request deny deny_status 401 unless { var(txn.client) -m found }
  http-request deny deny_status 403 unless { var(txn.scope) -m sub ManagementApi }
  http-request deny deny_status 401 unless { var(txn.bearer),jwt_verify(txn.alg,"${key}") -m int 1 }
  http-request set-header x-client-id %[var(txn.client)]
  http-request del-header Authorization`;
}

function renderServer({ material, ports, mode }: PeerContext): string {
  if (mode === 'grpc') return `  server app 127.0.0.1:${ports.appGrpc} proto h2`;
  if (mode === 'plain') return `  server app 127.0.0.1:${ports.appPlain}`;
  const mesh = material.write('haproxy-mesh.pem', material.mesh.certificate + material.mesh.key);
  const ca = material.write('haproxy-app-ca.pem', material.ca);
  return `  server app 127.0.0.1:${ports.appTls} ssl verify required ca-file ${ca} crt ${mesh} sni str(${APP_NAME}) verifyhost ${APP_NAME}`;
}
