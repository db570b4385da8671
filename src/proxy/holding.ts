/** Waits for a request's body before anything is decided or forwarded: bounded by the step's maxBody and Api.limits.bodyIdle. */
import type { Reason } from '../api/reasons.ts';
import type { ParsedFields, RequestHead } from '../http/message.ts';
import type { Downstream } from './downstream.ts';
import { BodyHold } from './body-hold.ts';
import type { HeldBody } from './evidence-source.ts';

/** The exchange whose body it is. */
export interface Holder {
  readonly client: Downstream;
  readonly head: RequestHead;
  readonly body: { readonly ending: ParsedFields | undefined };
  readonly at: number;
  readonly route: { readonly api: { readonly bodyBytes: number; readonly bodyIdleMs: number } } | undefined;
  /** The request cannot be served, whatever policies say. */
  refuse(reason: Reason): void;
  /** The decision goes on. */
  renewDecision(): void;
}

const BODY_IDLE_MS = 60_000;

export class Holding {
  /** Monotonic time at which the client has been silent for too long; Infinity: nobody waits. */
  deadline = Infinity;
  /** The client was told to go on, whatever the app would say. */
  continued = false;
  readonly #holder: Holder;
  readonly #hold: BodyHold;
  #waiting: { readonly most: number; readonly resolve: (body: HeldBody) => void } | undefined;

  /** `rest`: what came behind the head. */
  constructor(holder: Holder, rest: Buffer | undefined) {
    this.#holder = holder;
    this.#hold = new BodyHold(holder.head);
    if (rest !== undefined) this.#hold.take(rest);
    if (holder.body.ending !== undefined) this.#hold.end();
  }

  get waiting(): boolean {
    return this.#waiting !== undefined;
  }

  get whole(): boolean {
    return this.#hold.whole;
  }

  /** Of a body that is too long, what is here stays for another step, or for the app. */
  hold(wanted: number): HeldBody | Promise<HeldBody> {
    const { head, client, route } = this.#holder;
    const most = Math.min(wanted, route?.api.bodyBytes === 0 ? Infinity : (route?.api.bodyBytes ?? Infinity));
    if (this.#hold.broken) {
      this.#holder.refuse('MalformedRequest');
      return NEVER;
    }
    const ready = this.#read(most);
    if (ready !== undefined) return ready;
    // Whoever waits to be told would wait for ever (RFC 9110 section 10.1.1).
    if (head.expectContinue && !this.continued && this.#hold.size === 0) {
      this.continued = true;
      client.sayContinue();
    }
    this.#touch();
    client.resume();
    return new Promise(resolve => (this.#waiting = { most, resolve }));
  }

  onData(chunk: Buffer): void {
    this.#hold.take(chunk);
    this.#look();
  }

  /** Of a body that has no framing of its own. */
  onEnd(): void {
    this.#hold.end();
    this.#look();
  }

  #look(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const { client } = this.#holder;
    if (this.#hold.broken) return this.#refuse('MalformedRequest');
    if (client.shared.state.overloaded) return this.#refuse('Overloaded');
    this.#touch();
    const ready = this.#read(waiting.most);
    if (ready === undefined) return;
    client.pause();
    this.#stop();
    this.#holder.renewDecision();
    waiting.resolve(ready);
  }

  expire(): void {
    this.#refuse('RequestTimeout');
  }

  /** What is here, as it came. */
  release(): Buffer {
    return this.#hold.release();
  }

  #read(most: number): HeldBody | undefined {
    if (this.#hold.exceeds(most)) return 'too large';
    return this.#hold.whole ? this.#hold.content() : undefined;
  }

  #refuse(reason: Reason): void {
    this.#stop();
    this.#holder.refuse(reason);
  }

  #stop(): void {
    this.#waiting = undefined;
    this.deadline = Infinity;
  }

  #touch(): void {
    this.deadline = this.#holder.at + (this.#holder.route?.api.bodyIdleMs ?? BODY_IDLE_MS);
  }
}

/** Of a request that has been answered: nobody waits for it. */
const NEVER = new Promise<never>(() => undefined);
