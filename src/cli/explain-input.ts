/** What `explain` is told on its command line: the request, and what the client and the device-auth service show. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { HeaderFields } from '../http/head.ts';
import { readAuthority } from '../http/host.ts';
import { readTarget, type Target } from '../http/target.ts';
import { parsePem } from '../x509/pem.ts';
import type { Io } from './io.ts';
import { UsageProblem } from './options.ts';

export interface RequestLine {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  readonly host: string;
  readonly port: number | undefined;
  readonly target: Target;
  /** As it was written. */
  readonly text: string;
}

/** `POST https://fleet.example.com/v1/devices/robot-7/telemetry?x=1` */
export function readRequestLine(text: string): RequestLine {
  const [, method, scheme, authority, target] = /^([A-Za-z]+) (https?):\/\/([^/?#\s]+)(\S*)$/.exec(text.trim()) ?? [];
  const read = authority === undefined ? undefined : readAuthority(authority);
  if (method === undefined || scheme === undefined || authority === undefined || read === undefined) {
    throw new UsageProblem(`must be 'METHOD URL', such as 'GET https://fleet.example.com/v1/devices/robot-7'`);
  }
  const origin = (target ?? '').startsWith('/') ? (target ?? '') : `/${target ?? ''}`;
  const { host, port } = read;
  return {
    method: method.toUpperCase(),
    scheme: scheme === 'http' ? 'http' : 'https',
    authority,
    host,
    port,
    target: readTarget(origin),
    text: text.trim(),
  };
}

export type HeaderLine = readonly [name: string, value: string];

/** `Name: value`, as curl takes it. */
export function readHeaderLine(text: string): HeaderLine {
  const [, name, value] = /^([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new UsageProblem(`must be 'Name: value'`);
  return [name, value.trim()];
}

export const makeHeaders = (lines: readonly HeaderLine[]): HeaderFields => ({
  names: lines.map(([name]) => name),
  lower: lines.map(([name]) => name.toLowerCase()),
  values: lines.map(([, value]) => value),
});

export interface DeviceAnswer {
  readonly status: number;
  /** File with the JSON object that is the body. */
  readonly file?: string;
}

/** `200:body.json`, `404`, or `unreachable`. */
export function readDeviceAnswer(text: string): DeviceAnswer | 'unreachable' {
  if (text === 'unreachable') return text;
  const [, status, file] = /^([1-5][0-9]{2})(?::(.+))?$/.exec(text) ?? [];
  if (status === undefined) throw new UsageProblem('must be STATUS, STATUS:FILE or unreachable');
  return { status: Number(status), ...(file === undefined ? {} : { file }) };
}

/** Seconds since the epoch, or a date and time as in RFC 3339. Milliseconds since the epoch. */
export function readMoment(text: string): number {
  const moment = /^[0-9]{1,12}$/.test(text) ? Number(text) * 1000 : Date.parse(text);
  if (!Number.isFinite(moment))
    throw new UsageProblem('must be seconds since 1970 or a time such as 2027-01-31T00:00:00Z');
  return moment;
}

/**
 * A file that was named and could not be used. The message names the option and neither the path nor the content: whoever
 * pastes a token or a key where its file belongs must not find it in a terminal's or a CI job's log.
 */
export class FileProblem extends Error {}

const FILE = 'a FILE (- for standard input)';

/** What no file is named: the thing itself was written, or the name is wrong. */
const ABSENT = new Set(['ENOENT', 'ENAMETOOLONG', 'ENOTDIR', 'ERR_INVALID_ARG_VALUE']);

async function readText(path: string, option: string, io: Io, takes = FILE): Promise<string> {
  return (await readBytes(path, option, io, takes)).toString('utf8');
}

async function readBytes(path: string, option: string, io: Io, takes = FILE): Promise<Buffer> {
  if (path === '-' && io.stdin !== undefined) return Buffer.from(await io.stdin(), 'utf8');
  try {
    return await readFile(resolve(io.cwd, path));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    const problem = ABSENT.has(code) ? 'no such file' : `the file cannot be read (${code})`;
    throw new FileProblem(`${option} takes ${takes}; ${problem}`);
  }
}

export const readTokenFile = async (path: string, io: Io): Promise<string> =>
  (await readText(path, '--token', io)).trim();

/** The request's body; empty without one. */
export const readRequestBody = async (path: string | undefined, io: Io): Promise<Uint8Array> =>
  path === undefined ? new Uint8Array(0) : readBytes(path, '--body', io);

const MAX_CERTIFICATE = 64 * 1024;

/** The certificates of a PEM file, leaf first; keys in it are passed over. */
export async function readChainFile(path: string, io: Io): Promise<readonly Uint8Array[]> {
  const text = await readText(path, '--certificate', io);
  let chain: readonly Uint8Array[];
  try {
    chain = parsePem(text, MAX_CERTIFICATE).flatMap(({ label, der }) => (label === 'CERTIFICATE' ? [der] : []));
  } catch {
    throw new FileProblem('the file of --certificate is not PEM');
  }
  if (chain.length === 0) throw new FileProblem('the file of --certificate holds no certificate (PEM)');
  return chain;
}

/** Null prototype, as the adapter gives it. */
export async function readBodyFile(path: string, io: Io): Promise<Readonly<Record<string, unknown>>> {
  let value: unknown;
  try {
    value = JSON.parse(await readText(path, '--device-auth', io, 'STATUS:FILE'));
  } catch (error) {
    if (error instanceof FileProblem) throw error;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new FileProblem('the file of --device-auth holds no JSON object');
  }
  return Object.assign(Object.create(null) as Record<string, unknown>, value);
}
