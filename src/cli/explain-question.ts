/** What a running sidecar is asked over its admin socket: JSON, so that a pod can be asked through an exec. */
import { isIP } from 'node:net';
import { isRecord } from '../kube/objects.ts';
import { foldAddress } from '../proxy/client-address.ts';
import type { Asked } from './explain-decision.ts';
import { readHeaderLine, readRequestLine, type HeaderLine } from './explain-input.ts';
import { UsageProblem } from './options.ts';

export const writeQuestion = ({ request, lines, chain, body, ...rest }: Asked): unknown => ({
  ...{ ...rest, request: request.text, headers: lines.map(([name, value]) => `${name}: ${value}`) },
  body: Buffer.from(body).toString('base64'),
  chain: chain.map(der => Buffer.from(der).toString('base64')),
});

/** @throws UsageProblem, which repeats nothing of what was sent */
export function readQuestion(value: unknown, clock: () => number): Asked {
  if (!isRecord(value) || typeof value['request'] !== 'string') throw new UsageProblem('request must be a text');
  const { request, headers = [], chain = [], body = '', deviceAuth, peer, sourceIp, now = clock() } = value;
  if (typeof body !== 'string') throw new UsageProblem('body must be Base64');
  if (typeof now !== 'number') throw new UsageProblem('now must be milliseconds');
  const device = readDevice(deviceAuth);
  const [from, source] = [readAddress(peer), readAddress(sourceIp)];
  return {
    ...{ request: readRequestLine(request), now, body: new Uint8Array(Buffer.from(body, 'base64')) },
    lines: readTexts(headers, 'headers').map((line): HeaderLine => readHeaderLine(line)),
    chain: readTexts(chain, 'chain').map(text => new Uint8Array(Buffer.from(text, 'base64'))),
    ...(device === undefined ? {} : { deviceAuth: device }),
    ...(from === undefined ? {} : { peer: from }),
    ...(source === undefined ? {} : { sourceIp: source }),
  };
}

function readTexts(value: unknown, name: string): readonly string[] {
  if (!Array.isArray(value) || !value.every(item => typeof item === 'string')) {
    throw new UsageProblem(`${name} must be a list of texts`);
  }
  return value;
}

function readAddress(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || isIP(value) === 0) throw new UsageProblem('peer and sourceIp must be IP addresses');
  return foldAddress(value);
}

function readDevice(value: unknown): Asked['deviceAuth'] {
  if (value === undefined || value === 'unreachable') return value;
  if (!isRecord(value) || typeof value['status'] !== 'number' || !isRecord(value['body'])) {
    throw new UsageProblem('deviceAuth must be unreachable, or have status and body');
  }
  const body = Object.assign(Object.create(null) as Record<string, unknown>, value['body']);
  return { status: value['status'], body };
}
