/** One sidecar's stream: lines in, lines out, a ping now and then, and an end that says when to come back. */
import type { ServerHttp2Stream } from 'node:http2';
import { createLineReader, encodeLine } from '../material/lines.ts';
import { BOUNDS, PROTOCOL, TIMING, type Acknowledge, type Bye } from '../material/protocol.ts';
import type { AcknowledgementRegistry, PodVoice } from './acknowledgement-registry.ts';
import type { MaterialHub, Prepared } from './material-hub.ts';
import type { PodFacts } from './pods.ts';
import { readFromSidecar } from './read-sidecar.ts';

export interface StreamTimings {
  readonly pingMs: number;
  readonly silenceMs: number;
  readonly streamMs: number;
  /** Until the first line. */
  readonly helloMs: number;
}

export const STREAM_TIMINGS: StreamTimings = { ...TIMING, helloMs: 10_000 };

export interface MaterialStreamOptions {
  readonly stream: ServerHttp2Stream;
  readonly pod: PodFacts;
  readonly hub: MaterialHub;
  readonly registry: AcknowledgementRegistry;
  /** Whether the pod still lives and carries our sidecar. */
  readonly isEntitled: () => boolean;
  readonly random: () => number;
  readonly timings: StreamTimings;
  readonly onClose: () => void;
}

export interface MaterialStream {
  end(reason: Bye['reason'], retryAfterMs: number): void;
}

/** Hashes that an acknowledgement may name: the sidecar may be a few behind. */
const MOST_HASHES = 32;
const MOST_OBJECTS = 20_000;
/** A sidecar that does not read gets the newest material when it does, not all of them. */
const MOST_BUFFERED = 64 * 1024;

export function openMaterialStream(options: MaterialStreamOptions): MaterialStream {
  const { stream, pod, hub, registry, random, timings } = options;
  const reader = createLineReader(BOUNDS.toController);
  const sent: string[] = [];
  const acknowledged = new Set<string>();
  let voice: PodVoice | undefined;
  let leave = (): void => undefined;
  let unsent: Prepared | undefined;
  let ended = false;

  const write = (line: string): void => {
    if (!ended && stream.writable) stream.write(line);
  };

  function end(reason: Bye['reason'], retryAfterMs: number): void {
    if (ended) return;
    write(encodeLine({ type: 'bye', retryAfterMs, reason } satisfies Bye));
    ended = true;
    stream.end();
    // A peer that does not end its side keeps nothing open.
    setTimeout(() => stream.close(), 2000).unref();
  }

  function sendMaterial(prepared: Prepared): void {
    if (prepared.line.length > BOUNDS.toSidecar) return end('MaterialTooLarge', 60_000);
    if (stream.writableLength > MOST_BUFFERED) {
      unsent = prepared;
      return;
    }
    unsent = undefined;
    sent.push(prepared.hash);
    if (sent.length > MOST_HASHES) sent.shift();
    write(prepared.line);
  }

  function acknowledge(line: Acknowledge): void {
    if (line.full) acknowledged.clear();
    for (const { kind, namespace, name } of line.objects) acknowledged.add(`${kind} ${namespace}/${name}`);
    if (acknowledged.size > MOST_OBJECTS) return end('ProtocolError', 60_000);
    // Of a material that was not sent here nothing is known to be in force.
    voice?.acknowledge(line, line.hash === '' || sent.includes(line.hash));
  }

  function take(message: ReturnType<typeof readFromSidecar>): void {
    if (message === undefined) return end('ProtocolError', 60_000);
    if (message.type === 'hello') {
      if (voice !== undefined || message.protocol !== PROTOCOL) return end('ProtocolError', 60_000);
      clearTimeout(hello);
      voice = registry.open(pod.uid, message.version);
      leave = hub.join(pod, { material: sendMaterial, workload: write });
      return;
    }
    if (voice === undefined) return end('ProtocolError', 60_000);
    voice.heard();
    if (message.type === 'acknowledge') acknowledge(message);
  }

  const hello = setTimeout(() => end('ProtocolError', 1000), timings.helloMs);
  const silence = setTimeout(() => stream.close(), timings.silenceMs);
  const ping = setInterval(() => {
    if (options.isEntitled()) write(encodeLine({ type: 'ping' }));
    else stream.close();
  }, timings.pingMs);
  const life = setTimeout(() => end('Rebalance', 1), timings.streamMs * (1 - random() / 4));

  stream.on('data', (chunk: Uint8Array) => {
    if (ended) return;
    silence.refresh();
    try {
      for (const line of reader.read(chunk)) if (!isEnded()) take(readFromSidecar(line));
    } catch {
      end('ProtocolError', 60_000);
    }
  });
  const isEnded = (): boolean => ended;
  stream.on('drain', () => {
    if (unsent !== undefined) sendMaterial(unsent);
  });
  stream.on('end', () => stream.end());
  stream.on('error', () => undefined);
  stream.once('close', () => {
    ended = true;
    for (const timer of [hello, silence, life]) clearTimeout(timer);
    clearInterval(ping);
    leave();
    voice?.close();
    options.onClose();
  });
  return { end };
}
