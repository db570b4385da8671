/** Asks the controller for a mesh certificate: one request over a connection of its own, since it happens once a day. */
import type { KubeConnection } from '../kube/connection.ts';
import { readText, startCall } from '../kube/exchange.ts';
import { createLocalError } from '../kube/kube-error.ts';
import { createSession } from '../kube/session.ts';
import { BOUNDS, CERTIFICATE_PATH, type CertificateRequest, type CertificateResponse } from './protocol.ts';
import { readCertificateResponse, readRefusal } from './read-controller.ts';

const TIMEOUT_MS = 30_000;

/** @throws KubeError, with `retryAfterMs` where the controller says when to come back */
export async function askForCertificate(
  connection: KubeConnection,
  body: CertificateRequest,
  clock: () => number,
): Promise<CertificateResponse> {
  const session = createSession({ connection: { ...connection, minVersion: 'TLSv1.3' } });
  try {
    const token = await connection.token?.();
    const answer = await startCall(await session.open(), {
      method: 'POST',
      path: CERTIFICATE_PATH,
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(body),
      timeoutMs: TIMEOUT_MS,
    });
    const text = await readText(answer, { timeoutMs: TIMEOUT_MS, maxLength: BOUNDS.toController });
    if (answer.status !== 200) throw readRefusal(answer.status, text, answer.headers['retry-after'], clock());
    return readCertificateResponse(parseJson(text));
  } finally {
    session.close();
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw createLocalError('Protocol', 'the controller: the answer is no JSON');
  }
}
