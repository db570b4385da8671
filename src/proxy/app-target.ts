/** Where an Api's app is and how it is reached: address, TLS, credential. Worked out once per generation and route. */
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { ServerTrust } from '../api/kinds/shared.ts';
import { objectKey } from '../api/object.ts';
import type { Reason } from '../api/reasons.ts';
import type { Material } from '../material/material.ts';
import { findDestination, type ResolveRule } from '../outbound/resolve.ts';
import type { AppPlan } from '../policy/model.ts';
import type { AppCertificate } from './generation.ts';
import type { SocketAddress } from './options.ts';

export interface AppTls {
  readonly context: SecureContext;
  /** SNI, and the name that the certificate must carry; absent: the address is what it must carry. */
  readonly serverName?: string;
  /** Lower-case hex of the SHA-256 of the app's certificate; instead of a chain and a name. */
  readonly fingerprint?: string;
}

/** Which HTTP is spoken to the app. */
export type Speaks = 'Auto' | 'HTTP1' | 'HTTP2';

export interface AppTarget {
  /** Equal keys may share connections: address, TLS, trust, credential, protocol and clocks are the same. */
  readonly key: string;
  readonly address: SocketAddress;
  readonly tls?: AppTls;
  /** Auto: as ALPN says. */
  readonly speaks: Speaks;
  readonly timeouts: AppPlan['timeouts'];
  /** `app.url` (M4): authority for Host, path prefix, and the dial guard. */
  readonly fixed?: { readonly host: string; readonly path: string };
}

export type FoundTarget = { readonly target: AppTarget } | { readonly reason: Reason; readonly problem: string };

export interface TargetInput {
  readonly app: AppPlan;
  readonly speaks: Speaks;
  readonly credential?: AppCertificate;
  readonly material: Material;
  /** Of `--app`, for the Api's port. */
  readonly address?: SocketAddress;
  readonly resolve: readonly ResolveRule[];
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/;

/** Bad or missing material is a reason, never a weaker target: no plaintext, no public roots. */
export function findTarget(input: TargetInput): FoundTarget {
  const { app, speaks } = input;
  const fixed = app.url === undefined ? undefined : new URL(app.url);
  const dialled = fixed === undefined ? input.address : findUrlAddress(fixed, input.resolve);
  if (dialled === undefined) return { reason: 'AppUnavailable', problem: 'no --app address for the port of this Api' };
  const secure = fixed === undefined ? app.scheme === 'https' : fixed.protocol === 'https:';
  const name = app.serverName ?? (fixed === undefined ? undefined : stripBrackets(fixed.hostname));
  const security = secure ? findSecurity(input, name) : undefined;
  if (security !== undefined && 'reason' in security) return security;
  return {
    target: {
      key: JSON.stringify([
        dialled.host,
        dialled.port,
        security?.key ?? 'plain',
        app.timeouts,
        fixed !== undefined,
        speaks,
      ]),
      address: dialled,
      speaks,
      timeouts: app.timeouts,
      ...(security === undefined ? {} : { tls: security.tls }),
      ...(fixed === undefined ? {} : { fixed: { host: fixed.host, path: fixed.pathname } }),
    },
  };
}

function findUrlAddress(url: URL, resolve: readonly ResolveRule[]): SocketAddress {
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
  return findDestination(resolve, stripBrackets(url.hostname), port);
}

const stripBrackets = (host: string): string => host.replace(/^\[|\]$/g, '');

type Security = { readonly key: string; readonly tls: AppTls } | Extract<FoundTarget, { reason: Reason }>;

function findSecurity({ app, credential, material }: TargetInput, name: string | undefined): Security {
  const ca = app.trust === undefined ? undefined : readTrust(app.trust, app.namespace, material);
  if (app.trust !== undefined && ca === undefined) {
    return { reason: 'CredentialUnavailable', problem: 'the CA certificates that app.trust names cannot be read' };
  }
  const fingerprint = app.fingerprint
    ?.replace(/^sha256:/, '')
    .replaceAll(':', '')
    .toLowerCase();
  // Without either, Node would trust the public roots.
  if (ca === undefined && fingerprint === undefined) {
    return { reason: 'CredentialUnavailable', problem: 'an https app needs trust or fingerprint' };
  }
  const context = createAppContext(ca, credential);
  if (context === undefined) return { reason: 'CredentialUnavailable', problem: 'trust or credential cannot be used' };
  const key = [ca === SYSTEM_ROOTS ? 'systemRoots' : ca, fingerprint, name, credential?.sha256];
  return {
    key: JSON.stringify(key),
    tls: {
      context,
      ...(name === undefined || isIP(name) !== 0 ? {} : { serverName: name }),
      ...(fingerprint === undefined ? {} : { fingerprint }),
    },
  };
}

const SYSTEM_ROOTS = Symbol('system roots');

function createAppContext(
  ca: string | typeof SYSTEM_ROOTS | undefined,
  credential: AppCertificate | undefined,
): SecureContext | undefined {
  try {
    return createSecureContext({
      minVersion: 'TLSv1.2',
      // With a fingerprint nothing is a CA: the list is empty, not absent, which would be the public roots.
      ...(ca === SYSTEM_ROOTS ? {} : { ca: ca === undefined ? [] : [ca] }),
      ...(credential === undefined ? {} : { cert: credential.certificate, key: credential.key }),
    });
  } catch {
    return undefined;
  }
}

/** The PEM text of the CA bundle; undefined when it is missing, empty or no certificate. */
function readTrust(
  trust: ServerTrust,
  namespace: string,
  material: Material,
): string | typeof SYSTEM_ROOTS | undefined {
  if (trust.systemRoots === true) return SYSTEM_ROOTS;
  const ref = trust.configMapKeyRef ?? trust.secretKeyRef;
  if (ref === undefined) return undefined;
  const key = objectKey(ref.namespace ?? namespace, ref.name);
  const data = trust.configMapKeyRef === undefined ? material.secret(key) : material.configMap(key);
  const bytes = data?.get(ref.key);
  if (bytes === undefined || bytes.length > 1024 * 1024) return undefined;
  const pem = Buffer.from(bytes).toString('latin1');
  return isCertificate(pem) ? pem : undefined;
}

function isCertificate(pem: string): boolean {
  const first = PEM_CERTIFICATE.exec(pem)?.[0];
  if (first === undefined) return false;
  try {
    return new X509Certificate(first).raw.length > 0;
  } catch {
    return false;
  }
}
