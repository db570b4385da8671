/** Bodies of requests of sidecars, bounded in size and time. */
import type { ServerHttp2Stream } from 'node:http2';
import type { CertificateRequest } from '../material/protocol.ts';

const BODY_MS = 10_000;

/** The whole body as text; undefined when it is too large, too slow or broken off. */
export function readBody(stream: ServerHttp2Stream, maxBytes: number): Promise<string | undefined> {
  return new Promise(resolve => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    const finish = (text: string | undefined): void => {
      clearTimeout(timer);
      resolve(text);
    };
    const timer = setTimeout(() => finish(undefined), BODY_MS);
    stream.on('data', (chunk: Uint8Array) => {
      size += chunk.length;
      if (size > maxBytes) finish(undefined);
      else chunks.push(chunk);
    });
    stream.once('end', () => finish(Buffer.concat(chunks).toString('utf8')));
    stream.once('close', () => finish(undefined));
  });
}

export function readCertificateRequest(text: string | undefined): CertificateRequest | undefined {
  try {
    const value: unknown = JSON.parse(text ?? '');
    if (typeof value !== 'object' || value === null || !('csr' in value) || typeof value.csr !== 'string') {
      return undefined;
    }
    const credential = 'credential' in value && typeof value.credential === 'string' ? value.credential : undefined;
    return { csr: value.csr, ...(credential === undefined ? {} : { credential }) };
  } catch {
    return undefined;
  }
}
