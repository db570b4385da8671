/** What becomes of an answer of the app, by the response part of the policy that permitted the request. */
import type { Reason } from '../api/reasons.ts';
import type { PresentedHeader } from '../credentials/credentials.ts';
import { mayNameBackend } from '../decision/backend-hosts.ts';
import { editCors } from '../decision/cors-step.ts';
import { isGrpc } from '../decision/grpc-answer.ts';
import { evaluateResponse, renderNeutralBody, type ResponseEdits, REWRITTEN_HEADERS } from '../decision/response.ts';
import type { Permit } from '../decision/verdict.ts';
import { foldName } from '../http/head.ts';
import type { HeaderEdit, ParsedFields, ResponseHead } from '../http/message.ts';
import type { Route } from '../policy/model.ts';
import type { BodyRewriting } from './body-rewriter.ts';
import type { AppExchange } from './app-exchange.ts';

export interface AnswerPlan {
  readonly status: number;
  readonly edits: ReadonlyMap<string, HeaderEdit>;
  /** Folded names of trailers that are left out. */
  readonly hiddenTrailers: (trailers: ParsedFields) => ReadonlySet<string>;
  /** Instead of the app's body. */
  readonly body: string | undefined;
  readonly rewrite: BodyRewriting | undefined;
  /** Server-sent events, gRPC: an open stream from the start (M7). */
  readonly isEvents: boolean;
}

/** The plan, or the reason (502) why the answer cannot be sent. */
export function planAnswer(toApp: AppExchange, head: ResponseHead): AnswerPlan | Reason {
  const { permit, exchange, presented } = toApp;
  const result = evaluateResponse(permit, { status: head.status, headers: head });
  if (typeof result === 'string') return result;
  const { status, removes, body } = result;
  const headers = presented === undefined ? result.headers : hidePresented(result.headers, head, presented);
  const hides = permit.cors === undefined ? removes : hideCors(removes);
  const isHidden = presented === undefined ? hides : hideTrailers(hides, presented);
  return {
    status,
    edits: hasOwnHeaders(permit) ? withOwnHeaders(headers, permit, head) : headers,
    hiddenTrailers: ({ lower, values }) =>
      new Set(lower.filter((name, at) => isHidden(name, values[at] ?? '')).map(foldName)),
    body: body === 'Neutral' ? renderNeutralBody(status, permit.route.pipeline.errors, exchange.requestId) : body?.text,
    rewrite: result.rewrite,
    isEvents: isEventStream(head) || isGrpc(head),
  };
}

function isEventStream(head: ResponseHead): boolean {
  const at = head.lower.indexOf('content-type');
  return at >= 0 && /^text\/event-stream\b/i.test(head.values[at] ?? '');
}

const isNameOf = ({ name }: PresentedHeader, lower: string): boolean => foldName(lower) === foldName(name);

/** An app that sends back what it got would show the client our credential: such lines go, whatever their name. */
function hidePresented(
  edits: ReadonlyMap<string, HeaderEdit>,
  head: ResponseHead,
  presented: PresentedHeader,
): ReadonlyMap<string, HeaderEdit> {
  const shows = createSearch(presented);
  let hidden: Map<string, HeaderEdit> | undefined;
  const look = (name: string, values: readonly string[]): void => {
    if (!isNameOf(presented, name) && !values.some(shows)) return;
    (hidden ??= new Map(edits)).set(name, { name, values: [] });
  };
  head.lower.forEach((name, at) => edits.has(name) || look(name, [head.values[at] ?? '']));
  for (const [name, { values }] of edits) look(name, values);
  return hidden ?? edits;
}

type HidesTrailer = ResponseEdits['removes'];

/** S3: what the app says of other origins does not stand beside what the step says. */
function hideCors(removes: HidesTrailer): HidesTrailer {
  return (lower, value) => removes(lower, value) || lower.startsWith('access-control-');
}

function hideTrailers(removes: HidesTrailer, presented: PresentedHeader): HidesTrailer {
  const shows = createSearch(presented);
  return (lower, value) => removes(lower, value) || isNameOf(presented, lower) || shows(value);
}

/** Shorter ones are ordinary words, which say nothing unless they stand alone. */
const SEARCHABLE = 8;

/** Finds what is presented, with or without its scheme, as it is or percent-encoded. */
function createSearch({ value }: PresentedHeader): (text: string) => boolean {
  const secret = value.slice(value.indexOf(' ') + 1);
  if (secret.length < SEARCHABLE) return text => text === value || text === secret;
  const escaped = encodeURIComponent(secret);
  return text => text.includes(secret) || text.includes(escaped);
}

const hasOwnHeaders = ({ responseHeaders, cors }: Permit): boolean => responseHeaders.length > 0 || cors !== undefined;

/** What rateLimit and cors steps tell the client stands instead of what the app says by the same name. */
function withOwnHeaders(
  edits: ReadonlyMap<string, HeaderEdit>,
  { responseHeaders, cors }: Permit,
  head: ResponseHead,
): ReadonlyMap<string, HeaderEdit> {
  const all = new Map(edits);
  if (cors !== undefined) editCors(all, cors, head);
  const told = new Map<string, string[]>();
  for (const { name, value } of responseHeaders) {
    const values = told.get(name.toLowerCase()) ?? [];
    values.push(value);
    told.set(name.toLowerCase(), values);
    all.set(name.toLowerCase(), { name, values });
  }
  return all;
}

/** Of the last answer on a connection to the app. Equal field lines are one and the same object there (http/recall.ts). */
export interface RememberedAnswer {
  readonly values: readonly string[];
  readonly route: Route;
  readonly status: number;
  readonly plan: AnswerPlan;
  /** The head as it was written to a client that keeps its connection; absent: it was written in another way. */
  text?: string;
}

/**
 * The remembered plan, if the answer repeats the last one and the policy reads nothing else: the response part is fixed,
 * and neither body nor limits differ from request to request.
 */
export function recallAnswer({ permit, upstream, exchange }: AppExchange, head: ResponseHead) {
  const known = upstream?.remembered;
  if (known === undefined || known.values !== head.values || known.status !== head.status) return undefined;
  if (known.route !== permit.route || exchange.head.method === 'HEAD' || hasOwnHeaders(permit)) return undefined;
  return known;
}

export function rememberAnswer({ permit, upstream, exchange }: AppExchange, head: ResponseHead, plan: AnswerPlan) {
  if (upstream === undefined) return undefined;
  const isFixed = plan.body === undefined && plan.rewrite === undefined && dependsOnAnswerOnly(permit.route, head);
  const repeats = isFixed && !hasOwnHeaders(permit) && exchange.head.method !== 'HEAD';
  upstream.remembered = repeats ? { values: head.values, route: permit.route, status: head.status, plan } : undefined;
  return upstream.remembered;
}

/** Whether the request has no part in what becomes of this answer's head. */
function dependsOnAnswerOnly({ pipeline }: Route, { lower, values }: ResponseHead): boolean {
  return pipeline.response.steps.every(step => {
    if (step.when !== undefined || step.branch !== undefined) return false;
    switch (step.type) {
      case 'removeHeaders':
        return true;
      case 'setHeaders':
        return step.setHeaders.every(({ value }) => value.literal !== undefined);
      case 'hideBackend':
        if (step.hideBackend.to?.literal !== undefined) return true;
        return !lower.some(
          (name, at) => REWRITTEN_HEADERS.has(name) && mayNameBackend(step.hideBackend.from, values[at] ?? ''),
        );
      case 'replaceText':
      case 'choose':
      case 'respond':
        return false;
    }
  });
}
