/** Answers of an HTTP/2 app (RFC 9113 section 8.3.2), as the data path takes them from an HTTP/1.1 one. */
import { isFieldValue } from './characters.ts';
import { NO_OPTIONS } from './connection.ts';
import { readLength } from './control.ts';
import { createFieldList } from './fields.ts';
import type { FieldPairs } from './http2-request.ts';
import type { ResponseHead } from './message.ts';
import type { NameTable } from './names.ts';

const CONNECTION_SPECIFIC: ReadonlySet<string> = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);

type Framing = ResponseHead['framing'];
const NO_BODY: Framing = { kind: 'none' };
const EMPTY: Framing = { kind: 'length', length: 0 };
const UNKNOWN: Framing = { kind: 'chunked' };

/** Undefined: no answer. `ends`: nothing follows the head. `most`: of fields. */
export function readHttp2Response(
  pairs: FieldPairs,
  { ends, method, most }: { readonly ends: boolean; readonly method: string; readonly most: number },
  table: NameTable,
): ResponseHead | undefined {
  if (pairs.length > 2 * most) return undefined;
  const status = pairs[0] === ':status' ? readStatus(pairs[1] ?? '') : undefined;
  if (status === undefined || status === 101) return undefined;
  const fields = createFieldList();
  let lengthText: string | undefined;
  for (let at = 2; at < pairs.length; at += 2) {
    const [name = '', value = ''] = [pairs[at], pairs[at + 1]];
    const info = table.classify(name);
    if (info?.lower !== name || CONNECTION_SPECIFIC.has(name) || !isFieldValue(value)) return undefined;
    if (name === 'content-length') {
      if (lengthText !== undefined) return undefined;
      lengthText = value;
    }
    fields.names.push(info.raw);
    fields.lower.push(info.lower);
    fields.values.push(value);
    fields.infos.push(info);
  }
  const contentLength = lengthText === undefined ? undefined : readLength(lengthText);
  if (lengthText !== undefined && contentLength === undefined) return undefined;
  const head = {
    status,
    reason: '',
    version: '2',
    framing: chooseFraming(status, method, ends, contentLength),
    contentLength,
    keepAlive: true,
    keepAliveTimeoutMs: undefined,
    upgradeWebSocket: false,
    connectionNames: NO_OPTIONS.names,
    names: fields.names,
    lower: fields.lower,
    values: fields.values,
    infos: fields.infos,
  };
  return head as unknown as ResponseHead;
}

function readStatus(text: string): number | undefined {
  return /^[1-5]\d\d$/.test(text) ? Number(text) : undefined;
}

function chooseFraming(status: number, method: string, ends: boolean, contentLength: number | undefined): Framing {
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return NO_BODY;
  if (contentLength !== undefined) return { kind: 'length', length: contentLength };
  return ends ? EMPTY : UNKNOWN;
}
