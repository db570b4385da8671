/**
 * The mesh CA over its life, as a state that is kept in one Secret: what signs, what will sign next and is published
 * before it does, and what signed before and is trusted until it ends. Pure but for the keys that are made.
 */
import {
  BACKDATE_MS,
  makeMeshAuthority,
  readMeshAuthority,
  type MakeAuthorityOptions,
  type MeshAuthority,
} from './mesh-authority.ts';
import { parsePem, encodePem } from '../x509/pem.ts';
import { MAX_CERTIFICATE_BYTES, parseCertificate } from '../x509/certificate.ts';

export interface MeshCa {
  readonly signing: MeshAuthority;
  /** Published, so that apps trust it before it signs. */
  readonly next?: MeshAuthority;
  /** PEM: what signed before, without what has ended. */
  readonly previous: string;
  /** PEM: what apps should trust above `signing` when that is an intermediate of the user's. */
  readonly roots?: string;
}

/** Every CA that apps should trust now, PEM. */
export const bundleOf = ({ signing, next, previous, roots }: MeshCa): string =>
  (roots ?? signing.certificate) + (next?.certificate ?? '') + previous;

export interface MeshCaTimings {
  /** Of a CA. A third of it before its end the next one signs. */
  readonly lifetimeMs: number;
  /** How long the next one is published before it signs. */
  readonly overlapMs: number;
}

export const MESH_CA_TIMINGS: MeshCaTimings = { lifetimeMs: 365 * 86_400_000, overlapMs: 86_400_000 };

type Making = Pick<MakeAuthorityOptions, 'now' | 'random'> & { readonly timings: MeshCaTimings };

export const createMeshCa = ({ now, random, timings }: Making): MeshCa => ({
  signing: makeMeshAuthority({ now, random, lifetimeMs: timings.lifetimeMs }),
  previous: '',
});

/** The state that should be now; undefined: the one that is. */
export function rotateMeshCa(ca: MeshCa, { now, random, timings }: Making): MeshCa | undefined {
  const { signing, next, previous } = ca;
  const kept = dropEnded(previous, now);
  const renewAt = signing.notAfter - timings.lifetimeMs / 3;
  if (next !== undefined) {
    // Late is better than too early: whoever does not trust the next one yet would refuse what it signs.
    const isDue = now >= renewAt && now >= publishedAt(next) + timings.overlapMs;
    if (isDue || now >= signing.notAfter) return { signing: next, previous: signing.certificate + kept };
  } else if (now >= renewAt - timings.overlapMs) {
    return { signing, next: makeMeshAuthority({ now, random, lifetimeMs: timings.lifetimeMs }), previous: kept };
  }
  return kept === previous ? undefined : { ...ca, previous: kept };
}

/** When to look again. */
export function nextRotation({ signing, next }: MeshCa, timings: MeshCaTimings): number {
  const renewAt = signing.notAfter - timings.lifetimeMs / 3;
  return next === undefined ? renewAt - timings.overlapMs : Math.max(renewAt, publishedAt(next) + timings.overlapMs);
}

const publishedAt = ({ notBefore }: MeshAuthority): number => notBefore + BACKDATE_MS;

function dropEnded(bundle: string, now: number): string {
  return parsePem(bundle, MAX_CERTIFICATE_BYTES)
    .filter(({ der }) => parseCertificate(der).notAfter >= now)
    .map(({ label, der }) => encodePem(label, der))
    .join('');
}

/** Data of the Secret, as text. */
export function writeMeshCa({ signing, next, previous }: MeshCa): Readonly<Record<string, string>> {
  return {
    'ca.crt': signing.certificate,
    'ca.key': signing.key,
    ...(next === undefined ? {} : { 'next.crt': next.certificate, 'next.key': next.key }),
    ...(previous === '' ? {} : { 'previous.crt': previous }),
  };
}

/** @throws Error that says what is wrong, and holds nothing of a key */
export function readMeshCa(data: Readonly<Record<string, string>>): MeshCa {
  const read = (name: 'ca' | 'next'): MeshAuthority | undefined => {
    const [certificate, key] = [data[`${name}.crt`], data[`${name}.key`]];
    if (certificate === undefined && key === undefined) return undefined;
    return readMeshAuthority(certificate ?? '', key ?? '');
  };
  const [signing, next] = [read('ca'), read('next')];
  if (signing === undefined) throw new Error('it has no ca.crt and ca.key');
  return { signing, previous: data['previous.crt'] ?? '', ...(next === undefined ? {} : { next }) };
}

/**
 * A Secret of type kubernetes.io/tls with an intermediate of the user's: `tls.crt` (the intermediate first), `tls.key`, and
 * in `ca.crt` the roots that apps should trust; without that the last certificate of `tls.crt`.
 * @throws Error that says what is wrong, and holds nothing of the key
 */
export function readGivenCa(data: Readonly<Record<string, string>>): MeshCa {
  const chain = data['tls.crt'] ?? '';
  const signing = readMeshAuthority(chain, data['tls.key'] ?? '');
  const last = parsePem(chain, MAX_CERTIFICATE_BYTES).at(-1);
  const roots = data['ca.crt'] ?? (last === undefined ? '' : encodePem(last.label, last.der));
  return { signing, previous: '', roots };
}
