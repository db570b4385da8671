/** Puts the client's own origin where an answer names the back end: in URLs, cookie domains and bodies. */

export interface BackendHosts {
  /** A URL reference as in Location, with those in its query. */
  readonly url: (value: string) => string;
  /** Set-Cookie: `Domain` of the back end becomes the client's host, of a wider internal domain none at all. */
  readonly cookie: (value: string) => string;
  /** Text in which the names may stand anywhere: a body, or a header that lists URLs and hosts. */
  readonly text: (value: string) => string;
  /** Lower-case hosts, one of which stands wherever something is replaced, and the longest text that then stands there. */
  readonly names: readonly string[];
  readonly longest: string;
}

interface Name {
  readonly host: string;
  readonly port: string | undefined;
}

const authorityOf = (name: string): string => name.replace(/^[a-z][a-z0-9+.-]*:\/\//i, '').replace(/[/?#].*$/s, '');

function readName(name: string): Name {
  const authority = authorityOf(name).toLowerCase();
  const [, host = authority, port] = /^(\[[^\]]*\]|[^:]*)(?::([0-9]*))?$/.exec(authority) ?? [];
  return { host, port: port === '' ? undefined : port };
}

/**
 * Whether `rewritten` could differ from `value` for any client: false means that it names nothing of `from`. A wider
 * cookie domain is no name; what becomes of it is the same for all clients.
 */
export function mayNameBackend(from: readonly string[], value: string): boolean {
  const lower = `${value} ${decodeHost(value)}`.toLowerCase();
  return from.some(name => lower.includes(readName(name).host));
}

/**
 * `from` are origins (`http://host:port`) and authorities (`host:port`), longest first, whose scheme does not matter; `to`
 * is an origin, or empty for relative references. A name without a port stands for every port, but a loopback one for none: `http://127.0.0.1:51004/` is
 * where native apps wait for an authorization code (RFC 8252 section 7.3).
 */
export function createBackendHosts(from: readonly string[], to: string): BackendHosts {
  const names = from.map(readName).filter(({ host }) => host !== '');
  const hosts = [...new Set(names.map(({ host }) => host))];
  let rewrite: Rewrite | undefined;
  const replace = (value: string, isReference: boolean): string => {
    const lower = value.toLowerCase();
    if (!hosts.some(host => lower.includes(host))) return value;
    return (rewrite ??= createRewrite(names, to))(value, isReference);
  };
  return {
    url: value => {
      const plain = decodeHost(value);
      const rewritten = replace(plain, true);
      return rewritten === plain ? replace(value, true) : rewritten;
    },
    cookie: createCookieRewriter(hosts, readName(to).host),
    text: value => replace(value, false),
    names: hosts,
    longest: to,
  };
}

/** The authority of a URL reference with its unreserved escapes undone: `a%2Eb` is the host `a.b` (RFC 3986 section 6.2.2.2). */
function decodeHost(value: string): string {
  if (!value.includes('%')) return value;
  return value.replace(/^(?:https?:)?[/\\]{2,}[^/?#\\]*/i, authority =>
    authority.replace(/%(?:2d|2e|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])/gi, sign => decodeURIComponent(sign)),
  );
}

function createCookieRewriter(hosts: readonly string[], to: string): (value: string) => string {
  // A cookie for an address or a single label can have no Domain.
  const domain = /^[0-9.]+$|[:[]/.test(to) || !to.includes('.') ? '' : `; Domain=${to}`;
  return value =>
    value.replace(/;\s*domain\s*=([^;]*)/gi, (attribute: string, name: string) => {
      const told = name
        .trim()
        .toLowerCase()
        .replace(/^"?\.?/, '')
        .replace(/\.?"?$/, '');
      if (hosts.includes(told)) return domain;
      return told !== '' && hosts.some(host => host.endsWith(`.${told}`)) ? '' : attribute;
    });
}

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
const isAddress = (host: string): boolean => /^[0-9.]+$|^\[/.test(host);
const isLoopback = (host: string): boolean => /^127\.[0-9.]+$|^\[::1\]$|(?:^|\.)localhost$/.test(host);
/** What may be replaced outside a URL. A single label or an address is an ordinary word or number there. */
const standsAlone = ({ host, port }: Name): boolean =>
  port !== undefined || (host.includes('.') && !isAddress(host) && !isLoopback(host));

// Percent-encoded once or more (a URL in the query of a URL), and as JSON writes them.
const PERCENT = '%(?:25){0,3}';
const COLON = `(?::|${PERCENT}3a|\\\\u003a)`;
const SLASHES = `(?:[/\\\\]{2,4}|(?:\\\\u002f){2})`;
const ENCODED_SLASHES = `(?:${PERCENT}(?:2f|5c)){2}`;
/** No slash within, of its own form: what is looked through after one `//` is not looked through again after the next. */
const USER = `(?:[^\\s/?#\\\\@"'<>]*@)?`;
const ENCODED_USER = `(?:[^\\s/?#\\\\@"'<>%]*(?:@|${PERCENT}40))?`;
/** No longer name around it: neither `notback.internal` and `sub.back.internal` nor `back.internal.example`. */
const AFTER = '(?!\\.?[a-z0-9-])';
const ENCODED_SIGN = `${PERCENT}(?!2d|3[0-9]|[46][1-9a-f]|[57][0-9a])[0-9a-f]{2}`;
const BEFORE = `(?:(?<![a-z0-9-]|[a-z0-9-]\\.)|(?<=${ENCODED_SIGN}|\\\\[bfnrt]|\\\\u00[0-9a-f]{2}))`;
const ROOT_DOT = '(?:\\.(?=[:/?#\\\\%]))?';

function patternOf({ host, port }: Name): string {
  const name = escape(host) + ROOT_DOT;
  if (port !== undefined) return `${name}${COLON}0*${port}`;
  return isLoopback(host) ? `${name}(?!${COLON}[0-9])` : `${name}(?:${COLON}(?:[0-9]+|(?=[/?#])))?`;
}

type Group = string | undefined;
type Rewrite = (value: string, isReference: boolean) => string;

function createRewrite(names: readonly Name[], to: string): Rewrite {
  const inUrl = names.map(patternOf).join('|');
  const alone = names.filter(standsAlone).map(patternOf).join('|');
  const slashes = `(?:(${SLASHES})${USER}|(${ENCODED_SLASHES})${ENCODED_USER})`;
  const url = `(https?${COLON})?${slashes}(?:${inUrl})${AFTER}`;
  const pattern = new RegExp(alone === '' ? url : `${url}|${BEFORE}(?:${alone})${AFTER}`, 'gi');
  const authority = authorityOf(to);
  return (value, isReference) =>
    value.replace(pattern, (_, scheme: Group, plain: Group, encoded: Group, at: number) => {
      const slashes = plain ?? encoded;
      if (slashes === undefined) return authority;
      const isWhole = scheme !== undefined || to === '' || (isReference && at === 0);
      return isWhole ? encodeLike(slashes, to) : slashes + encodeLike(slashes, authority);
    });
}

/** In the form that the two slashes have: plain, percent-encoded n times, or with the escapes of JSON. */
function encodeLike(slashes: string, text: string): string {
  if (slashes.includes('%')) {
    const [, again = ''] = /^%((?:25)*)/.exec(slashes) ?? [];
    return encodeURIComponent(text).replaceAll('%', `%${again}`);
  }
  return slashes === '\\/\\/' ? text.replaceAll('/', '\\/') : text;
}
