/** Heads for HTTP/2: the same fields that render.ts writes as lines, as lists of lower-case names and values. */
import { holdsOnly, isFieldValue, isToken, VISIBLE } from './characters.ts';
import type { ParsedFields } from './fields.ts';
import { isEdited, mayBeTrailer, UnwritableHead, type HeadRendering, type HeaderEdit } from './render.ts';
import type { FieldLines, RequestRendering, ResponseRendering } from './render.ts';
import { framesMessages, NEVER_FORWARDED } from './names.ts';

/** @throws UnwritableHead */
export function listRequest(request: RequestRendering, scheme: 'http' | 'https'): string[] {
  const { method, target, host, framing } = request;
  if (!isToken(method)) throw new UnwritableHead('the method');
  if (!holdsOnly(target, VISIBLE)) throw new UnwritableHead('the target');
  if (!holdsOnly(host, VISIBLE)) throw new UnwritableHead('Host');
  const list = [':method', method, ':scheme', scheme, ':authority', host, ':path', target];
  addKept(list, request);
  // Servers of gRPC ask for it (the only TE of HTTP/2 there is); trailers pass in any case.
  if (request.fields.lower.includes('te')) list.push('te', 'trailers');
  if (framing.kind === 'length') list.push('content-length', String(framing.length));
  if (request.expectContinue) list.push('expect', '100-continue');
  addLines(list, request.extra);
  return list;
}

/** @throws UnwritableHead */
export function listResponse(response: ResponseRendering): string[] {
  const { status, framing } = response;
  if (!Number.isInteger(status) || status < 100 || status > 599) throw new UnwritableHead('the status');
  const list = [':status', String(status)];
  addKept(list, response);
  if (framing.kind === 'length') list.push('content-length', String(framing.length));
  addLines(list, response.extra);
  return list;
}

/** Trailers that may pass, as an object that keeps repeated ones together; undefined: none. */
export function listTrailers(trailers: ParsedFields | undefined, reserved: ReadonlySet<string>) {
  const all = new Map<string, string[]>();
  trailers?.infos.forEach((info, at) => {
    if (!mayBeTrailer(info, reserved)) return;
    const values = all.get(info.lower);
    if (values === undefined) all.set(info.lower, [trailers.values[at] ?? '']);
    else values.push(trailers.values[at] ?? '');
  });
  return all.size === 0 ? undefined : Object.fromEntries(all);
}

function addKept(list: string[], head: HeadRendering): void {
  const { infos, values } = head.fields;
  const { reserved, connectionNames, edits } = head;
  const drop = head.drop | NEVER_FORWARDED;
  for (let i = 0; i < infos.length; i++) {
    const info = infos[i];
    if (info === undefined || (info.flags & drop) !== 0) continue;
    if (reserved.has(info.folded) || connectionNames.has(info.lower)) continue;
    if (edits.size > 0 && isEdited(edits, info)) continue;
    list.push(info.lower, values[i] ?? '');
  }
  if (edits.size > 0) addEdits(list, edits);
}

function addEdits(list: string[], edits: ReadonlyMap<string, HeaderEdit>): void {
  for (const [lower, { name, values }] of edits) {
    if (values.length > 0 && framesMessages(lower)) throw new UnwritableHead(`header ${lower}`);
    for (const value of values) {
      if (!isToken(name)) throw new UnwritableHead('a header name');
      if (!isFieldValue(value)) throw new UnwritableHead(`header ${name}`);
      // White space at the ends would be malformed here, where HTTP/1.1 readers cut it off.
      list.push(name.toLowerCase(), value.trim());
    }
  }
}

/** Lines that are whole and checked, so that they part at CRLF and the first colon. */
function addLines(list: string[], lines: FieldLines): void {
  for (const line of lines.split('\r\n')) {
    const colon = line.indexOf(': ');
    if (colon > 0) list.push(line.slice(0, colon).toLowerCase(), line.slice(colon + 2).trim());
  }
}
