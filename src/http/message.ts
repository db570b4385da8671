/** HTTP/1.1 heads (RFC 9112), read and written. Pure: latin1 text, one character a byte. The codec's public face. */
import type { ParsedFields } from './fields.ts';

export interface HeadLimits {
  /** Largest head in bytes, from the first byte of the request line to the empty line. */
  readonly headBytes: number;
  /** Most header lines. */
  readonly headers: number;
  /** Longest request target in bytes. */
  readonly targetBytes: number;
}

export type Framing =
  { readonly kind: 'none' } | { readonly kind: 'length'; readonly length: number } | { readonly kind: 'chunked' };

export interface RequestHead extends ParsedFields {
  readonly method: string;
  /** As received. */
  readonly target: string;
  /** `2`: HTTP/2; `framing` then is what Content-Length says, and `chunked` means that nobody knows. */
  readonly version: '1.0' | '1.1' | '2';
  /** Canonical (path.ts), or `*` for `OPTIONS *`. */
  readonly path: string;
  /** Without `?`, as received; empty when there is none. */
  readonly query: string;
  /** Lower case, without port and trailing dot; IPv6 with brackets; empty if HTTP/1.0 sent none. */
  readonly host: string;
  /** Port of the Host header; undefined when it has none. */
  readonly authorityPort: number | undefined;
  readonly framing: Framing;
  /** Whether the client is ready for another request on this connection. */
  readonly keepAlive: boolean;
  /** The client waits for 100 Continue; false without a body and in HTTP/1.0. */
  readonly expectContinue: boolean;
  readonly upgradeWebSocket: boolean;
  /** Lower-case names that the Connection header names (not `close`, `keep-alive`, `upgrade`): hop-by-hop here. */
  readonly connectionNames: ReadonlySet<string>;
}

export interface ResponseHead extends ParsedFields {
  readonly status: number;
  readonly reason: string;
  readonly version: '1.0' | '1.1' | '2';
  /** Of the body that follows this head on the wire; `none` for HEAD, 1xx, 204, 304 whatever the headers say. */
  readonly framing: Framing | { readonly kind: 'until-close' };
  /** What Content-Length says, also where no body follows (HEAD, 304); undefined without one. */
  readonly contentLength: number | undefined;
  /** Whether the app's connection may be used again once the body is complete. */
  readonly keepAlive: boolean;
  /** `Keep-Alive: timeout`, in milliseconds; undefined without one. */
  readonly keepAliveTimeoutMs: number | undefined;
  /** Status 101 with `Upgrade: websocket` and `Connection: upgrade`. The caller checks that it was asked for. */
  readonly upgradeWebSocket: boolean;
  readonly connectionNames: ReadonlySet<string>;
}

/** Why a head is refused: names of api/reasons.ts, which this floor does not import. */
export type HeadReason =
  | 'MalformedRequest'
  | 'AmbiguousPath'
  | 'MethodNotAllowed'
  | 'TargetTooLong'
  | 'ExpectationFailed'
  | 'HeadersTooLarge'
  | 'TransferCodingNotSupported'
  | 'VersionNotSupported'
  | 'AppProtocolError';

export type Progress<Head> =
  | { readonly kind: 'more' }
  | {
      readonly kind: 'head';
      readonly head: Head;
      /** Characters of the last chunk that belong to the head; the rest is body or the next message. */
      readonly consumed: number;
    }
  | { readonly kind: 'error'; readonly reason: HeadReason };

export interface RequestReader {
  /** Takes the next bytes of the connection. After a head the next one may be read; an error stays until `reset`. */
  read(chunk: string): Progress<RequestHead>;
  /** Forgets an unfinished head or an error. */
  reset(): void;
  /** Whether bytes of an unfinished head are held (an idle connection holds none). */
  readonly started: boolean;
  /** Of the head that is being read or was refused; empty: not known. For the log alone. */
  readonly method: string;
}

export interface ResponseReader {
  /**
   * Takes the next bytes. Informational answers (1xx) come as heads of their own; read on with what is left over, at
   * most 16 of them. Errors are always AppProtocolError.
   */
  read(chunk: string, requestMethod: string): Progress<ResponseHead>;
  reset(): void;
  readonly started: boolean;
}

export { createRequestReader } from './request-reader.ts';
export { createResponseReader } from './response-reader.ts';
export { makeFields, type ParsedFields } from './fields.ts';
export { classifyName, createNameTable, type NameInfo, type NameTable } from './names.ts';
export { joinFields, renderFields, renderRequest, renderResponse, renderTrailers, UnwritableHead } from './render.ts';
export type { FieldLines, HeaderEdit, RequestRendering, ResponseRendering } from './render.ts';
