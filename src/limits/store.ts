/** What a shared store is to limits: scripts on one key, answered soon or not at all. */
import type { SecureContext } from 'node:tls';
import type { Script } from './store-scripts.ts';

export interface Store {
  /**
   * Runs a script on one key.
   * @throws StoreUnavailable when there is no answer within 250 ms, or none was asked for since the store is away
   */
  run(script: Script, key: string, args: readonly string[]): Promise<unknown>;
  /** Resolves when the first attempt to reach it has ended, however. */
  tried(): Promise<void>;
  state(): StoreState;
  close(): Promise<void>;
}

export interface StoreState {
  readonly connected: boolean;
  /** A stable code; empty: the last call was answered. */
  readonly problem: string;
}

/** How it is reached. */
export interface StorePlace {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  readonly database: number;
  /** Absent: no TLS. */
  readonly security?: { readonly context: SecureContext };
  readonly login?: { readonly username: string; readonly password: string };
}

export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable';
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.code = code;
  }
}
