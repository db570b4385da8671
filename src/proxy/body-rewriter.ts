/** A body that is held, up to a bound, so that the names of the back end in it can be replaced (P12). */

import type { BodyRewriting } from '../decision/body-rewriting.ts';

export type { BodyRewriting };

export class BodyRewriter {
  readonly pieces: Buffer[] = [];
  size = 0;
  readonly #plan: BodyRewriting;

  constructor(plan: BodyRewriting) {
    this.#plan = plan;
  }

  get onOversize(): BodyRewriting['onOversize'] {
    return this.#plan.onOversize;
  }

  /** False: the body is larger than may be held. The piece is kept all the same. */
  push(slice: Uint8Array): boolean {
    // A copy: the slice may stand in a buffer that is larger than it.
    this.pieces.push(Buffer.from(slice));
    this.size += slice.length;
    return this.size <= this.#plan.maxBytes;
  }

  /** Undefined: it would grow too large. */
  rewritten(): string | undefined {
    return this.#plan.rewrite(Buffer.concat(this.pieces, this.size).toString('latin1', 0, this.size));
  }
}
