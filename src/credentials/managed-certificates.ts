/**
 * `meshCertificate.managed`: certificates that the controller signs for keys made here. Renewed from a third of their life
 * on, with jitter; the old one stays in force until the new one is there, and without one at all the credential is missing.
 */
import { X509Certificate } from 'node:crypto';
import type { ObjectKey } from '../api/object.ts';
import type { Log } from '../telemetry/telemetry.ts';
import { requestCertificate } from './certificate-request.ts';
import { readPair, type ClientCertificate } from './key-pair.ts';
import type { HeldPair } from './pair-files.ts';

/** Asks the controller. Rejects when there is no certificate; `retryAfterMs` of the error is respected. */
export type SignCertificate = (request: string, credential: ObjectKey) => Promise<{ readonly certificate: string }>;

/** Where pairs survive a restart of the container: a volume in memory. Holds private keys. */
export interface PairStore {
  load(credential: ObjectKey): Promise<{ readonly certificate: string; readonly key: string } | undefined>;
  save(credential: ObjectKey, pair: { readonly certificate: string; readonly key: string }): Promise<void>;
}

export interface ManagedOptions {
  readonly sign: SignCertificate;
  readonly store?: PairStore;
  readonly log: Log;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** Runs something later; the answer cancels it. Default: a timer that does not keep the process alive. */
  readonly later?: (milliseconds: number, run: () => void) => () => void;
  /** Another certificate, or none, is in force. */
  readonly onChange: () => void;
}

export interface ManagedCertificates {
  /** The certificate of a credential; asked for when it is first named. `lifetime` in milliseconds: another one is asked for anew. */
  hold(credential: ObjectKey, lifetime: number): HeldPair;
  /** Forgets the others. */
  retain(credentials: ReadonlySet<ObjectKey>): void;
  close(): void;
}

const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 300_000;
const ALARM_MS = 24 * 3_600_000;
/** Longest delay of a timer of Node. */
const LONGEST_MS = 2 ** 31 - 1;

export function createManagedCertificates(options: ManagedOptions): ManagedCertificates {
  const held = new Map<ObjectKey, Managed>();
  return {
    hold(credential, lifetime) {
      const known = held.get(credential);
      if (known?.lifetime === lifetime) return known.state();
      // The old certificate serves until the one of the new lifetime is there.
      const next = createManaged(options, credential, lifetime, known?.state().pair);
      known?.close();
      held.set(credential, next);
      return next.state();
    },
    retain(credentials) {
      for (const [credential, managed] of held) {
        if (credentials.has(credential)) continue;
        managed.close();
        held.delete(credential);
      }
    },
    close() {
      for (const managed of held.values()) managed.close();
      held.clear();
    },
  };
}

interface Managed {
  readonly lifetime: number;
  state(): HeldPair;
  close(): void;
}

function createManaged(
  options: ManagedOptions,
  credential: ObjectKey,
  lifetime: number,
  inherited: ClientCertificate | undefined,
): Managed {
  const { log, clock, random, store, onChange } = options;
  const later = options.later ?? laterUnreferenced;
  let pair = inherited;
  let failures = 0;
  let closed = false;
  let cancel = (): void => undefined;
  let cancelExpiry = (): void => undefined;

  const schedule = (milliseconds: number, run: () => void): (() => void) =>
    later(Math.min(LONGEST_MS, Math.max(0, milliseconds)), run);

  function install(next: ClientCertificate): void {
    const isOther = pair?.sha256 !== next.sha256;
    pair = next;
    cancelExpiry();
    cancelExpiry = schedule(next.notAfter - clock(), expire);
    if (isOther && !closed) onChange();
  }

  /** An app would refuse it in the handshake: 503 CredentialUnavailable says what is wrong. */
  function expire(): void {
    if (pair === undefined || closed) return;
    if (pair.notAfter > clock()) return install(pair);
    log.error({ credential, code: 'EXPIRED' }, 'the mesh certificate has expired and was not renewed');
    pair = undefined;
    onChange();
  }

  function planRenewal(certificate: ClientCertificate): void {
    const life = certificate.notAfter - readNotBefore(certificate);
    const third = readNotBefore(certificate) + life / 3 - clock();
    cancel = schedule(third + random() * (life / 12), () => void renew());
  }

  async function renew(): Promise<void> {
    const { request, key } = requestCertificate();
    try {
      const { certificate } = await options.sign(request, credential);
      const reading = readPair(certificate, key);
      if ('problem' in reading) throw new Error(`the controller’s certificate cannot be used: ${reading.problem}`);
      if (closed) return;
      const { sha256, notAfter } = reading.pair;
      failures = 0;
      log.info({ credential, sha256, notAfter: new Date(notAfter).toISOString() }, 'a mesh certificate was issued');
      install(reading.pair);
      planRenewal(reading.pair);
      await store?.save(credential, { certificate, key });
    } catch (error) {
      if (!closed) retry(error);
    }
  }

  function retry(error: unknown): void {
    failures += 1;
    const problem = error instanceof Error ? error.message : 'no certificate came';
    const left = pair === undefined ? 0 : pair.notAfter - clock();
    const fields = { credential, problem, failures, secondsLeft: Math.round(left / 1000) };
    // Short lives are for tests and for those who want them: the alarm leaves them two thirds of it.
    if (left < Math.min(ALARM_MS, lifetime / 3)) log.error(fields, 'the mesh certificate is not renewed');
    else log.warn(fields, 'the mesh certificate is not renewed yet');
    const backoff = Math.min(LAST_RETRY_MS, lifetime / 20, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10));
    cancel = schedule(Math.max(readRetryAfter(error), backoff * (0.5 + random() / 2)), () => void renew());
  }

  async function begin(): Promise<void> {
    const stored = pair === undefined ? await store?.load(credential) : undefined;
    const reading = stored === undefined ? undefined : readPair(stored.certificate, stored.key);
    if (closed) return;
    if (reading === undefined || 'problem' in reading || reading.pair.notAfter <= clock()) return renew();
    install(reading.pair);
    planRenewal(reading.pair);
  }

  void begin();
  return {
    lifetime,
    state: () => ({ pair, problem: pair === undefined ? 'MISSING' : undefined }),
    close() {
      closed = true;
      cancel();
      cancelExpiry();
    },
  };
}

const readNotBefore = ({ certificate }: ClientCertificate): number =>
  new X509Certificate(certificate).validFromDate.getTime();

function readRetryAfter(error: unknown): number {
  if (typeof error !== 'object' || error === null || !('retryAfterMs' in error)) return 0;
  return typeof error.retryAfterMs === 'number' ? error.retryAfterMs : 0;
}

function laterUnreferenced(milliseconds: number, run: () => void): () => void {
  const timer = setTimeout(run, milliseconds).unref();
  return () => clearTimeout(timer);
}
