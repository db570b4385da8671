/** Denials as values: of a step, of the default stance, and of requests that never reached a pipeline. */
import type { Reason } from '../api/reasons.ts';
import type { Bindings } from '../policy/expression.ts';
import type { ErrorsPlan, Route } from '../policy/model.ts';
import type { RequestView } from '../policy/request.ts';
import { EMPTY_RECORD } from './cel-value.ts';
import { challengesFor } from './objection.ts';
import { requestBinding } from './request-binding.ts';
import type { CorsAnswer, Denial, HeaderLine } from './verdict.ts';

const NO_NAMES: ReadonlySet<string> = new Set();
const NO_LINES: readonly HeaderLine[] = [];

/** What `errors.headers` may read: the request as received, no identity, since a denial has none. */
function bindingsOfError(
  request: Readonly<Record<string, unknown>>,
  params: Readonly<Record<string, string>>,
  ip: string,
): Bindings {
  const nothing = EMPTY_RECORD;
  const cert = { subject: nothing, issuer: nothing, subjectAltName: nothing };
  return {
    request,
    params,
    source: { ip },
    vars: nothing,
    steps: nothing,
    jwt: { claims: nothing },
    cert,
    subscription: nothing,
    caller: nothing,
  };
}

/** A header that cannot be rendered is left out: the denial is sent all the same. */
export function renderErrorHeaders(errors: ErrorsPlan, bindings: () => Bindings | undefined): readonly HeaderLine[] {
  if (errors.headers.length === 0) return NO_LINES;
  const lines: HeaderLine[] = [];
  for (const { name, value } of errors.headers) {
    const text = value.literal ?? tryRender(value, bindings);
    if (text !== undefined) lines.push({ name, value: text });
  }
  return lines;
}

function tryRender(value: ErrorsPlan['headers'][number]['value'], bindings: () => Bindings | undefined) {
  try {
    const read = bindings();
    return read === undefined ? undefined : value.render(read);
  } catch {
    return undefined;
  }
}

export const errorBindings = (
  binding: Readonly<Record<string, unknown>>,
  params: Readonly<Record<string, string>>,
  request: RequestView,
): Bindings => bindingsOfError(binding, params, request.sourceIp);

export interface RefuseExtras {
  readonly request?: RequestView;
  /** Milliseconds since the epoch; with `request`, for templates of `errors.headers`. */
  readonly now?: number;
  readonly route?: Route;
  /** Seconds. */
  readonly retryAfter?: number;
  readonly message?: string;
  /** Of the permit that came to nothing. */
  readonly cors?: CorsAnswer | undefined;
}

/**
 * A denial that no step made: before a match (400, 404, 421, 503 PolicyNotLoaded) with the errors of cluster and
 * namespace scope, or after a permit (502, 504) with the route's.
 */
export function refuse(reason: Reason, errors: ErrorsPlan, extras: RefuseExtras = {}): Denial {
  const { request, now = 0, route, retryAfter, message, cors } = extras;
  const credentials = route?.pipeline.credentialHeaders ?? NO_NAMES;
  const bindings = () =>
    request && errorBindings(requestBinding(request, { credentials, reserved: NO_NAMES }, now), EMPTY_PARAMS, request);
  return {
    verdict: 'Deny',
    reason,
    errors,
    challenges: challengesFor(reason),
    errorHeaders: renderErrorHeaders(errors, bindings),
    auditDenials: [],
    responseHeaders: [],
    cors,
    ...(route === undefined ? {} : { route }),
    ...(retryAfter === undefined ? {} : { retryAfter }),
    ...(message === undefined ? {} : { message }),
  };
}
const EMPTY_PARAMS: Readonly<Record<string, string>> = Object.freeze({});
