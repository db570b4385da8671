/**
 * TCP ports that listen on more than loopback beside the sidecar's own: where nothing is redirected (explicit mode), whoever
 * reaches the pod reaches them unjudged.
 */

export interface ListeningSocket {
  /** Bytes in hex, network order: 8 or 32 digits. */
  readonly address: string;
  readonly port: number;
}

/** Of /proc/net/tcp and tcp6 (proc(5)): TCP_LISTEN. */
const LISTENING = '0A';

/** Pure. `text` is /proc/net/tcp or /proc/net/tcp6; lines that cannot be read are left out. Little-endian machines. */
export function readListeningSockets(text: string): readonly ListeningSocket[] {
  const sockets: ListeningSocket[] = [];
  for (const line of text.split('\n')) {
    const match = /^\s*\d+:\s+([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})\s+[0-9A-F]+:[0-9A-F]{4}\s+([0-9A-F]{2})\s/.exec(
      line,
    );
    const [, words = '', port = '', state] = match ?? [];
    if (state === LISTENING) sockets.push({ address: swapWords(words), port: parseInt(port, 16) });
  }
  return sockets;
}

/** The kernel prints each 32-bit word as the machine holds it. */
function swapWords(text: string): string {
  const words = text.toLowerCase().match(/.{8}/g) ?? [];
  return words.map(word => (word.match(/../g) ?? []).reverse().join('')).join('');
}

const V4_MAPPED = '00000000000000000000ffff';
const isLoopback = (address: string): boolean => {
  const plain = address.startsWith(V4_MAPPED) ? address.slice(V4_MAPPED.length) : address;
  return plain.length === 8 ? plain.startsWith('7f') : plain === '00000000000000000000000000000001';
};

/** Ports, rising. `own` are the sidecar's own addresses. Pure. */
export function findExposedPorts(
  sockets: readonly ListeningSocket[],
  own: readonly ListeningSocket[],
): readonly number[] {
  const known = new Set(own.map(({ address, port }) => `${address} ${port}`));
  const exposed = sockets.filter(({ address, port }) => !isLoopback(address) && !known.has(`${address} ${port}`));
  return [...new Set(exposed.map(({ port }) => port))].sort((a, b) => a - b);
}

export interface ExposedPorts {
  /** As last looked at. */
  ports(): readonly number[];
  /** Looks now; never throws. */
  look(): Promise<void>;
  start(): void;
  stop(): void;
}

export interface ExposedPortsOptions {
  readonly readFile: (path: string) => Promise<string>;
  /** What the sidecar itself has bound by now. */
  readonly own: () => readonly ListeningSocket[];
  /** The ports are others than before. */
  readonly onChange: (ports: readonly number[]) => void;
  readonly everyMs?: number;
}

const LOOK_EVERY_MS = 10_000;
const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'] as const;

export function createExposedPorts({
  readFile,
  own,
  onChange,
  everyMs = LOOK_EVERY_MS,
}: ExposedPortsOptions): ExposedPorts {
  let ports: readonly number[] = [];
  let timer: NodeJS.Timeout | undefined;
  const look = async (): Promise<void> => {
    // Without IPv6 there is no tcp6.
    const texts = await Promise.all(TABLES.map(path => readFile(path).catch(() => '')));
    const now = findExposedPorts(texts.flatMap(readListeningSockets), own());
    const changed = now.join() !== ports.join();
    ports = now;
    if (changed) onChange(now);
  };
  return {
    ports: () => ports,
    look,
    start: () => {
      timer ??= setInterval(() => void look(), everyMs).unref();
    },
    stop: () => {
      clearInterval(timer);
      timer = undefined;
    },
  };
}
