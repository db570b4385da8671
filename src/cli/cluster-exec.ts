/** Runs a command in a container of a pod, as `kubectl exec -i` does. The input never stands in the command or its audit log. */
import { Readable, Writable } from 'node:stream';
import { readKubeconfig } from '../kube/kubeconfig.ts';
import { isRecord } from '../kube/objects.ts';
import type { ClusterFlags } from './cluster-connection.ts';

export interface ExecCall {
  readonly name: string;
  /** Default: that of the context. */
  readonly namespace?: string;
  readonly container: string;
  readonly command: readonly string[];
  readonly stdin: string;
}

export interface ExecAnswer {
  readonly stdout: string;
  /** Why it failed, in a line; empty: it did not. */
  readonly problem: string;
}

const MOST_OUTPUT = 4 * 1024 * 1024;
const TIMEOUT_MS = 30_000;

export async function execInPod({ context, kubeconfig }: ClusterFlags, call: ExecCall): Promise<ExecAnswer> {
  const [config, { Exec }] = await Promise.all([
    readKubeconfig({
      ...(context === undefined ? {} : { context }),
      ...(kubeconfig === undefined ? {} : { kubeconfig }),
    }),
    import('@kubernetes/client-node/dist/exec.js'),
  ]);
  const namespace = call.namespace ?? config.getContextObject(config.getCurrentContext())?.namespace ?? 'default';
  const [stdout, stderr] = [createSink(), createSink()];
  const { promise, resolve } = Promise.withResolvers<string>();
  const timer = setTimeout(() => resolve(`nothing within ${TIMEOUT_MS / 1000} s`), TIMEOUT_MS);
  try {
    const { name, container, command, stdin } = call;
    const socket: unknown = await new Exec(config).exec(
      namespace,
      name,
      container,
      [...command],
      stdout.stream,
      stderr.stream,
      Readable.from([stdin]),
      false,
      ({ status, message = 'the command failed' }) => resolve(status === 'Success' ? '' : message),
    );
    if (isSocket(socket)) socket.addEventListener('close', () => resolve('the connection ended'));
    const failure = await promise;
    if (isSocket(socket)) socket.close();
    const said = stderr.text().trim().split('\n').slice(0, 3).join('; ');
    return { stdout: stdout.text(), problem: failure === '' ? '' : said === '' ? failure : said };
  } catch (error) {
    return { stdout: '', problem: describeFailure(error) };
  } finally {
    clearTimeout(timer);
  }
}

/** The library says of its sockets only that they are those of another library, which has no types here. */
interface ExecSocket {
  addEventListener(event: 'close', listener: () => void): void;
  close(): void;
}

const isSocket = (value: unknown): value is ExecSocket =>
  typeof value === 'object' && value !== null && 'addEventListener' in value && 'close' in value;

/** The library rejects with the event of the WebSocket, whose message tells the HTTP status. */
function describeFailure(error: unknown): string {
  const message =
    error instanceof Error || isRecord(error) ? (error as { readonly message?: unknown }).message : undefined;
  const text = typeof message === 'string' && message !== '' ? message : 'the API server refused the exec';
  return /\b403\b/.test(text) ? 'you may not create pods/exec' : /\b404\b/.test(text) ? 'there is no such pod' : text;
}

function createSink(): { readonly stream: Writable; readonly text: () => string } {
  const chunks: Buffer[] = [];
  let size = 0;
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      if (size <= MOST_OUTPUT) chunks.push(chunk);
      done();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString('utf8') };
}
