/** What people expect of a limit and does not hold: pods count apart, and forget (P7, P10). */
import type { RequestStep } from '../api/kinds/steps.ts';
import { formatDuration } from '../api/duration.ts';
import { listAuthentication } from './header-names.ts';
import type { SharedStorePlan } from './model.ts';

export function noticeLimits(step: RequestStep): readonly string[] {
  const { rateLimit, quota, concurrency } = step;
  const notices: string[] = [];
  for (const limit of [rateLimit, quota]) {
    if (limit?.scope === 'Pod') {
      notices.push(
        `each pod admits ${limit.calls} calls per ${formatDuration(limit.period)}, and forgets them with a restart`,
      );
    }
  }
  if (concurrency?.scope === 'Pod') notices.push(`each pod has up to ${concurrency.max} requests open at once`);
  if (listAuthentication(step).some(({ hmacSignature }) => hmacSignature?.rejectReplays === true)) {
    notices.push('each pod remembers the messages that it took itself: another pod takes a replay');
  }
  return notices;
}

export const noticeStore = (store: SharedStorePlan | undefined): readonly string[] =>
  store?.url.startsWith('redis:') === true
    ? [`ClusterAuthPolicy ${store.policy}: limits are counted over redis:// without TLS`]
    : [];
