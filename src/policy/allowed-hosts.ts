/** The annotation `sallyport.dev/allowed-hosts` of a Secret: to which hosts what it holds may be presented. */
import type { ApiApp } from '../api/kinds/api.ts';

export const ALLOWED_HOSTS = 'sallyport.dev/allowed-hosts';

export interface HostPort {
  /** Lower case, an address without brackets. */
  readonly name: string;
  readonly port: number | undefined;
}

const MOST_HOSTS = 64;

/** `a.example, *.b.example, c.example:8443`. An annotation that names nobody allows nobody. */
export function parseAllowedHosts(annotation: string): readonly string[] {
  const names = annotation.split(',').map(name => name.trim().toLowerCase().replace(/\.$/, ''));
  return names.filter(name => name !== '').slice(0, MOST_HOSTS);
}

/** Whether one of the names is the host: exactly, or by a first label `*`; a name with a port is for that port only. */
export function isAllowedHost(allowed: readonly string[], { name, port }: HostPort): boolean {
  return allowed.some(entry => {
    const [, host = entry, number] = /^(.*):([0-9]+)$/.exec(entry) ?? [];
    if (number !== undefined && Number(number) !== port) return false;
    if (!host.startsWith('*.')) return host === name;
    const dot = name.indexOf('.');
    return dot > 0 && name.slice(dot) === host.slice(1);
  });
}

/** The host that an Api's app is: of app.url, else serverName, else `localhost`, since it runs in the same pod. */
export function hostOfApp({ url, serverName }: Pick<ApiApp, 'url' | 'serverName'>): HostPort {
  if (url !== undefined) return hostOfUrl(url);
  return { name: (serverName ?? 'localhost').toLowerCase(), port: undefined };
}

/** Of an http or https URL that was checked. */
export function hostOfUrl(url: string): HostPort {
  const [, scheme = '', authority = ''] = /^(https?):\/\/([^/?#]*)/i.exec(url) ?? [];
  const [, host = authority, port] = /^(\[[^\]]*\]|[^:]*)(?::([0-9]*))?$/.exec(authority) ?? [];
  const name = host
    .toLowerCase()
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '');
  if (port !== undefined && port !== '') return { name, port: Number(port) };
  return { name, port: scheme.toLowerCase() === 'https' ? 443 : 80 };
}
