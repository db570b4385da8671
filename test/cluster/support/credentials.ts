/** The cluster's certificates: one authority, which signs the servers, their clients and whoever a test wants to be. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority, createKeyPair, type Authority } from '../../../src/demo/pki.ts';

export interface Identity {
  readonly user: string;
  readonly groups?: readonly string[];
}

/** The identity that may do everything, whatever RBAC says. */
export const ADMIN: Identity = { user: 'admin', groups: ['system:masters'] };

export interface ClientCertificate {
  /** PEM. */
  readonly certificate: string;
  readonly key: string;
}

export interface Credentials {
  readonly ca: string;
  /** Where the files stand that the cluster's programs read: ca.crt, ca.key, server.crt, server.key, accounts.key, accounts.pub. */
  readonly folder: string;
  issueClient(identity: Identity): ClientCertificate;
  /** Writes a client certificate as NAME.crt and NAME.key. */
  writeClient(name: string, identity: Identity): { readonly certificate: string; readonly key: string };
  /** Writes a server certificate as NAME.crt and NAME.key. */
  writeServer(name: string, names: ServerNames): { readonly certificate: string; readonly key: string };
}

export interface ServerNames {
  readonly dns: readonly string[];
  readonly ip: readonly string[];
}

const LIFE_MS = 365 * 86_400_000;

export function createCredentials(folder: string): Credentials {
  mkdirSync(folder, { mode: 0o700 });
  const authority = createAuthority({ name: 'sallyport test cluster', notAfter: inOneYear() });
  const write = (name: string, text: string): string => {
    const file = join(folder, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
  const writePair = (name: string, pair: ClientCertificate): { certificate: string; key: string } => ({
    certificate: write(`${name}.crt`, pair.certificate),
    key: write(`${name}.key`, pair.key),
  });
  write('ca.crt', authority.certificatePem);
  write('ca.key', authority.keyPem);
  const accounts = createKeyPair();
  write('accounts.key', accounts.privateKey.export({ type: 'sec1', format: 'pem' }).toString());
  write('accounts.pub', accounts.publicKey.export({ type: 'spki', format: 'pem' }).toString());
  return {
    ca: authority.certificatePem,
    folder,
    issueClient: identity => issueClient(authority, identity),
    writeClient: (name, identity) => writePair(name, issueClient(authority, identity)),
    writeServer: (name, names) => writePair(name, issueServer(authority, names)),
  };
}

/** An API server takes the user from CN and the groups from O. */
function issueClient(authority: Authority, { user, groups = [] }: Identity): ClientCertificate {
  const subject = [...groups.map(group => ['O', group] as const), ['CN', user] as const];
  const leaf = authority.issue({ subject, usages: ['clientAuth'], notAfter: inOneYear() });
  return { certificate: leaf.certificatePem, key: leaf.keyPem };
}

function issueServer(authority: Authority, { dns, ip }: ServerNames): ClientCertificate {
  const leaf = authority.issue({
    subject: dns[0] ?? ip[0] ?? 'server',
    usages: ['serverAuth'],
    san: { dns, ip },
    notAfter: inOneYear(),
  });
  return { certificate: leaf.certificatePem, key: leaf.keyPem };
}

function inOneYear(): Date {
  return new Date(Date.now() + LIFE_MS);
}
