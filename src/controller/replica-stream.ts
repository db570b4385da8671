/** What one replica tells another of its pods: everything at first, then what changes, as lines of JSON. */
import type { ServerHttp2Stream } from 'node:http2';
import { encodeLine } from '../material/lines.ts';
import type { AcknowledgementRegistry, ToldState } from './acknowledgement-registry.ts';

export type FromReplica =
  | {
      readonly type: 'states';
      /** Forget what this stream told before. */
      readonly full: boolean;
      readonly states: readonly ToldState[];
      /** Pods of which nothing is known any more. */
      readonly gone: readonly string[];
    }
  | { readonly type: 'ping' };

/** Changes of so long go together. */
const GATHER_MS = 200;
/** Pods in one line. */
const MOST_STATES = 200;
/** A reader that lags is told again when it has read what it has. */
const MOST_BUFFERED = 4 * 1024 * 1024;

/** Returns how to end it. */
export function openReplicaStream(
  stream: ServerHttp2Stream,
  registry: AcknowledgementRegistry,
  { pingMs }: { readonly pingMs: number },
): () => void {
  const changed = new Set<string>();
  let gathering: NodeJS.Timeout | undefined;
  const write = (message: FromReplica): void => {
    if (stream.writable) stream.write(encodeLine(message));
  };
  const gather = (): void => {
    gathering ??= setTimeout(flush, GATHER_MS);
  };

  function flush(): void {
    gathering = undefined;
    if (stream.writableLength > MOST_BUFFERED) return gather();
    const uids = [...changed].slice(0, MOST_STATES);
    uids.forEach(uid => changed.delete(uid));
    const told = uids.map(uid => [uid, registry.tellOne(uid)] as const);
    const states = told.flatMap(([, state]) => (state === undefined ? [] : [state]));
    const gone = told.flatMap(([uid, state]) => (state === undefined ? [uid] : []));
    if (uids.length > 0) write({ type: 'states', full: false, states, gone });
    if (changed.size > 0) gather();
  }

  const unsubscribe = registry.subscribe(uid => {
    changed.add(uid);
    gather();
  });
  const ping = setInterval(() => write({ type: 'ping' }), pingMs);
  stream.resume();
  stream.once('close', () => {
    unsubscribe();
    clearInterval(ping);
    clearTimeout(gathering);
  });
  write({ type: 'states', full: true, states: [], gone: [] });
  for (const { uid } of registry.tell()) changed.add(uid);
  gather();
  return () => stream.end();
}
