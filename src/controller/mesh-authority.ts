/** A mesh CA’s key and certificate, and what it signs: certificates by which apps know their sidecars. */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { MAX_CERTIFICATE_BYTES, parseCertificate, type Certificate } from '../x509/certificate.ts';
import { encodePem, parsePem } from '../x509/pem.ts';
import {
  authorityKeyIdentifier,
  basicConstraints,
  extendedKeyUsage,
  keyUsage,
  subjectAlternativeName,
  subjectKeyIdentifier,
  writeCertificate,
  writeName,
  type Signer,
} from '../x509/write.ts';

/** Clocks that are a little behind must not refuse what was just made. */
export const BACKDATE_MS = 5 * 60_000;

export interface MeshAuthority {
  /** PEM: the certificate, then those above it without the root. A self-signed one alone. */
  readonly certificate: string;
  /** PEM, PKCS #8. */
  readonly key: string;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface MakeAuthorityOptions {
  readonly now: number;
  readonly lifetimeMs: number;
  readonly random: (size: number) => Uint8Array;
}

export function makeMeshAuthority({ now, lifetimeMs, random }: MakeAuthorityOptions): MeshAuthority {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = exportSpki(publicKey);
  const id = identifyKey(spki);
  // Two roots of one name would be told apart by their key identifiers alone, which not every verifier looks at.
  const name = writeName({
    organization: 'sallyport.dev',
    commonName: `mesh ${Buffer.from(id.subarray(0, 4)).toString('hex')}`,
  });
  const [notBefore, notAfter] = [now - BACKDATE_MS, now + lifetimeMs];
  const der = writeCertificate(
    {
      serial: random(16),
      issuer: name,
      subject: name,
      notBefore,
      notAfter,
      publicKey: spki,
      extensions: [basicConstraints({ pathLength: 0 }), keyUsage('keyCertSign', 'cRLSign'), subjectKeyIdentifier(id)],
    },
    createSigner(privateKey),
  );
  return readMeshAuthority(
    encodePem('CERTIFICATE', der),
    privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  );
}

/** @throws Error that says what is wrong with them, and holds nothing of the key */
export function readMeshAuthority(certificate: string, key: string): MeshAuthority {
  const [first] = parsePem(certificate, MAX_CERTIFICATE_BYTES).filter(({ label }) => label === 'CERTIFICATE');
  if (first === undefined) throw new Error('there is no certificate in it');
  const { notBefore, notAfter, spki, extensions } = parseCertificate(first.der);
  if (extensions.basicConstraints?.ca !== true) throw new Error('its certificate is no authority’s');
  if (!Buffer.from(spki).equals(exportSpki(createPublicKey(readKey(key))))) {
    throw new Error('its key does not belong to its certificate');
  }
  return { certificate, key, notBefore, notAfter };
}

function readKey(key: string): KeyObject {
  try {
    return createPrivateKey(key);
  } catch {
    throw new Error('its private key cannot be read');
  }
}

export interface LeafOptions {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  readonly spiffeId: string;
  readonly now: number;
  /** Cut to the end of the authority. */
  readonly lifetimeMs: number;
  readonly random: (size: number) => Uint8Array;
}

export interface MeshLeaf {
  /** PEM, leaf first. */
  readonly certificate: string;
  readonly notAfter: number;
}

/** An X.509-SVID (SPIFFE X509-SVID section 4) for clients only. */
export function signMeshLeaf(authority: MeshAuthority, options: LeafOptions): MeshLeaf {
  const { publicKey, spiffeId, now, lifetimeMs, random } = options;
  const [above] = parsePem(authority.certificate, MAX_CERTIFICATE_BYTES);
  if (above === undefined) throw new Error('the authority has no certificate');
  const issuer = parseCertificate(above.der);
  const notAfter = Math.min(now + lifetimeMs, authority.notAfter);
  const der = writeCertificate(
    {
      serial: random(16),
      issuer: issuer.subject.raw,
      subject: writeName({}),
      notBefore: now - BACKDATE_MS,
      notAfter,
      publicKey,
      extensions: [
        basicConstraints(),
        keyUsage('digitalSignature'),
        extendedKeyUsage('clientAuth'),
        subjectAlternativeName({ uri: [spiffeId] }, true),
        subjectKeyIdentifier(identifyKey(publicKey)),
        authorityKeyIdentifier(keyIdOf(issuer)),
      ],
    },
    createSigner(createPrivateKey(authority.key)),
  );
  const chain = issuer.issuer.key === issuer.subject.key ? '' : authority.certificate;
  return { certificate: encodePem('CERTIFICATE', der) + chain, notAfter: Math.floor(notAfter / 1000) * 1000 };
}

const exportSpki = (key: KeyObject): Uint8Array => new Uint8Array(key.export({ type: 'spki', format: 'der' }));

/** As its own certificate says, so that chains are found by it. */
function keyIdOf({ extensions, spki }: Certificate): Uint8Array {
  const { subjectKeyId } = extensions;
  return subjectKeyId === undefined ? identifyKey(spki) : new Uint8Array(Buffer.from(subjectKeyId, 'hex'));
}

/** RFC 7093, method 1. */
const identifyKey = (spki: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('sha256').update(spki).digest().subarray(0, 20));

function createSigner(key: KeyObject): Signer {
  const [algorithm, hash] = chooseAlgorithm(key);
  return { algorithm, sign: bytes => new Uint8Array(sign(hash, bytes, key)) };
}

function chooseAlgorithm(key: KeyObject): readonly [Signer['algorithm'], string | null] {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === 'ed25519') return ['ed25519', null];
  if (type === 'rsa') return ['rsa-sha256', 'sha256'];
  if (type === 'ec' && details?.namedCurve === 'prime256v1') return ['ecdsa-sha256', 'sha256'];
  if (type === 'ec' && details?.namedCurve === 'secp384r1') return ['ecdsa-sha384', 'sha384'];
  throw new Error('its key is of a sort that is not supported: use P-256, P-384, RSA or Ed25519');
}
