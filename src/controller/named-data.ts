/** What the controller knows of the Secrets and ConfigMaps that objects name. Values of named keys only. */
import { createHash, X509Certificate } from 'node:crypto';
import type { ObjectKey } from '../api/object.ts';
import type { Lookup } from '../policy/references.ts';

export interface NamedEntry {
  readonly type: string;
  /** Base64, of the keys that are named. */
  readonly data: ReadonlyMap<string, string>;
  /** Of the annotation `sallyport.dev/allowed-hosts`. */
  readonly allowedHosts?: readonly string[];
  /** Labelled `sallyport.dev/use`. */
  readonly released: boolean;
}

export interface NamedData {
  /** null: it does not exist. Undefined: that is not known yet. */
  find(kind: 'Secret' | 'ConfigMap', key: ObjectKey): NamedEntry | null | undefined;
}

/** For the compiler: whether a key exists; what is not known yet counts as there. Values do not get in: status is no place for them. */
export function createExistenceLookup(data: NamedData): Lookup {
  return (kind, key, dataKey) => {
    const entry = data.find(kind, key);
    if (entry === null) return undefined;
    return entry === undefined || entry.data.has(dataKey) ? '' : undefined;
  };
}

export interface CertificateFacts {
  /** Upper-case hex. */
  readonly sha1: string;
  readonly sha256: string;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
}

/** Of the first certificate in PEM or DER; undefined when there is none that can be read. */
export function readCertificate(bytes: Uint8Array): CertificateFacts | undefined {
  try {
    const certificate = new X509Certificate(bytes);
    const digest = (algorithm: string): string =>
      createHash(algorithm).update(certificate.raw).digest('hex').toUpperCase();
    return { sha1: digest('sha1'), sha256: digest('sha256'), notAfter: certificate.validToDate.getTime() };
  } catch {
    return undefined;
  }
}

/** Hosts separated by commas or spaces, lower case; undefined when the annotation is absent. An empty one allows none. */
export function readAllowedHosts(annotation: string | undefined): readonly string[] | undefined {
  if (annotation === undefined) return undefined;
  return annotation
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(host => host !== '');
}
