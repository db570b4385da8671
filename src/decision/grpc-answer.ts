/** What a gRPC client is told (M8): HTTP 200 and trailers only, with the status that gRPC has for the denial's. */
import { findSingle, type HeaderFields } from '../http/head.ts';
import { phraseOf, renderDenial, statusOf } from './challenge.ts';
import type { Denial } from './verdict.ts';

/** `application/grpc` and its message formats (`+proto`, `+json`). gRPC-Web is another protocol, of plain answers. */
const GRPC = /^application\/grpc(?:$|[+;\s])/i;

export const isGrpcType = (contentType: string | undefined): boolean =>
  contentType !== undefined && GRPC.test(contentType);

/** Whether a denial is told in the way of gRPC: its calls are POST, whatever else names that content type. */
export const isGrpcCall = (method: string, contentType: string | undefined): boolean =>
  method === 'POST' && isGrpcType(contentType);

export const isGrpc = (headers: HeaderFields): boolean => isGrpcType(findSingle(headers, 'content-type'));

/** Status codes of gRPC by those of HTTP (M8), and the nearest for the few that M8 does not name. */
const CODES: ReadonlyMap<number, number> = new Map([
  [400, 13],
  [401, 16],
  [403, 7],
  [404, 12],
  [405, 12],
  [408, 4],
  [413, 8],
  [414, 13],
  [417, 13],
  [421, 14],
  [429, 8],
  [431, 8],
  [500, 13],
  [501, 12],
  [502, 14],
  [503, 14],
  [504, 4],
]);
const UNKNOWN = 2;

/** Header names and values of the whole answer; nothing follows them. */
export function renderGrpcDenial(
  denial: Denial,
  about: { readonly requestId: string; readonly realm: string },
): [string, string][] {
  const { status, headers } = renderDenial(denial, about);
  const kept = headers.filter(([name]) => !isGrpcOwn(name.toLowerCase()));
  return [['content-type', 'application/grpc'], ...grpcTrailers(denial, status), ...kept];
}

/** The end of a call whose answer has begun: what gRPC libraries report as its status. */
export function renderGrpcTrailers(denial: Denial): Record<string, string[]> {
  return Object.fromEntries(grpcTrailers(denial, statusOf(denial)).map(([name, value]) => [name, [value]]));
}

function grpcTrailers({ errors, reason }: Denial, status: number): [string, string][] {
  return [
    ['grpc-status', String(CODES.get(status) ?? UNKNOWN)],
    ['grpc-message', errors.includeReason ? reason : phraseOf(status)],
  ];
}

const isGrpcOwn = (lower: string): boolean => lower === 'content-type' || lower.startsWith('grpc-');
