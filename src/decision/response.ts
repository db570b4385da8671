/** The response part: what becomes of an app's answer (S3, P5, P12, E8). Pure; the proxy carries it out. */
import type { Reason } from '../api/reasons.ts';
import { joinValues, type HeaderFields } from '../http/head.ts';
import type { Bindings } from '../policy/expression.ts';
import type { ErrorsPlan, Pipeline } from '../policy/model.ts';
import type { BodyRewrite } from '../api/kinds/flow-steps.ts';
import type { Choice, CompiledHideBackend, CompiledResponseStep } from '../policy/steps.ts';
import { AnswerHeaders } from './answer-headers.ts';
import { createBackendHosts, mayNameBackend, type BackendHosts } from './backend-hosts.ts';
import { createReplacement, outgrows, planBody, type BodyRewriting } from './body-rewriting.ts';
import { chooseBranch } from './choose-step.ts';
import { celRecord } from './cel-value.ts';
import { phraseOf } from './challenge.ts';
import { readClientOrigin } from './client-origin.ts';
import type { HeaderValues } from './edits.ts';
import { rankOf } from './finding.ts';
import { renderAnswer, type Rendered } from './respond-step.ts';
import type { Permit } from './verdict.ts';

export interface Answer {
  readonly status: number;
  readonly headers: HeaderFields;
}

/** What the client gets instead of the app's answer, where it differs. */
export interface ResponseEdits {
  readonly status: number;
  /** By lower-case name: the values to send instead of whatever the app sent; none: the header is removed. */
  readonly headers: ReadonlyMap<string, HeaderValues>;
  /** For trailers: whether a policy removes this (lower-case) name, or this value, which names the back end. */
  readonly removes: (lower: string, value: string) => boolean;
  /** Instead of the app's body: `respond`'s text, or `Neutral` for renderNeutralBody (errorBodies: Replace). */
  readonly body?: { readonly text: string } | 'Neutral';
  /** The body is held, up to a bound, and rewritten. Never together with `body`. */
  readonly rewrite?: BodyRewriting;
}

const NEVER = (): boolean => false;

/** Whether the app must be asked for an unencoded, whole body (P12): `Accept-Encoding: identity` and no `Range`. */
export const requestNeedsIdentity = (pipeline: Pipeline): boolean =>
  pipeline.response.steps.some(
    step =>
      !step.origin.audit &&
      (step.type === 'replaceText' || (step.type === 'hideBackend' && step.hideBackend.bodies !== undefined)),
  );

/** A body that tells nothing of the app, in the format of `errors`; carries the request id to ask about. */
export function renderNeutralBody(status: number, errors: ErrorsPlan, requestId: string): string {
  if (errors.format === 'Empty') return '';
  const title = phraseOf(status);
  if (errors.format === 'Text') return `${title}\nrequest: ${requestId}\n`;
  return JSON.stringify({ type: 'about:blank', title, status, requestId });
}

const NEUTRAL_TYPE: Readonly<Record<ErrorsPlan['format'], string | undefined>> = {
  Problem: 'application/problem+json',
  Text: 'text/plain; charset=utf-8',
  Empty: undefined,
};

/** The variable `response`. */
export function responseBinding({ status, headers }: Answer): Readonly<Record<string, unknown>> {
  return {
    status: BigInt(status),
    get headers() {
      return celRecord(headers.lower.map(name => [name, joinValues(headers, name) ?? ''] as const));
    },
  };
}

/** The state of one answer's way through the response steps. */
class Evaluation {
  readonly headers: AnswerHeaders;
  readonly removals: ResponseEdits['removes'][] = [];
  status: number;
  body: ResponseEdits['body'];
  rewrite: BodyRewriting | undefined;
  readonly #choices = new Map<Choice, number>();
  readonly #permit: Permit;
  readonly #answer: Answer;
  #response: Readonly<Record<string, unknown>> | undefined;

  constructor(permit: Permit, answer: Answer) {
    this.#permit = permit;
    this.#answer = answer;
    this.status = answer.status;
    this.headers = new AnswerHeaders(answer.headers);
  }

  bindingsOf(step: CompiledResponseStep): Bindings {
    return this.#permit.bindingsOf(step, (this.#response ??= responseBinding(this.#answer)));
  }

  /** A rendered `respond` replaces the answer; a reason refuses it; undefined goes on. */
  run(step: CompiledResponseStep): Rendered | Reason | undefined {
    if (step.branch !== undefined && this.#choices.get(step.branch.choice) !== step.branch.at) return undefined;
    if (step.when !== undefined && step.when.evaluate(this.bindingsOf(step)) !== true) return undefined;
    switch (step.type) {
      case 'hideBackend':
        return this.#hide(step, step.hideBackend);
      case 'setHeaders':
        for (const setting of step.setHeaders) {
          // S4: a broader sealed policy has the last word on this header.
          if (setting.overridden) continue;
          this.headers.apply(setting, setting.value.literal ?? setting.value.render(this.bindingsOf(step)));
        }
        return undefined;
      case 'removeHeaders': {
        const names = new Set(step.removeHeaders.map(name => name.toLowerCase()));
        return this.#remove(lower => names.has(lower));
      }
      case 'replaceText':
        return this.#rewrite(step.replaceText.bodies, createReplacement(step.replaceText));
      case 'choose':
        this.#choices.set(step.choose.choice, chooseBranch(step.choose, this.bindingsOf(step)));
        return undefined;
      case 'respond':
        return renderAnswer(step.respond, this.bindingsOf(step));
    }
  }

  /** P5: the answer is ours from now on, and the steps of broader scopes go on with it. */
  replace({ status, headers, body }: Rendered): void {
    this.status = status;
    this.body = { text: body };
    this.rewrite = undefined;
    this.removals.push(() => true);
    this.headers.removeWhere(() => true);
    for (const { name, value } of headers) {
      const lower = name.toLowerCase();
      this.headers.apply({ name, lower, ifExists: 'Append' }, value);
    }
  }

  #remove(removes: (lower: string) => boolean): undefined {
    this.headers.removeWhere(removes);
    this.removals.push(removes);
  }

  #hide(step: CompiledResponseStep, hide: CompiledHideBackend): Reason | undefined {
    this.#remove(hide.removes);
    let hosts: BackendHosts | undefined;
    const makeHosts = (): BackendHosts => (hosts ??= createBackendHosts(hide.from, this.#originFor(step, hide)));
    if (hide.from.length > 0) {
      this.#rewriteHeaders(makeHosts);
      this.removals.push((_, value) => mayNameBackend(hide.from, value));
    }
    // What a policy answers itself is no error body of the app's.
    if (this.body === undefined && this.#answer.status >= 500 && hide.errorBodies === 'Replace') this.#neutralise();
    const { bodies } = hide;
    if (bodies === undefined || hide.from.length === 0) return undefined;
    return this.#rewrite(bodies, text => {
      const { names, longest, text: rewrite } = makeHosts();
      return outgrows(text.toLowerCase(), names, longest, bodies) ? undefined : rewrite(text);
    });
  }

  #rewrite(bodies: BodyRewrite, rewrite: BodyRewriting['rewrite']): Reason | undefined {
    if (this.body !== undefined) return undefined;
    const plan = planBody(bodies, this.#permit.request.method, this.#answer.status, this.headers);
    if (plan === 'Refused') return 'AppProtocolError';
    if (plan === 'Rewritten') this.#rewriteBody(bodies, rewrite);
    return undefined;
  }

  #originFor(step: CompiledResponseStep, { to }: CompiledHideBackend): string {
    if (to === undefined) return readClientOrigin(this.#permit.request);
    return to.literal ?? to.render(this.bindingsOf(step));
  }

  #rewriteHeaders(hosts: () => BackendHosts): void {
    const { headers } = this;
    for (const [lower, { name, form }] of BACKEND_HEADERS) headers.rewrite(lower, name, value => hosts()[form](value));
    // An alternative that leads here already would gain nothing, so there is nothing to put in its place.
    if (headers.values('alt-svc').some(value => hosts().text(value) !== value)) headers.remove('alt-svc');
    headers.rewrite('set-cookie', 'Set-Cookie', value =>
      /;\s*domain\s*=/i.test(value) ? hosts().cookie(value) : value,
    );
  }

  /** What described the app's body goes with it. */
  #neutralise(): void {
    this.body = 'Neutral';
    this.rewrite = undefined;
    for (const name of DESCRIBES_BODY) this.headers.remove(name);
    const type = NEUTRAL_TYPE[this.#permit.route.pipeline.errors.format];
    if (type === undefined) return this.headers.remove('content-type');
    this.headers.set('Content-Type', type);
  }

  /** Several steps rewrite one after another, narrowest first; the smallest bound holds, and Fail wins. */
  #rewriteBody(bodies: BodyRewrite, rewrite: BodyRewriting['rewrite']): void {
    const earlier = this.rewrite;
    this.rewrite = {
      maxBytes: Math.min(bodies.maxBytes, earlier?.maxBytes ?? Infinity),
      onOversize: earlier?.onOversize === 'Fail' ? 'Fail' : bodies.onOversize,
      rewrite: earlier === undefined ? rewrite : text => chain(earlier.rewrite(text), rewrite),
    };
    for (const name of DIGESTS) this.headers.remove(name);
  }

  conclude(): ResponseEdits {
    const { body, rewrite, removals } = this;
    return {
      status: this.status,
      headers: this.headers.edits,
      removes: removals.length === 0 ? NEVER : (lower, value) => removals.some(removes => removes(lower, value)),
      ...(body === undefined ? {} : { body }),
      ...(rewrite === undefined ? {} : { rewrite }),
    };
  }
}

const named = (form: 'url' | 'text', ...names: readonly string[]) =>
  names.map(name => [name.toLowerCase(), { name, form }] as const);

/** Headers that hold URLs or lists of them. steps.ts names them to users. */
const BACKEND_HEADERS = new Map([
  ...named('url', 'Location', 'Content-Location', 'Content-Base', 'URI', 'SourceMap', 'X-SourceMap'),
  ...named('text', 'Link', 'Refresh', 'Access-Control-Allow-Origin', 'Content-Security-Policy'),
  ...named('text', 'Content-Security-Policy-Report-Only', 'Report-To', 'Reporting-Endpoints', 'Grpc-Message'),
]);

/** Lower-case names of the headers in which hideBackend looks for the back end's hosts. */
export const REWRITTEN_HEADERS: ReadonlySet<string> = new Set([...BACKEND_HEADERS.keys(), 'set-cookie', 'alt-svc']);

/** No longer true of a body that was rewritten. */
const DIGESTS = ['etag', 'content-md5', 'digest', 'content-digest', 'repr-digest', 'accept-ranges'] as const;
const DESCRIBES_BODY = [
  ...DIGESTS,
  'content-encoding',
  'content-language',
  'content-disposition',
  'content-range',
  'last-modified',
] as const;

/** P5 ends the steps of the same and narrower scopes, S3 leaves the last word to broader ones. */
const hasLastWord = (step: CompiledResponseStep, responding: CompiledResponseStep): boolean =>
  rankOf(step.origin) < rankOf(responding.origin);

const chain = (text: string | undefined, rewrite: BodyRewriting['rewrite']): string | undefined =>
  text === undefined ? undefined : rewrite(text);

/**
 * The edits, or why the answer cannot be sent: 502 AppProtocolError when an expression of the response part fails (E8) or
 * a body that must be rewritten comes encoded or ranged (P12). `permit.responseHeaders` are not among the edits.
 * Informational answers (1xx) are edited as well, but never replaced.
 */
export function evaluateResponse(permit: Permit, answer: Answer): ResponseEdits | Reason {
  const evaluation = new Evaluation(permit, answer);
  try {
    let responding: CompiledResponseStep | undefined;
    for (const step of permit.route.pipeline.response.steps) {
      // S8: an Audit policy's response steps have no effect.
      if (step.origin.audit || (responding !== undefined && !hasLastWord(step, responding))) continue;
      const outcome = evaluation.run(step);
      if (typeof outcome === 'string') return outcome;
      if (outcome === undefined || answer.status < 200) continue;
      evaluation.replace(outcome);
      responding = step;
    }
  } catch {
    return 'AppProtocolError';
  }
  return evaluation.conclude();
}
