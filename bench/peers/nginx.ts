/** nginx: a peer for plain forwarding, and the app behind everybody. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OTHER_CORE, PROXY_CORE, readVersion, start, type Running } from '../process.ts';
import type { Material } from '../material.ts';
import type { Peer, Ports } from './peer.ts';

const EVENTS =
  'worker_processes 1; daemon off; error_log stderr crit; worker_rlimit_nofile 20000; events { worker_connections 16000; multi_accept on; }';

const placeTempFolders = ({ folder }: Material): string =>
  ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map(name => `${name}_temp_path ${join(folder, `nginx-${name}`)};`)
    .join(' ');

export const nginx: Peer = {
  name: 'nginx',
  modes: ['plain'],
  version: () => readVersion('nginx', ['-v'], /nginx\/(\S+)/),
  howToGet: 'apt-get install nginx-light',
  start: ({ material, ports }) => {
    const file = material.write(
      'nginx-peer.conf',
      `pid ${join(material.folder, 'nginx-peer.pid')}; ${EVENTS}
http { access_log off; ${placeTempFolders(material)} server_tokens off; keepalive_requests 100000000; keepalive_timeout 620s;
  upstream app { server 127.0.0.1:${ports.appPlain}; keepalive 128; keepalive_requests 100000000; }
  server { listen 127.0.0.1:${ports.listen};
    location / { proxy_pass http://app; proxy_http_version 1.1; client_max_body_size 0; proxy_request_buffering off; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto http; proxy_hide_header Server; proxy_hide_header X-Powered-By; } } }`,
    );
    return start(PROXY_CORE, 'nginx', ['-c', file]);
  },
};

/** The app: a small JSON answer with headers that a careless app leaks, files of 64 KiB and 1 MiB, a stream, an upload that it reads whole, a look-up. */
export function startApp(material: Material, ports: Ports): Running {
  material.write('64k', 'x'.repeat(64 * 1024));
  material.write('4k', '{"url":"https://internal.example/items/7","text":"0123456789"}'.repeat(64));
  material.write('1m', 'x'.repeat(1024 * 1024));
  const ca = material.write('app-ca.pem', material.ca);
  const certificate = material.write('app.pem', material.app.certificate);
  const key = material.write('app.key', material.app.key);
  const locations = `
    root ${material.folder}; client_max_body_size 0; default_type application/json; add_header X-Powered-By Express;
    location / { return 200 '{"status":"ok","items":[1,2,3,4,5,6,7,8,9,10]}'; }
    location /v1/4k/ { try_files /4k =500; }
    location = /v1/64k { alias ${join(material.folder, '64k')}; }
    location = /v1/1m { alias ${join(material.folder, '1m')}; }
    location = /v1/upload { client_body_buffer_size 2m; proxy_pass_request_body off; proxy_set_header Content-Length "";
      proxy_pass http://127.0.0.1:${ports.lookup}; }
    location = /v1/stream { ssi on; ssi_types *; alias ${join(material.folder, '1m')}; }`;
  const file = join(material.folder, 'nginx-app.conf');
  writeFileSync(
    file,
    `pid ${join(material.folder, 'nginx-app.pid')}; ${EVENTS}
http { access_log off; ${placeTempFolders(material)} sendfile on; tcp_nodelay on; keepalive_requests 100000000; keepalive_timeout 620s;
  server { listen 127.0.0.1:${ports.appPlain} backlog=4096; ${locations} }
  server { listen 127.0.0.1:${ports.lookup}; default_type application/json; location / { return 200 '{"deviceId":"robot-7"}'; } }
  server { listen 127.0.0.1:${ports.appTls} ssl; ssl_certificate ${certificate}; ssl_certificate_key ${key};
    ssl_client_certificate ${ca}; ssl_verify_client on; ${locations} } }`,
  );
  return start(OTHER_CORE, 'nginx', ['-c', file]);
}
