/** Both webhooks behind one function, with their metrics. */
import type { Log, Metrics } from '../telemetry/telemetry.ts';
import { readReview, type AdmissionRequest, type AdmissionResponse } from './admission-review.ts';
import { answerMutation, type MutationDeps } from './mutation.ts';
import { answerValidation, type CheckAmongOthers } from './validation.ts';

export const INJECT_PATH = '/inject';
export const VALIDATE_PATH = '/validate';

export interface InjectorDeps extends MutationDeps {
  /** Absent: objects are judged by themselves only, and references to what is missing are not mentioned. */
  readonly checkAmongOthers?: CheckAmongOthers;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Undefined: the path is none of ours, or the body no AdmissionReview. Never throws. */
export type AnswerReview = (path: string, review: unknown) => AdmissionResponse | undefined;

export function createInjectorWebhooks(deps: InjectorDeps): AnswerReview {
  const { log, metrics } = deps;
  const answers = new Map<string, (request: AdmissionRequest) => AdmissionResponse>([
    [INJECT_PATH, request => answerMutation(request, deps)],
    [VALIDATE_PATH, request => answerValidation(request, deps.checkAmongOthers)],
  ]);
  return (path, review) => {
    const answer = answers.get(path);
    const request = answer === undefined ? undefined : readReview(review);
    if (answer === undefined || request === undefined) return undefined;
    const response = answer(request);
    const outcome = nameOutcome(response);
    // A trial run leaves no trace (sideEffects: NoneOnDryRun).
    if (!request.dryRun) {
      metrics.count('sallyport_admission_reviews_total', { webhook: path.slice(1), outcome });
      const { namespace, resource, operation } = request;
      const fields = { webhook: path.slice(1), outcome, namespace, resource, operation };
      if (response.allowed) log.debug(fields, 'admission review answered');
      else log.info({ ...fields, problem: response.status?.message }, 'admission refused');
    }
    return response;
  };
}

function nameOutcome({ allowed, patch, status }: AdmissionResponse): string {
  if (allowed) return patch === undefined ? 'admitted' : 'changed';
  return status?.code === 503 ? 'undecided' : 'refused';
}
