/** Conditions as status holds them: reasons of the closed list, the time of the last transition kept while status stays. */
import type { CONDITIONS } from '../api/conditions.ts';
import { type ConditionType } from '../api/conditions.ts';

export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
  /** RFC 3339, in seconds. */
  readonly lastTransitionTime: string;
}

/** A condition as it should be from now on. */
export interface Finding<T extends ConditionType = ConditionType> {
  readonly type: T;
  readonly holds: boolean;
  readonly reason: string;
  readonly message: string;
  /** The generation that was looked at; absent: the newest. */
  readonly observed?: number | undefined;
}

/** The API server takes 32,768 characters; people read far fewer. */
const MESSAGE_LENGTH = 1024;

export const find = <T extends ConditionType>(
  type: T,
  holds: boolean,
  reason: (typeof CONDITIONS)[T]['reasons'][number],
  message: string,
): Finding<T> => ({ type, holds, reason, message: cut(message, MESSAGE_LENGTH) });

export function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1).toWellFormed()}…`;
}

/** metav1.Time. */
export const formatTime = (ms: number): string => new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z');

/** What status should hold, in the order of the findings; conditions that are no longer found are left out. */
export function settleConditions(
  findings: readonly Finding[],
  before: readonly Condition[],
  { generation, now }: { readonly generation: number; readonly now: number },
): readonly Condition[] {
  const known = new Map(before.map(condition => [condition.type, condition]));
  return findings.map(({ type, holds, reason, message, observed = generation }) => {
    const status = holds ? 'True' : 'False';
    const last = known.get(type);
    const lastTransitionTime = last?.status === status ? last.lastTransitionTime : formatTime(now);
    return { type, status, reason, message, observedGeneration: observed, lastTransitionTime };
  });
}

/** Whether one says what the other says; order and times do not count. */
export function isSameConditions(left: readonly Condition[], right: readonly Condition[]): boolean {
  const show = (conditions: readonly Condition[]): string =>
    JSON.stringify(
      conditions
        .map(({ type, status, reason, message, observedGeneration }) => [
          type,
          status,
          reason,
          message,
          observedGeneration,
        ])
        .toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1)),
    );
  return show(left) === show(right);
}
