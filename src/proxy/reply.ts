/** Answers of our own: denials, refusals before a match, faults. Written in one piece, with the length told. */
import { renderDenial } from '../decision/challenge.ts';
import { refuse } from '../decision/refuse.ts';
import type { Denial, Respond } from '../decision/verdict.ts';
import type { Reason } from '../api/reasons.ts';
import { createFieldList } from '../http/fields.ts';
import { renderFields, renderResponse } from '../http/message.ts';
import type { ErrorsPlan } from '../policy/model.ts';
import type { RequestRecord } from '../telemetry/telemetry.ts';
import type { Listener } from './listener.ts';
import type { Shared } from './shared.ts';

const NO_FIELDS = createFieldList();
const NOTHING: ReadonlySet<string> = new Set();
const NO_EDITS: ReadonlyMap<string, never> = new Map<string, never>();

/** How denials look while no policy says so. */
export const DEFAULT_ERRORS: ErrorsPlan = {
  format: 'Problem',
  includeReason: true,
  includePolicy: false,
  headers: [],
  overrides: new Map(),
};

export interface Reply {
  readonly status: number;
  readonly text: string;
  /** Of the body in `text`. */
  readonly bodyBytes: number;
}

export interface ReplyOptions {
  readonly requestId: string;
  readonly realm: string;
  /** The request is HEAD: the body is left out, its length is told. */
  readonly head: boolean;
  readonly connection: string | undefined;
}

/** The whole answer, as latin1 text. */
export function renderReply(shared: Shared, denial: Denial | Respond, options: ReplyOptions): Reply {
  const { status, headers, body } = renderDenial(denial, options);
  const bytes = Buffer.from(body, 'utf8');
  const head = renderResponse({
    status,
    fields: NO_FIELDS,
    drop: 0,
    reserved: NOTHING,
    connectionNames: NOTHING,
    edits: NO_EDITS,
    framing: status === 204 || status === 304 ? { kind: 'none' } : { kind: 'length', length: bytes.length },
    extra: renderFields([
      ...headers,
      ['Date', shared.date()],
      ...(options.connection === undefined ? [] : [['Connection', options.connection] as const]),
    ]),
  });
  const bare = options.head || status === 204 || status === 304;
  if (bare) return { status, text: head, bodyBytes: 0 };
  return { status, text: head + bytes.toString('latin1', 0, bytes.length), bodyBytes: bytes.length };
}

export interface DescribedRefusal {
  readonly denial: Denial;
  readonly requestId: string;
  /** As if nothing of a body had been sent. */
  readonly record: RequestRecord;
}

/** A head that could not be read, or came too late. */
export function describeRefusal(shared: Shared, listener: Listener, reason: Reason, method: string): DescribedRefusal {
  const errors = listener.active?.generation.snapshot.errorsBeforeMatch ?? DEFAULT_ERRORS;
  const requestId = shared.ids.nextRequestId();
  const denial = refuse(reason, errors);
  const nothing = {
    method,
    api: '',
    operation: '',
    template: '',
    auditDenials: [],
    totalMs: 0,
    decideMs: 0,
    bytesIn: 0,
  };
  const record = {
    ...nothing,
    requestId,
    status: renderDenial(denial, { requestId, realm: '' }).status,
    verdict: 'Deny',
    reason,
    bytesOut: 0,
  } as const;
  return { denial, requestId, record };
}

/** The same to an HTTP/1.1 client, whose connection ends after it. */
export function renderRefusal(
  shared: Shared,
  listener: Listener,
  reason: Reason,
  method: string,
): Reply & { record: RequestRecord } {
  const { denial, requestId, record } = describeRefusal(shared, listener, reason, method);
  const reply = renderReply(shared, denial, { requestId, realm: '', head: false, connection: 'close' });
  return { ...reply, record: { ...record, bytesOut: reply.bodyBytes } };
}

/** Something unforeseen was thrown. Says nothing. */
export function renderFault(shared: Shared): string {
  const lines = ['HTTP/1.1 500 Internal Server Error', 'Content-Length: 0', `Date: ${shared.date()}`];
  return `${lines.join('\r\n')}\r\nConnection: close\r\n\r\n`;
}
