/** How a sidecar gets the connections of its pod: what the command line says, made into what the data path is given. */
import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { PORTS } from '../api/names.ts';
import { createLocalAddresses } from '../interception/local-addresses.ts';
import { openOriginalDestination } from '../interception/original-destination.ts';
import { showAddress } from '../proxy/binding.ts';
import type { Interception, MovedProbes } from '../proxy/options.ts';
import type { SidecarValues } from './sidecar-options.ts';

/** Undefined: `--listen` says where connections come in. */
export function chooseInterception(values: SidecarValues): Interception | undefined {
  if (values.interception === undefined) return undefined;
  if (values.interception === 'explicit') {
    return {
      mode: 'explicit',
      podAddresses: values['pod-ips'] ?? [],
      readFile: path => readFile(path, 'latin1'),
    };
  }
  const local = createLocalAddresses(networkInterfaces, () => performance.now());
  const port = values['proxy-port'];
  const ownPorts = [port, values.health?.port ?? PORTS.health];
  return { mode: 'transparent', port, openDestinations: () => openOriginalDestination({ local, ownPorts }) };
}

/** Undefined: the injector moved none. */
export function chooseProbes(values: SidecarValues): MovedProbes | undefined {
  const { probes: replays, 'pod-ips': [podAddress] = [], interception } = values;
  if (replays === undefined || podAddress === undefined) return undefined;
  return { replays, podAddress, appOnLoopback: interception === 'explicit' };
}

/** Authorities by which the app of a port is known, for hideBackend: `10.0.0.5:8080`. */
export function listAuthorities(values: SidecarValues, port: number): readonly string[] {
  const said = values.app.filter(({ apiPort = port }) => apiPort === port).map(({ host, port: at }) => `${host}:${at}`);
  if (values.interception === undefined || said.length > 0) return said;
  const known = values['pod-ips'] ?? createLocalAddresses(networkInterfaces, () => 0).list();
  return ['127.0.0.1', ...known].map(host => showAddress({ host, port }));
}
