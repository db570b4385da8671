/** What a sidecar waits for once, before it is ready for the first time (runtime.md "Lifecycle"). */

export interface WarmUpOptions {
  /** Resolves when keys were asked for, or when that took long enough. */
  readonly ready: () => Promise<void>;
  /** Credentials whose mesh certificate did not come yet; absent: nobody issues any. */
  readonly missingCertificates?: (() => readonly string[]) | undefined;
  /** Runs once, before the first request is likely. */
  readonly onWarm: () => void;
}

export interface WarmUp {
  /** A configuration is in force. */
  begin(): Promise<void>;
  /** Empty for good once everything was there: what is lost later is 503 where it is needed, and no reason to leave service. */
  problems(): readonly string[];
}

export function createWarmUp({ ready, missingCertificates, onWarm }: WarmUpOptions): WarmUp {
  let running: Promise<void> | undefined;
  let isWarm = false;
  let isDone = false;
  return {
    begin: () =>
      (running ??= ready().then(() => {
        isWarm = true;
        onWarm();
      })),
    problems() {
      if (isDone) return [];
      const missing = missingCertificates?.() ?? [];
      isDone = isWarm && missing.length === 0;
      return [
        ...(isWarm ? [] : ['keys are being fetched']),
        ...missing.map(key => `ControllerUnavailable: no mesh certificate for BackendCredential ${key} yet`),
      ];
    },
  };
}
