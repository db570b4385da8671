/** Keys, Secrets and TLS clients for tests. */
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { ListenerTls } from '../../policy/model.ts';
import type { Material } from '../../material/material.ts';
import { createAuthority, type Authority, type IssuedCertificate } from '../../demo/pki.ts';
import { Wire } from './wire.ts';

export const serverAuthority: Authority = createAuthority({ name: 'server-ca' });
export const deviceAuthority: Authority = createAuthority({ name: 'device-ca' });

export function issueServer(name: string, authority: Authority = serverAuthority): IssuedCertificate {
  return authority.issue({ subject: name, san: { dns: [name] }, usages: ['serverAuth'] });
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

export function tlsSecret(issued: IssuedCertificate): ReadonlyMap<string, Uint8Array> {
  return new Map([
    ['tls.crt', encode(issued.chainPem)],
    ['tls.key', encode(issued.keyPem)],
  ]);
}

export function material(
  secrets: Readonly<Record<string, ReadonlyMap<string, Uint8Array>>>,
  configMaps: Readonly<Record<string, Readonly<Record<string, string>>>> = {},
): Material {
  return {
    secret: key => secrets[key],
    configMap: key => {
      const data = configMaps[key];
      return data === undefined ? undefined : new Map(Object.entries(data).map(([k, v]) => [k, encode(v)]));
    },
  };
}

export function listenerTls(parts: Partial<ListenerTls> = {}): ListenerTls {
  return {
    mode: 'Terminate',
    minVersion: '1.2',
    certificates: [{ hosts: ['fleet.example.com'], secret: 'shop/fleet-tls' }],
    clientTrusts: [],
    ...parts,
  };
}

export class SecureWire extends Wire {
  readonly secure: TLSSocket;
  constructor(socket: TLSSocket) {
    super(socket);
    this.secure = socket;
  }
}

/** A TLS client that trusts the test's server authority. */
export function connectSecure(port: number, options: ConnectionOptions = {}): TLSSocket {
  return connect({
    port,
    host: '127.0.0.1',
    servername: 'fleet.example.com',
    ca: serverAuthority.certificatePem,
    ...options,
  });
}

/** Resolves when the handshake is done; rejects when it is refused. */
export async function openSecureWire(port: number, options: ConnectionOptions = {}): Promise<SecureWire> {
  const socket = connectSecure(port, options);
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed in the handshake')));
  });
  return new SecureWire(socket);
}
