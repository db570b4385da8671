/** Between the measurement and its processes of simulated sidecars. */

export interface SidecarPlace {
  readonly namespace: string;
  /** Of the pod. */
  readonly labels: Readonly<Record<string, string>>;
  readonly api: { readonly server: string; readonly ca: string; readonly token: string };
  readonly controller: {
    readonly server: string;
    readonly ca: string;
    readonly serverName: string;
    readonly token: string;
  };
}

export type Order =
  | { readonly type: 'start'; readonly sidecars: readonly SidecarPlace[] }
  | { readonly type: 'report' }
  | { readonly type: 'stop' };

/** Sums over the sidecars of one process. */
export interface Report {
  /** Every kind is watched, and what is in force came from there. */
  readonly watching: number;
  /** To the controller. */
  readonly connected: number;
  /** Lists after the first of each kind. */
  readonly relists: number;
  /** When each generation of the cluster policy came into force, milliseconds since the epoch. */
  readonly seen: readonly (readonly [generation: number, at: readonly number[]])[];
}

export const fixedToken = (token: string) => (): Promise<string> => Promise.resolve(token);
