/** From the plan of a shared store and the material at hand to how it is reached. */
import { createHash } from 'node:crypto';
import { createTextReader } from '../credentials/secret-text.ts';
import type { Material } from '../material/material.ts';
import { createTrustContext } from '../outbound/connector.ts';
import { isAllowedHost, type HostPort } from '../policy/allowed-hosts.ts';
import { secretOf, type TextRef } from '../policy/credential-texts.ts';
import type { SharedStorePlan } from '../policy/model.ts';
import type { StorePlace } from './store.ts';

/** `digest` is the same as long as everything is. A string is a stable code: it cannot be reached at all. */
export interface FoundPlace {
  readonly digest: string;
  readonly open: () => StorePlace | string;
}

export function findPlace({ url, trust, login }: SharedStorePlan, material: Material): FoundPlace {
  const { protocol, hostname, port, pathname } = new URL(url);
  const host = hostname.toLowerCase().replace(/^\[|\]$/g, '');
  const address = { name: host, port: port === '' ? 6379 : Number(port) };
  const ca = trust?.systemRoots === true ? 'systemRoots' : trust && createTextReader(material, '').read(trust);
  const name = readLogin(login, address, material);
  const digest = createHash('sha256')
    .update(JSON.stringify([url, ca, name]))
    .digest('hex');
  const open = (): StorePlace | string => {
    if (typeof name === 'string') return name;
    const place = { host, port: address.port, database: Number(pathname.slice(1)), ...(name && { login: name }) };
    if (protocol === 'redis:') return place;
    if (ca === undefined) return 'TRUST_MISSING';
    try {
      const context = createTrustContext({ trust: ca === 'systemRoots' ? ca : { ca } }, host);
      return { ...place, security: { context } };
    } catch {
      return 'BAD_TRUST';
    }
  };
  return { digest, open };
}

type Login = StorePlace['login'];

/** A login that cannot be had is not left out. */
function readLogin(login: SharedStorePlan['login'], address: HostPort, material: Material): Login | string {
  if (login === undefined) return undefined;
  if (login === 'missing') return 'CREDENTIAL_MISSING';
  const texts = createTextReader(material, login.namespace);
  const [username, password] = [texts.read(login.username), texts.read(login.password)];
  if (username === undefined || password === undefined) return 'CREDENTIAL_MISSING';
  const isForbidden = (ref: TextRef): boolean => {
    const hosts = material.secretHosts?.(secretOf(ref, login.namespace) ?? '');
    return hosts !== undefined && !isAllowedHost(hosts, address);
  };
  return isForbidden(login.username) || isForbidden(login.password) ? 'HOST_NOT_ALLOWED' : { username, password };
}
