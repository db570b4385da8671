/** One request judged as the data path judges it, with the evidence that was given: of manifests, and in a live sidecar. */
import { judgeMatched, matchRequest } from '../decision/judge-request.ts';
import { refuse } from '../decision/refuse.ts';
import { createTrace } from '../decision/trace.ts';
import type { Material } from '../material/material.ts';
import type { ErrorsPlan } from '../policy/model.ts';
import type { RequestView } from '../policy/request.ts';
import { isDeaf, type Found } from '../policy-tests/find-route.ts';
import { findSource } from '../proxy/client-address.ts';
import { compileRanges } from '../proxy/trusted-peers.ts';
import { createOfflineEvidence, type Given } from './explain-evidence.ts';
import { makeHeaders, type HeaderLine, type RequestLine } from './explain-input.ts';
import type { Explanation } from './explain-report.ts';

/** The request, and what client and services show. */
export interface Asked {
  readonly request: RequestLine;
  /** Host included. */
  readonly lines: readonly HeaderLine[];
  /** DER, leaf first; empty: none. */
  readonly chain: readonly Uint8Array[];
  /** Byte for byte; empty: none. */
  readonly body: Uint8Array;
  readonly deviceAuth?: Given['deviceAuth'];
  /** Default: an address for documentation. */
  readonly peer?: string;
  /** Whatever peer and headers say. */
  readonly sourceIp?: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export type Decision = Pick<Explanation, 'verdict' | 'trace' | 'notes'>;

const DOCUMENTATION_ADDRESS = '192.0.2.1';
const DEFAULT_ERRORS: ErrorsPlan = {
  format: 'Problem',
  includeReason: true,
  includePolicy: false,
  headers: [],
  overrides: new Map(),
};
const TLS_ONLY = 'the port speaks TLS only, so it closes the connection without an answer; write https://';

/** Nothing is fetched, cached or counted: adapters are made anew for it and thrown away. */
export async function decide(asked: Asked, found: Found | undefined, material: Material): Promise<Decision> {
  const { request, now, chain, body, deviceAuth } = asked;
  const { path, reason } = request.target;
  if (found !== undefined && isDeaf(request, found.listener)) {
    return { verdict: { verdict: 'Deny', closed: TLS_ONLY }, trace: [], notes: [] };
  }
  if (found === undefined || path === undefined || found.match.kind === 'refused') {
    const errors = found?.match.kind === 'refused' ? found.match.errors : DEFAULT_ERRORS;
    const told = found?.match.kind === 'refused' ? found.match.reason : 'OperationNotFound';
    return { verdict: refuse(reason ?? told, errors), trace: [], notes: [] };
  }
  const { snapshot, listener } = found;
  const view = createView(asked, found, path);
  const { headers, fromTrustedPeer } = view;
  const notes: string[] = [];
  const evidence = createOfflineEvidence({
    ...{ snapshot, material, headers, chain, body, fromTrustedPeer, now },
    note: text => void notes.push(text),
    ...(deviceAuth === undefined ? {} : { deviceAuth }),
  });
  const trace = createTrace(() => performance.now() * 1000);
  const matched = matchRequest(listener.match, view, snapshot.reservedHeaders, { now, trace });
  if (matched.kind === 'refused') {
    const { reason: told, errors } = matched.match;
    return { verdict: refuse(told, errors), trace: [], notes };
  }
  const verdict = await judgeMatched(matched, view, snapshot.reservedHeaders, evidence, { now, trace });
  return { verdict, trace: trace.entries, notes };
}

function createView(
  { request, lines, body, peer = DOCUMENTATION_ADDRESS, sourceIp }: Asked,
  { listener }: Found,
  path: string,
): RequestView {
  const { method, host, scheme, target } = request;
  const headers = makeHeaders(lines);
  const fromTrustedPeer = compileRanges(listener.trustedPeers)(peer);
  const source = sourceIp ?? findSource(listener.clientAddress, peer, fromTrustedPeer, headers);
  const length = headers.values[headers.lower.indexOf('content-length')] ?? String(body.length);
  const size = /^[0-9]{1,15}$/.test(length) ? Number(length) : 0;
  return { method, path, query: target.query ?? '', host, scheme, headers, sourceIp: source, size, fromTrustedPeer };
}
