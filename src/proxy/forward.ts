/** The only way to the app: takes a Permit, which only decide() makes. */
import { isGrpc } from '../decision/grpc-answer.ts';
import { requestNeedsIdentity } from '../decision/response.ts';
import type { ObjectKey } from '../api/object.ts';
import type { PresentedHeader } from '../credentials/credentials.ts';
import type { Permit } from '../decision/verdict.ts';
import { findAll, findSingle, foldName } from '../http/head.ts';
import { renderFields, type FieldLines, type HeaderEdit, type RequestRendering } from '../http/message.ts';
import { TRUSTED_CERTIFICATE, TRUSTED_PEER } from '../http/names.ts';
import type { ApiPlan, Route } from '../policy/model.ts';
import type { RequestView } from '../policy/request.ts';
import type { AppTarget, Speaks } from './app-target.ts';
import type { Exchange } from './exchange.ts';
import { showAddress } from './binding.ts';
import { reserveFor, type ActiveListener } from './listener.ts';
import { describePeer } from './trusted-peers.ts';
import { isTraceParent } from './request-id.ts';

/** What a permit was given for. */
export interface Permitted {
  readonly exchange: Exchange;
  readonly active: ActiveListener;
  readonly view: RequestView;
}

export function forward(permit: Permit, permitted: Permitted): void {
  const { exchange, active } = permitted;
  const { client, head } = exchange;
  const { api, pipeline } = permit.route;
  const { framing } = head;
  if (api.bodyBytes > 0 && framing.kind === 'length' && framing.length > api.bodyBytes) {
    return exchange.fail('BodyTooLarge');
  }
  const credential = pipeline.certificateCredential;
  const speaks = chooseProtocol(exchange, api.app);
  // There is no other way to carry it (data-path.md).
  if (speaks === 'HTTP2' && head.upgradeWebSocket) return exchange.fail('AppProtocolError');
  const { pools } = client.shared;
  const reached = pools.find(active.generation, api.app, active.plan.port, client.dialled, credential, speaks);
  if ('reason' in reached) return exchange.fail(reached.reason);
  const send = (presented?: PresentedHeader): void =>
    exchange.send({
      permit,
      request: planForwarded({ ...permitted, permit, target: reached.target, presented }),
      pool: reached.pool,
      reserved: framing.kind === 'chunked' ? barTrailers(permit, active, presented) : active.reserved,
      responseMs: reached.target.timeouts.response,
      idleMs: reached.target.timeouts.idle,
      presented,
    });
  if (pipeline.headerCredential === undefined) return send();
  presentFor(permit, pipeline.headerCredential, permitted, presented => {
    // Not had, it is not left out: the back end might take the sidecar for anybody.
    if (presented === undefined) exchange.fail('CredentialUnavailable');
    else send(presented);
  });
}

/**
 * `app.protocol: Auto`: over TLS what ALPN says, on plaintext HTTP/1.1, but HTTP/2 for gRPC, which has nothing else. A
 * WebSocket is HTTP/1.1 wherever it may be.
 */
function chooseProtocol({ head }: Exchange, { protocol, scheme, url }: ApiPlan['app']): Speaks {
  if (protocol !== 'Auto') return protocol;
  if (head.upgradeWebSocket) return 'HTTP1';
  const secure = url === undefined ? scheme === 'https' : url.startsWith('https:');
  if (secure) return 'Auto';
  return isGrpc(head) ? 'HTTP2' : 'HTTP1';
}

/** At once when the header is at hand, else when it has come. */
function presentFor(
  { principal, route }: Permit,
  credential: ObjectKey,
  { exchange, active }: Permitted,
  go: (presented: PresentedHeader | undefined) => void,
): void {
  const now = exchange.client.shared.clock();
  const { api, operation } = route;
  const caller = principal && {
    kind: principal.kind,
    id: principal.id,
    issuer: principal.issuer,
    certificateSha256: principal.certificate?.sha256,
  };
  const occasion = { now, caller, api: api.key, operation };
  const presented = active.generation.credentials.present(credential, api.app.host, occasion);
  if (!(presented instanceof Promise)) return go(presented);
  presented.then(
    late => exchange.resume(() => go(late)),
    () => exchange.resume(() => go(undefined)),
  );
}

/** Folded names that no trailer of the client may have: what policies set, read or took away, and what we present. */
function barTrailers(
  { route, edits }: Permit,
  { reserved }: ActiveListener,
  presented: PresentedHeader | undefined,
): ReadonlySet<string> {
  const names = new Set([...reserved, ...route.pipeline.barredTrailers]);
  for (const name of edits.headers.keys()) names.add(foldName(name));
  if (presented !== undefined) names.add(foldName(presented.name));
  return names;
}

interface Forwarded extends Permitted {
  readonly permit: Permit;
  readonly target: AppTarget;
  readonly presented: PresentedHeader | undefined;
}

/** The head afresh from what was parsed: the app sees nothing that was not judged. */
function planForwarded({ permit, exchange, active, view, target, presented }: Forwarded): RequestRendering {
  const { client, head } = exchange;
  const query = permit.edits.query ?? view.query;
  // X-Forwarded-* is not sent to an app that is elsewhere (M4).
  const trusted = view.fromTrustedPeer && target.fixed === undefined;
  const plain = !trusted && hasPlainTrace(exchange) && !needsIdentity(permit.route);
  const edited = plain ? permit.edits.headers : editAlso(permit, exchange, trusted);
  const hides = permit.route.pipeline.hidesAuthorization === true;
  const edits = hides || presented !== undefined ? editCredential(edited, hides, presented) : edited;
  const path = target.fixed === undefined ? view.path : appendPath(target.fixed.path, permit.route.api, view.path);
  return {
    method: head.method,
    target: query === '' ? path : `${path}?${query}`,
    host: target.fixed?.host ?? sentHost(exchange, target),
    fields: head,
    drop: trusted ? 0 : TRUSTED_PEER | TRUSTED_CERTIFICATE,
    reserved: trusted
      ? reserveFor(active.generation, describePeer(client, active, client.shared.clock()))
      : active.reserved,
    connectionNames: head.connectionNames,
    edits,
    framing: head.framing,
    expectContinue: head.expectContinue && !exchange.continued,
    extra: extraLines({ exchange, view, target, edits, trusted }),
  };
}

/**
 * `Host` goes to the app unchanged (M2). The reader has made sure that there is at most one; HTTP/1.0 may have none, and
 * then matches no Api with hosts, so that the app's own authority is all that is known (RFC 9112 section 3.3).
 */
const sentHost = ({ head }: Exchange, { address }: AppTarget): string =>
  findSingle(head, 'host') ?? showAddress(address);

/** M4: the part of the path after basePath is appended to the URL's path; `/` appends nothing, not even to a final slash. */
export function appendPath(ofUrl: string, api: Pick<ApiPlan, 'basePath'>, path: string): string {
  const trimmed = (text: string): string => (text.endsWith('/') ? text.slice(0, -1) : text);
  const rest = path.slice(trimmed(api.basePath).length);
  return rest === '' || rest === '/' ? ofUrl : trimmed(ofUrl) + rest;
}

function hasPlainTrace({ head }: Exchange): boolean {
  if (!head.lower.includes('traceparent')) return true;
  const parent = findSingle(head, 'traceparent');
  return parent !== undefined && isTraceParent(parent);
}

const identity = new WeakMap<Route, boolean>();

/** Whether bodies of a route's answers may be rewritten, so that they must come whole and unencoded (P12). */
function needsIdentity(route: Route): boolean {
  let needs = identity.get(route);
  if (needs === undefined) {
    needs = requestNeedsIdentity(route.pipeline);
    identity.set(route, needs);
  }
  return needs;
}

/** The policy's edits and ours, where what was received must not simply stay. */
function editAlso(permit: Permit, exchange: Exchange, trusted: boolean): ReadonlyMap<string, HeaderEdit> {
  const { head, client, requestId } = exchange;
  const edits = new Map<string, HeaderEdit>();
  if (needsIdentity(permit.route)) {
    edits.set('accept-encoding', { name: 'Accept-Encoding', values: ['identity'] });
    for (const name of ['range', 'if-range']) edits.set(name, { name, values: [] });
  }
  if (!hasPlainTrace(exchange)) {
    edits.set('traceparent', { name: 'traceparent', values: [client.shared.ids.nextTraceParent()] });
    edits.set('tracestate', { name: 'tracestate', values: [] });
  }
  if (trusted) {
    const hops = [...findAll(head, 'x-forwarded-for'), client.peer].join(', ');
    edits.set('x-forwarded-for', { name: 'X-Forwarded-For', values: [hops] });
    edits.set('x-request-id', { name: 'X-Request-Id', values: [requestId] });
  }
  // The policy has the last word.
  for (const [name, edit] of permit.edits.headers) edits.set(name, edit);
  return edits;
}

/** P13: what is presented stands instead of the client's, in any spelling. */
function editCredential(
  edited: ReadonlyMap<string, HeaderEdit>,
  hides: boolean,
  presented: PresentedHeader | undefined,
): ReadonlyMap<string, HeaderEdit> {
  const edits = new Map(edited);
  if (hides && !edits.has('authorization')) edits.set('authorization', { name: 'Authorization', values: [] });
  return presented === undefined ? edits : addPresented(edits, presented);
}

function addPresented(edits: Map<string, HeaderEdit>, { name, value }: PresentedHeader): Map<string, HeaderEdit> {
  const lower = name.toLowerCase();
  for (const other of [...edits.keys()]) if (foldName(other) === foldName(lower)) edits.delete(other);
  edits.set(foldName(lower), { name, values: [] });
  edits.set(lower, { name, values: [value] });
  return edits;
}

const UPGRADE = renderFields([
  ['Connection', 'Upgrade'],
  ['Upgrade', 'websocket'],
]);

interface Extra {
  readonly exchange: Exchange;
  readonly view: RequestView;
  readonly target: AppTarget;
  readonly edits: ReadonlyMap<string, HeaderEdit>;
  readonly trusted: boolean;
}

/** What we say of the request, where neither the policy nor a trusted peer has said it. */
function extraLines(extra: Extra): FieldLines {
  const { exchange, view, target, edits, trusted } = extra;
  const { head, client, requestId } = exchange;
  if (trusted || target.fixed !== undefined || (edits.size > 0 && editsOurs(edits))) return extraLinesBesides(extra);
  const isTraced = head.lower.includes('traceparent');
  const trace = isTraced ? '' : `\r\ntraceparent: ${client.shared.ids.nextTraceParent()}`;
  // Every part is whole field lines, or made of hex digits here.
  const lines = `${forwardingLines(exchange, view)}\r\nX-Request-Id: ${requestId}${trace}` as FieldLines;
  return head.upgradeWebSocket ? ((lines + UPGRADE) as FieldLines) : lines;
}

const OURS = ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-request-id', 'traceparent'] as const;

const editsOurs = (edits: ReadonlyMap<string, HeaderEdit>): boolean => OURS.some(name => edits.has(name));

/** The same for every request of a connection that names the same host. */
function forwardingLines({ head, client }: Exchange, view: RequestView): FieldLines {
  const host = findSingle(head, 'host') ?? '';
  if (client.forwarding?.host === host) return client.forwarding.lines;
  const lines = renderFields([
    ['X-Forwarded-For', client.peer],
    ['X-Forwarded-Proto', view.scheme],
    ...(host === '' ? [] : [['X-Forwarded-Host', host] as const]),
  ]);
  client.forwarding = { host, lines };
  return lines;
}

function extraLinesBesides({ exchange, view, target, edits, trusted }: Extra): FieldLines {
  const { head, client, requestId } = exchange;
  const fields: [string, string][] = [];
  const add = (lower: string, name: string, value: string): void => {
    if (!edits.has(lower) && !(trusted && head.lower.includes(lower))) fields.push([name, value]);
  };
  if (target.fixed === undefined) {
    add('x-forwarded-for', 'X-Forwarded-For', client.peer);
    add('x-forwarded-proto', 'X-Forwarded-Proto', view.scheme);
    const host = findSingle(head, 'host') ?? '';
    if (host !== '') add('x-forwarded-host', 'X-Forwarded-Host', host);
  }
  add('x-request-id', 'X-Request-Id', requestId);
  if (!head.lower.includes('traceparent')) add('traceparent', 'traceparent', client.shared.ids.nextTraceParent());
  const lines = renderFields(fields);
  return head.upgradeWebSocket ? ((lines + UPGRADE) as FieldLines) : lines;
}
