/** Puts the client's own origin where an answer names the back end: in URLs, lists of links, cookie domains and bodies. */

export interface BackendHosts {
  /** A URL reference as in Location; what does not name the back end stays as it is. */
  readonly url: (value: string) => string;
  /** RFC 8288: the targets between `<` and `>`. */
  readonly link: (value: string) => string;
  /** `5; url=…` */
  readonly refresh: (value: string) => string;
  /** Set-Cookie: `Domain` of the back end becomes the client's host, of a wider internal domain none at all. */
  readonly cookie: (value: string) => string;
  /** Text in which the names may stand anywhere. */
  readonly text: (value: string) => string;
}

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
const hasScheme = (name: string): boolean => name.includes('://');
const authorityOf = (name: string): string => name.replace(/^[a-z][a-z0-9+.-]*:\/\//i, '').replace(/[/?#].*$/s, '');
const hostOf = (name: string): string =>
  authorityOf(name)
    .replace(/:[0-9]+$/, '')
    .toLowerCase();

/** `from` are origins (`http://host:port`) and authorities (`host:port`), longest first; `to` is an origin. */
export function createBackendHosts(from: readonly string[], to: string): BackendHosts {
  const urls = from.map(createUrlRewriter(to));
  const url = (value: string): string => {
    for (const rewrite of urls) {
      const rewritten = rewrite(value);
      if (rewritten !== undefined) return rewritten;
    }
    return value;
  };
  return {
    url,
    link: value => value.replace(/<([^<>]*)>/g, (_, target: string) => `<${url(target)}>`),
    refresh: value =>
      value.replace(/^([^;,]*[;,]\s*url\s*=\s*)(['"]?)(.*?)\2$/is, (_, start: string, quote: string, target: string) =>
        [start, quote, url(target), quote].join(''),
      ),
    cookie: createCookieRewriter(from.map(hostOf), hostOf(to)),
    text: createTextRewriter(from, to),
  };
}

/** The name must end where an authority ends: `http://app.evil.example` is not the back end `app`. */
function createUrlRewriter(to: string): (name: string) => (value: string) => string | undefined {
  return name => {
    const scheme = hasScheme(name) ? '' : '(?:[a-z][a-z0-9+.-]*:)?\\/\\/';
    const port = /:[0-9]+(?:[/?#]|$)/.test(authorityOf(name)) ? '' : '(?::[0-9]*)?';
    const pattern = new RegExp(`^${scheme}${escape(name.replace(/\/$/, ''))}${port}(?=[/?#]|$)`, 'i');
    return value => (pattern.test(value) ? to + value.replace(pattern, '') : undefined);
  };
}

function createCookieRewriter(hosts: readonly string[], to: string): (value: string) => string {
  // A cookie for an address or a single label can have no Domain.
  const domain = /^[0-9.]+$|[:[]/.test(to) || !to.includes('.') ? '' : `; Domain=${to}`;
  return value =>
    value.replace(/;\s*domain\s*=\s*\.?([^;]*)/gi, (attribute: string, name: string) => {
      const told = name.trim().toLowerCase();
      if (hosts.includes(told)) return domain;
      return hosts.some(host => host.endsWith(`.${told}`)) ? '' : attribute;
    });
}

/**
 * A bare name is replaced where it stands for itself, not within a longer one. A single label without a port is an
 * ordinary word and is replaced in URLs only.
 */
function createTextRewriter(from: readonly string[], to: string): (value: string) => string {
  const replacements = new Map<string, string>();
  for (const name of from) {
    const lower = name.toLowerCase();
    if (hasScheme(name)) replacements.set(lower, to);
    else {
      replacements.set(`http://${lower}`, to).set(`https://${lower}`, to);
      if (/[.:]/.test(name)) replacements.set(lower, authorityOf(to));
    }
  }
  const names = [...replacements.keys()].sort((a, b) => b.length - a.length);
  if (names.length === 0) return value => value;
  const pattern = new RegExp(`(?<![a-z0-9-])(?:${names.map(escape).join('|')})(?![a-z0-9-])`, 'gi');
  return value => value.replace(pattern, name => replacements.get(name.toLowerCase()) ?? name);
}
