/** What the controller said in status, as far as it tells more than the objects themselves: what pods do, what is late. */
import type { Condition } from '../controller/conditions.ts';
import { isRecord } from '../kube/objects.ts';
import type { Severity, Violation } from '../api/violation.ts';
import type { Raw } from './cluster-view.ts';

/** PolicyTests are run here anew. */
const NOT_JUDGED = new Set(['PolicyTest']);

export const identifyRaw = ({ kind = '', metadata: { namespace = '', name } }: Raw): string =>
  `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`;

/** Those that can be read; what others wrote there is no condition. */
export function readConditions(raw: Raw): readonly Condition[] {
  const status = isRecord(raw['status']) ? raw['status'] : {};
  const conditions: readonly unknown[] = Array.isArray(status['conditions']) ? status['conditions'] : [];
  return conditions.filter(
    (value): value is Condition & Record<string, unknown> =>
      isRecord(value) && ['type', 'status', 'reason', 'message'].every(name => typeof value[name] === 'string'),
  );
}

/** `known`: objects with an error of their own, which status only repeats. */
export function findStatusProblems(objects: readonly Raw[], known: ReadonlySet<string>): readonly Violation[] {
  const judged = objects.filter(({ kind = '' }) => !NOT_JUDGED.has(kind));
  if (judged.length === 0) return [];
  const silent = judged.filter(raw => readConditions(raw).length === 0);
  if (silent.length === judged.length) {
    const problem =
      'no object has a status: no controller has ever looked at them, and nothing tells what pods enforce';
    return [warn('Deployment sallyport-controller', '', problem, SEE_CONTROLLER)];
  }
  return [
    ...silent.map(raw =>
      warn(identifyRaw(raw), 'status', 'is empty: the controller has not looked at it', SEE_CONTROLLER),
    ),
    ...judged.flatMap(raw => judgeConditions(raw, known)),
  ];
}

const SEE_CONTROLLER = 'look at the controller: kubectl get pods -A -l app.kubernetes.io/name=sallyport';

const warn = (
  object: string,
  field: string,
  problem: string,
  fix: string,
  severity: Severity = 'warning',
): Violation => ({
  ...{ severity, object, field, problem, fix },
});

function judgeConditions(raw: Raw, known: ReadonlySet<string>): readonly Violation[] {
  const { generation = 0 } = raw.metadata;
  const object = identifyRaw(raw);
  const conditions = readConditions(raw);
  const late = conditions.filter(({ observedGeneration = generation }) => observedGeneration < generation);
  if (late.length > 0) {
    const seen = Math.min(...late.map(({ observedGeneration = 0 }) => observedGeneration));
    const problem = `is of generation ${seen}, the newest is ${generation}: the controller has not looked at it yet`;
    return [warn(object, 'status', problem, SEE_CONTROLLER)];
  }
  return conditions.flatMap(condition => {
    const [fix, severity = 'warning', always = true] = ADVICE[`${condition.type}=${condition.status}`] ?? [];
    if (fix === undefined || (!always && known.has(object))) return [];
    // Pods are named by their own findings; an object that selects none has one of its Apis.
    if (condition.reason === 'NoPods' && condition.message.includes('0/0')) return [];
    const better = condition.reason === 'SidecarTooOld' ? 'restart the pods, so that they get the newest sidecar' : fix;
    return [warn(object, `status.conditions.${condition.type}`, tell(condition), better, severity)];
  });
}

/** `ResolvedRefs=False`: what to do, how bad it is, and whether it says more than an error that was found here. */
const ADVICE: Readonly<Record<string, readonly [fix: string, severity?: Severity, always?: boolean] | undefined>> = {
  'Accepted=False': ['mend the object as the message says', 'error', false],
  'ResolvedRefs=False': ['make what it names available to the sidecars', 'error', false],
  'Programmed=False': ['see the other problems of the object', 'warning', false],
  'Enforced=False': ['wait for the pods, or ask one why: kubectl exec POD -c sallyport -- sallyport status'],
  'KeysAvailable=False': ['look whether pods reach the issuer: sallyport status in one of them names the error'],
  'AppExposed=True': ['let the app listen on 127.0.0.1 only', 'error'],
};

const tell = ({ reason, message }: Condition): string => `is ${reason}${message === '' ? '' : `: ${message}`}`;
