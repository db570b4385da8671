/** Raw sockets for tests: a client that sees every byte, and an app that answers as a test says. */
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';

/** Everything that came, and how it ended. */
export class Wire {
  readonly socket: Socket;
  received = '';
  ended = false;
  closed = false;
  reset = false;
  #look: (() => void)[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1');
      this.#wake();
    });
    socket.on('end', () => {
      this.ended = true;
      this.#wake();
    });
    socket.on('error', () => {
      this.reset = true;
    });
    socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
  }

  #wake(): void {
    for (const look of this.#look.splice(0)) look();
  }

  send(text: string): this {
    this.socket.write(text, 'latin1');
    return this;
  }

  /** Waits until what came fits, and takes everything up to the end of the fit. Fails when the wire ends before. */
  async take(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = pattern.exec(this.received);
      if (found !== null) {
        const end = found.index + found[0].length;
        const taken = this.received.slice(0, end);
        this.received = this.received.slice(end);
        return taken;
      }
      if (this.closed || this.ended) throw new Error(`ended without ${pattern.source}: ${this.received}`);
      await this.#change();
    }
  }

  /** One answer: head, and a body of the length told. */
  async takeAnswer(): Promise<{ status: number; head: string; body: string }> {
    const head = await this.take(/\r\n\r\n/);
    const status = Number(head.slice(9, 12));
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
    const body = length === 0 ? '' : await this.take(new RegExp(`^[^]{${length}}`));
    return { status, head, body };
  }

  /** Waits for the other side's FIN or the end of the connection; what came until then. */
  async takeAll(): Promise<string> {
    while (!this.ended && !this.closed) await this.#change();
    const all = this.received;
    this.received = '';
    return all;
  }

  async gone(): Promise<void> {
    while (!this.closed) await this.#change();
  }

  #change(): Promise<void> {
    return new Promise(resolve => this.#look.push(resolve));
  }
}

export function openWire(port: number): Wire {
  return new Wire(connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true }));
}

export interface App {
  readonly port: number;
  /** Connections in the order in which they came. */
  readonly wires: readonly Wire[];
  /** Waits for the n-th connection (0 is the first). */
  connection(index: number): Promise<Wire>;
  stop(): Promise<void>;
}

/** `behave` gets each connection; nothing: the test speaks for the app. */
export async function startApp(behave: (wire: Wire) => void = () => undefined): Promise<App> {
  const wires: Wire[] = [];
  let look: (() => void)[] = [];
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, socket => {
    const wire = new Wire(socket);
    // Like most apps: whoever hangs up is hung up on.
    socket.on('end', () => socket.end());
    wires.push(wire);
    behave(wire);
    const woken = look;
    look = [];
    for (const wake of woken) wake();
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    wires,
    connection: async index => {
      for (;;) {
        const wire = wires[index];
        if (wire !== undefined) return wire;
        await new Promise<void>(resolve => look.push(resolve));
      }
    },
    stop: async () => {
      for (const { socket } of wires) socket.destroy();
      await new Promise<void>(resolve => server.close(() => resolve()));
    },
  };
}

/** An app that answers every request (without body) with what was asked of it. */
export function echoHeads(wire: Wire): void {
  void (async () => {
    for (;;) {
      const head = await wire.take(/\r\n\r\n/);
      wire.send(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${head.length}\r\n\r\n${head}`);
    }
  })().catch(() => undefined);
}
