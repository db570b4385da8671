/** Where the app of an Api listens: as the command line says, or, where connections are intercepted, where the client wanted to go. */
import type { AppPlan } from '../policy/model.ts';
import type { AppAddress, ProxyDeps, SocketAddress } from './options.ts';

/** `port` is the Api's; `dialled` the pod's address that the client connected to. Undefined: nobody says. */
export type FindPlace = (
  app: Pick<AppPlan, 'address'>,
  port: number,
  dialled: string | undefined,
) => SocketAddress | undefined;

const LOOPBACK = '127.0.0.1';

export function createPlaceFinder({ apps, interception }: Pick<ProxyDeps, 'apps' | 'interception'>): FindPlace {
  return (app, port, dialled) => {
    const said = findAddress(apps, port);
    if (said !== undefined || interception === undefined) return said;
    // In explicit mode the pod's addresses are the sidecar's.
    if (interception.mode === 'explicit' || app.address === 'Loopback') return { host: LOOPBACK, port };
    // Not loopback: an app that listens there alone stays private unless its Api says otherwise.
    return dialled === undefined ? undefined : { host: dialled, port };
  };
}

/** Where `--app` says that the app of an Api's port listens. */
export function findAddress(apps: readonly AppAddress[], port: number): SocketAddress | undefined {
  return apps.find(app => app.apiPort === port) ?? apps.find(app => app.apiPort === undefined);
}
