/** What a client is told: denials as problem documents (RFC 9457), challenges (RFC 6750, RFC 9110), and `respond`. */
import { REASONS, type Reason } from '../api/reasons.ts';
import { addCors } from './cors-step.ts';
import type { Challenge, Denial, Respond } from './verdict.ts';

const PROBLEMS = 'https://sallyport.dev/problems/';

/** Seconds: long enough that a recovering service is not flooded, short enough that nobody gives up. */
const RETRY_AFTER = 5;

/** The phrases of RFC 9110 section 15, for documents that do not say the reason. */
const PHRASES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Content Too Large',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  421: 'Misdirected Request',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
};

export const phraseOf = (status: number): string => PHRASES[status] ?? (status < 500 ? 'Client Error' : 'Server Error');

/** Set here and nowhere else, whatever `errors.headers` says: a template must not forge a challenge or a length. */
const OWN_HEADERS = new Set([
  'www-authenticate',
  'content-type',
  'content-length',
  'transfer-encoding',
  'connection',
  'x-request-id',
  'retry-after',
  'cache-control',
]);

/** RFC 9110 section 5.6.4; what may not stand in a quoted string is left out. */
function quote(text: string): string {
  return `"${text.replace(/[^\x20-\x7E]/g, '').replace(/["\\]/g, '\\$&')}"`;
}

function renderChallenge(challenge: Challenge, realm: string, includeReason: boolean): string {
  const parameters = Object.entries(challenge.parameters)
    .filter(([name]) => includeReason || name === 'error')
    .map(([name, value]) => `, ${name}=${quote(value)}`);
  return `${challenge.scheme} realm=${quote(realm)}${parameters.join('')}`;
}

/** A 401 must carry a challenge (RFC 9110 section 11.6.1), also one that an override made of another reason. */
function challengesAt(denial: Denial, status: number): readonly Challenge[] {
  if (status !== 401) return status === REASONS[denial.reason].status ? denial.challenges : [];
  if (denial.challenges.length > 0) return denial.challenges;
  const isDevice = denial.reason.startsWith('ClientCertificate') || denial.reason.startsWith('Device');
  return [{ scheme: isDevice ? 'ClientCertificate' : 'Bearer', parameters: {} }];
}

interface Told {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly reason?: Reason;
  readonly detail?: string;
  readonly policy?: string;
  readonly step?: string;
  readonly requestId: string;
}

/** What the document says. Without `includeReason` neither type nor title nor detail gives the reason away. */
function tell(denial: Denial, status: number, requestId: string): Told {
  const { errors, reason, origin, label } = denial;
  if (!errors.includeReason) return { type: 'about:blank', title: phraseOf(status), status, requestId };
  const detail = errors.overrides.get(reason)?.message ?? denial.message;
  return {
    type: PROBLEMS + reason,
    title: REASONS[reason].title,
    status,
    reason,
    ...(detail === undefined ? {} : { detail }),
    ...(errors.includePolicy && origin !== undefined ? { policy: origin.key } : {}),
    ...(errors.includePolicy && label !== undefined ? { step: label } : {}),
    requestId,
  };
}

function renderBody(denial: Denial, told: Told): { readonly contentType?: string; readonly body: string } {
  switch (denial.errors.format) {
    case 'Problem':
      return { contentType: 'application/problem+json', body: JSON.stringify(told) };
    case 'Text': {
      const { title, detail, reason, step } = told;
      const lines = [title, detail, reason && `reason: ${reason}`, step && `step: ${step}`];
      const body = [...lines, `request: ${told.requestId}`].filter(line => line !== undefined).join('\n');
      return { contentType: 'text/plain; charset=utf-8', body: `${body}\n` };
    }
    case 'Empty':
      return { body: '' };
  }
}

export interface RenderedAnswer {
  readonly status: number;
  /** Name and value, to be sent in this order; without Content-Length, which the proxy writes. */
  readonly headers: [string, string][];
  /** To be sent as UTF-8. */
  readonly body: string;
}

function headersOf(denial: Denial, status: number, realm: string): [string, string][] {
  const headers: [string, string][] = [];
  const lines = denial.errorHeaders.filter(({ name }) => !OWN_HEADERS.has(name.toLowerCase()));
  for (const { name, value } of addCors([...lines, ...denial.responseHeaders], denial.cors))
    headers.push([name, value]);
  for (const challenge of challengesAt(denial, status)) {
    headers.push(['WWW-Authenticate', renderChallenge(challenge, realm, denial.errors.includeReason)]);
  }
  const isLater = status === 429 || status === 503 || denial.retryAfter !== undefined;
  if (isLater) headers.push(['Retry-After', String(denial.retryAfter ?? RETRY_AFTER)]);
  return headers;
}

/** Over HTTP: the reason's, or what `errors.overrides` says. */
export const statusOf = ({ errors, reason }: Denial): number =>
  errors.overrides.get(reason)?.status ?? REASONS[reason].status;

/** `realm` is the Api's name. */
export function renderDenial(
  verdict: Denial | Respond,
  about: { readonly requestId: string; readonly realm: string },
): RenderedAnswer {
  const requestId: [string, string] = ['X-Request-Id', about.requestId];
  if (verdict.verdict === 'Respond') {
    const lines = addCors([...verdict.headers, ...verdict.responseHeaders], verdict.cors);
    const headers = lines.map(({ name, value }): [string, string] => [name, value]);
    return { status: verdict.status, headers: [...headers, requestId], body: verdict.body };
  }
  const status = statusOf(verdict);
  const { contentType, body } = renderBody(verdict, tell(verdict, status, about.requestId));
  const headers = headersOf(verdict, status, about.realm);
  if (contentType !== undefined) headers.push(['Content-Type', contentType]);
  headers.push(['Cache-Control', 'no-store'], requestId);
  return { status, headers, body };
}
