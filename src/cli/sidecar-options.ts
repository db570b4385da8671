/** The options of `sallyport sidecar` and the grammars of their values. */
import { isIP } from 'node:net';
import type { Io } from './io.ts';
import { findSourceProblems, readPairs, SOURCE_OPTIONS } from './source-options.ts';
import type { AppAddress, ListenAddress, SocketAddress } from '../proxy/options.ts';
import type { ResolveRule } from '../outbound/resolve.ts';
import { LOG_LEVELS } from '../telemetry/log.ts';
import { PORTS } from '../api/names.ts';
import { parseDuration } from '../api/duration.ts';
import { parseProbeReplays, type ProbeReplay } from '../api/probe-replay.ts';
import { parseQuantity } from '../api/quantity.ts';
import {
  choiceOption,
  numberOption,
  parsedListOption,
  parsedOption,
  quote,
  textOption,
  UsageProblem,
  type Command,
  type Values,
} from './options.ts';

const SECOND = 1000;

const options = {
  ...SOURCE_OPTIONS,
  'container-ports': parsedOption(readPortNames, {
    placeholder: 'NAME=PORT,…',
    description: 'Names of container ports, where an Api writes a name.',
  }),
  listen: parsedListOption(readListen, {
    placeholder: '[PORT=]ADDRESS:PORT',
    description: 'Where to accept connections; PORT= names the Api’s port where it is another. Repeatable.',
  }),
  interception: parsedOption(readInterception, {
    placeholder: 'transparent|explicit',
    description:
      'Instead of --listen, in a pod. transparent: the rules of `sallyport init` bring every connection, and the port that the client dialled selects the Api. explicit: no rules; listens at --pod-ips on the port of each Api, and the app listens on 127.0.0.1.',
  }),
  'proxy-port': numberOption(
    { min: 1, max: 65535, fallback: PORTS.proxy },
    { placeholder: 'PORT', description: 'Where the rules of `sallyport init` bring connections.' },
  ),
  'pod-ips': parsedOption(readAddresses, {
    placeholder: 'ADDRESS,…',
    description: 'Addresses of the pod, for --interception explicit and --probes.',
  }),
  probes: parsedOption(readProbes, {
    placeholder: 'BASE64',
    description:
      'Probes of the app that the injector moved to --health; it writes them. They are replayed at --pod-ips.',
  }),
  app: parsedListOption(readListen, {
    placeholder: '[PORT=]ADDRESS:PORT',
    description:
      'Where the app listens. Repeatable; not needed where every Api has app.url, nor with --interception, where the app is at the port and address that the client dialled, or on loopback where its Api says so.',
  }),
  resolve: parsedListOption(readResolve, {
    placeholder: 'HOST[:PORT]=ADDRESS[:PORT]',
    description: 'Where a name of the manifests leads, as curl does it. Repeatable.',
  }),
  'mesh-certificate': textOption({
    placeholder: 'FILE',
    description: 'Certificate (PEM) for meshCertificate.managed; watched.',
  }),
  'mesh-key': textOption({ placeholder: 'FILE', description: 'Its private key (PEM).' }),
  health: parsedOption(readHealth, {
    placeholder: '[ADDRESS:]PORT',
    description: '/livez, /readyz and /metrics; absent: none.',
  }),
  'admin-socket': textOption({
    placeholder: 'PATH',
    description: 'Unix socket for status, drain and log-level; absent: none.',
  }),
  'ready-pods': numberOption(
    { min: 1, max: 10_000, fallback: 1 },
    {
      placeholder: 'NUMBER',
      description:
        'By how many limits with scope Workload are divided, with --config; in a pod the controller says it.',
    },
  ),
  'max-memory': parsedOption(readMemory, {
    placeholder: 'SIZE',
    description: 'Resident memory (256Mi): above 95 % new requests are 503 Overloaded.',
  }),
  'drain-timeout': parsedOption(readTime, {
    placeholder: 'TIME',
    description: 'How long SIGTERM waits for what is in flight; default 25s.',
  }),
  'log-level': choiceOption(LOG_LEVELS, 'info', { description: 'How much is logged.' }),
  'log-format': choiceOption(['json', 'pretty'], 'json', { description: 'pretty is for people.' }),
  'log-permits': numberOption(
    { min: 0, max: 1, fallback: 0.01, integer: false },
    { placeholder: 'SHARE', description: 'Share of permitted requests that get a line; denials always do.' },
  ),
} as const;

export const SIDECAR: Command<typeof options> = {
  name: 'sidecar',
  description: [
    'Judges every request to an app and forwards those that a policy permits, until SIGTERM.',
    'Nothing is open unless a policy says so; without a policy every request is 503.',
  ],
  options,
  examples: [
    {
      comment: 'Protects an app on port 3000',
      line: 'sallyport sidecar --config ./manifests --namespace shop --workload-labels app=fleet --listen 0.0.0.0:8443 --app 127.0.0.1:3000',
    },
  ],
};

export type SidecarValues = Values<typeof options>;

/** Problems that only several options together have; empty: they fit. */
export function findProblems(values: SidecarValues, env: Io['env']): string[] {
  const problems = findSourceProblems(values, env);
  if (values.interception === undefined && values.listen.length === 0) {
    problems.push('--listen is missing: say where to accept connections');
  }
  if (values.interception !== undefined && values.listen.length > 0) {
    problems.push(
      '--listen and --interception exclude each other: where connections are intercepted, Apis say the ports',
    );
  }
  if (values.interception === 'explicit' && values['pod-ips'] === undefined) {
    problems.push('--pod-ips is missing: --interception explicit listens at the addresses of the pod');
  }
  if (values.probes !== undefined && values['pod-ips'] === undefined) {
    problems.push('--pod-ips is missing: --probes are replayed at the first address of the pod');
  }
  if (values.probes !== undefined && values.health === undefined) {
    problems.push('--health is missing: --probes are answered there');
  }
  if ((values['mesh-certificate'] === undefined) !== (values['mesh-key'] === undefined)) {
    problems.push('--mesh-certificate and --mesh-key belong together');
  }
  return problems;
}

function readPortNames(text: string): Readonly<Record<string, number>> {
  return Object.fromEntries(readPairs(text).map(([name, port]) => [name, readPort(port, text)]));
}

function readPort(text: string, whole: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65535) throw new UsageProblem(`is ${quote(whole)}; a port is a number from 1 to 65535`);
  return port;
}

/** `127.0.0.1:80`, `[::1]:80`, `name:80`. */
function readSocketAddress(text: string, whole: string): SocketAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d+)$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  if (match === null || host === undefined) {
    throw new UsageProblem(`is ${quote(whole)}; must be ADDRESS:PORT, an IPv6 address in brackets`);
  }
  return { host, port: readPort(match[3] ?? '', whole) };
}

function readListen(text: string): ListenAddress & AppAddress {
  const at = text.indexOf('=');
  if (at < 0) return readSocketAddress(text, text);
  return { ...readSocketAddress(text.slice(at + 1), text), apiPort: readPort(text.slice(0, at), text) };
}

function readInterception(text: string): 'transparent' | 'explicit' {
  if (text === 'transparent' || text === 'explicit') return text;
  throw new UsageProblem(`is ${quote(text)}; must be one of transparent, explicit`);
}

function readAddresses(text: string): readonly string[] {
  const addresses = text.split(',').map(part => part.trim());
  if (addresses.every(address => isIP(address) !== 0)) return addresses;
  throw new UsageProblem(`is ${quote(text)}; must be addresses of the pod, separated by commas`);
}

/** Base64 of JSON: ProbeReplay[]. What it holds is not repeated: the paths are the only key to these doors. */
function readProbes(text: string): readonly ProbeReplay[] {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(text, 'base64').toString('utf8'));
  } catch {
    // Said below.
  }
  const replays = parseProbeReplays(value);
  if (replays === undefined) throw new UsageProblem('holds no probes as this version of the injector writes them');
  return replays;
}

function readHealth(text: string): SocketAddress {
  // Every address: pods of IPv6 alone are probed too.
  return /^\d+$/.test(text) ? { host: '', port: readPort(text, text) } : readSocketAddress(text, text);
}

function readResolve(text: string): ResolveRule {
  const match = /^([^\s:=]+)(?::(\d+))?=(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+))(?::(\d+))?$/.exec(text);
  const address = match?.[3] ?? match?.[4];
  const host = match?.[1];
  if (match === null || host === undefined || address === undefined) {
    throw new UsageProblem(`is ${quote(text)}; must be HOST[:PORT]=ADDRESS[:PORT]`);
  }
  return {
    host: host.toLowerCase(),
    address,
    ...(match[2] === undefined ? {} : { port: readPort(match[2], text) }),
    ...(match[5] === undefined ? {} : { toPort: readPort(match[5], text) }),
  };
}

function readMemory(text: string): number {
  const bytes = parseQuantity(text);
  if (bytes === undefined || bytes < 64 * 1024 * 1024) {
    throw new UsageProblem(`is ${quote(text)}; must be a size of at least 64Mi, for example 256Mi`);
  }
  return bytes;
}

function readTime(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms > 3600 * SECOND)
    throw new UsageProblem(`is ${quote(text)}; must be a time up to 1h, for example 25s`);
  return ms;
}
